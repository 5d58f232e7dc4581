"""The tables, against what the real servers show: recorded from MLServer 1.7.1 and kserve 0.21.0 after known requests.

MLServer had 10 good requests (one of them by ``generate``; two took 300 ms), 4 that ended in 500 (three by the model,
one by a client's wrong type), one for which the model raised InferenceError (400), two that were no requests of the
protocol (422), three for what does not exist (404), and four for readiness and metadata.
kserve had 6 good ones (two took 300 ms), two that the model failed, one that it refused, and one for another model.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serin.analysis.runtimes import BUCKETS
from serin.analysis.runtimes import REVISION_SERIES_LABEL
from serin.analysis.runtimes import SERVERS
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import Counter
from serin.analysis.runtimes import boundary_of
from serin.analysis.runtimes import counted
from serin.api.analysis import SHORTEST_THRESHOLD
from serin.api.analysis import Measure
from serin.api.quantities import seconds

RECORDED = Path(__file__).parent / "recorded"
FILES = {"MLServer": "mlserver-1.7.1.txt", "KServe": "kserve-0.21.0.txt"}
_SERIES = re.compile(r"^(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"(?:,|$)')


def recorded(server: str) -> list[tuple[str, dict[str, str], float]]:
    found = []
    for line in (RECORDED / FILES[server]).read_text().splitlines():
        match = _SERIES.match(line)
        assert match is not None, line
        found.append((match["name"], dict(_LABEL.findall(match["labels"])), float(match["value"])))
    return found


def value(server: str, counter: Counter) -> float:
    """The sum of what the counter's matchers select, as Prometheus reads them: regular expressions are anchored."""
    matchers = _MATCHER.findall(counter.matchers)
    assert ",".join(f'{label}{operator}"{text}"' for label, operator, text in matchers) == counter.matchers

    def selected(labels: dict[str, str]) -> bool:
        return all(
            re.fullmatch(text, labels.get(label, "")) is not None if operator == "=~" else labels.get(label) == text
            for label, operator, text in matchers
        )

    return sum(number for name, labels, number in recorded(server) if name == counter.name and selected(labels))


@pytest.mark.parametrize(
    ("server", "measure", "threshold", "requests", "bad"),
    [
        ("MLServer", Measure.ERROR_RATE, None, 15, 5),
        ("MLServer", Measure.SLOWER_THAN, "250ms", 10, 2),
        ("MLServer", Measure.SLOWER_THAN, "1s", 10, 0),
        ("KServe", Measure.ERROR_RATE, None, 9, 3),
        ("KServe", Measure.SLOWER_THAN, "250ms", 9, 2),
        ("KServe", Measure.SLOWER_THAN, "1s", 9, 0),
    ],
)
def test_what_is_counted(server: str, measure: Measure, threshold: str | None, requests: int, bad: int) -> None:
    how = counted(server, None, measure, threshold)
    assert isinstance(how, Counted)
    every, part = value(server, how.requests), value(server, how.part)
    assert every == requests
    assert (part if how.part_is_bad else every - part) == bad


@pytest.mark.parametrize("server", sorted(SERVERS))
def test_the_boundaries_are_those_of_the_servers(server: str) -> None:
    name = f"{SERVERS[server].durations}_bucket"
    shown = {labels["le"] for series, labels, _ in recorded(server) if series == name}
    assert sorted(float(le) for le in shown) == [*BUCKETS, float("inf")]


@pytest.mark.parametrize(
    ("threshold", "boundary"),
    [(0.005, 0.005), (0.25, 0.25), (0.3, 0.25), (0.4999, 0.25), (1.0, 1.0), (60, 10.0), (0.0049, None)],
)
def test_a_threshold_counts_at_the_boundary_that_is_not_above_it(threshold: float, boundary: float | None) -> None:
    assert boundary_of(threshold) == boundary


def test_a_threshold_that_may_be_declared_can_be_told() -> None:
    assert seconds(SHORTEST_THRESHOLD) == BUCKETS[0]


def test_people_learn_that_another_threshold_counts() -> None:
    exact, between = (counted("MLServer", None, Measure.SLOWER_THAN, text) for text in ("250ms", "300ms"))
    assert isinstance(exact, Counted)
    assert isinstance(between, Counted)
    assert (exact.boundary, between.boundary) == (None, 0.25)
    assert exact.part == between.part


@pytest.mark.parametrize("server", sorted(SERVERS))
@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_boundary_is_found_however_a_client_library_writes_it(server: str, bucket: float) -> None:
    how = counted(server, None, Measure.SLOWER_THAN, f"{round(bucket * 1000)}ms")
    assert isinstance(how, Counted)
    matchers = {label: text for label, _, text in _MATCHER.findall(how.part.matchers)}
    for written in (f"{bucket:g}", str(bucket)):
        assert re.fullmatch(matchers["le"], written)
    assert not re.fullmatch(matchers["le"], f"{bucket * 10:g}")


def test_what_cannot_be_counted_is_said() -> None:
    assert counted("Triton", None, Measure.ERROR_RATE, None) == "nothing is known of the metrics of Triton"
    several = counted("KServe", 2, Measure.ERROR_RATE, None)
    assert isinstance(several, str)
    assert several.startswith("each of the 2 workers of a KServe server counts for itself")
    assert isinstance(counted("MLServer", 2, Measure.ERROR_RATE, None), Counted)
    assert isinstance(counted("KServe", 1, Measure.ERROR_RATE, None), Counted)
    below = counted("MLServer", None, Measure.SLOWER_THAN, "2ms")
    assert below == "MLServer's histogram begins at 0.005 s: threshold 2ms is below"


def test_the_label_that_tells_revisions_apart() -> None:
    assert REVISION_SERIES_LABEL == "serin_dev_revision"
