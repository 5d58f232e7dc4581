"""What the built-in queries give, by Prometheus' own engine: promtool plays series to it as scrapes leave them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from pathlib import Path

import pytest

from e2e import tools
from serin.analysis.queries import BAD
from serin.analysis.queries import LOOK_BACK_SECONDS
from serin.analysis.queries import MOST_STRIDES
from serin.analysis.queries import REQUESTS
from serin.analysis.queries import STRIDE_SECONDS
from serin.analysis.queries import UP
from serin.analysis.queries import Scope
from serin.analysis.queries import counts_query
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import counted
from serin.api.analysis import Measure

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

CANDIDATE, STABLE = "fraud-v13-bbbb", "fraud-v12-aaaa"
INTERVAL = 15
SINCE = 605
"""When the step begins, seconds after the first scrape."""
BEGUN = SINCE // INTERVAL
"""The last scrape before."""
MISSED = "stale"
"""What Prometheus writes for a series that a scrape does not have, or whose target does not answer."""
UNBORN = "_"

Values = list[int | str]


@dataclass(frozen=True)
class Pod:
    """A pod as its scrapes show it: requests that went well and those that failed, one value each a scrape."""

    good: Values
    bad: Values
    name: str = "pod-1"
    revision: str = STABLE
    interval: int = INTERVAL
    more: str = ""
    """Labels of its series."""

    def series(self) -> Mapping[str, Values]:
        labels = f'namespace="payments",serin_dev_revision="{self.revision}",pod="{self.name}"{self.more}'
        asked = f'{labels},method="POST",path="/v2/models/m/infer"'
        return {
            f'rest_server_requests_total{{{asked},status_code="200"}}': self.good,
            f'rest_server_requests_total{{{asked},status_code="500"}}': self.bad,
            f"up{{{labels}}}": [0 if one == MISSED else 1 for one in self.good],
        }

    def counted(self, at: int) -> tuple[int, int]:
        """Requests and bad ones since the step began, added up scrape by scrape."""
        good, bad = (self._grown(values, at) for values in (self.good, self.bad))
        return good + bad, bad

    def _grown(self, values: Values, at: int) -> int:
        grown = before = 0
        for scrape, value in enumerate(values[: at // self.interval + 1]):
            if isinstance(value, str):
                continue
            if scrape * self.interval > SINCE:
                # One that starts anew begins at 0.
                grown += value - before if value >= before else value
            before = value
        return grown


@dataclass(frozen=True)
class Asked:
    """A query, when it is asked, and by labels what it must give."""

    query: str
    at: float
    gives: Mapping[tuple[str, str], float]
    """By revision and what is counted."""


def errors() -> Counted:
    how = counted("MLServer", None, Measure.ERROR_RATE, None)
    assert isinstance(how, Counted)
    return how


def scope(at: float) -> Scope:
    return Scope("payments", CANDIDATE, STABLE, datetime.fromtimestamp(SINCE, UTC), datetime.fromtimestamp(at, UTC))


def growing(scrapes: int, by: int, start: int = 0) -> Values:
    return [start + by * scrape for scrape in range(scrapes)]


def without(values: Values, *scrapes: int) -> Values:
    """The same, with those scrapes missed."""
    return [MISSED if scrape in scrapes else one for scrape, one in enumerate(values)]


def play(folder: Path, pods: Sequence[Pod], asked: Iterable[Asked]) -> None:
    """That each query gives what it must."""
    put(folder, {name: values for pod in pods for name, values in pod.series().items()}, pods[0].interval, asked)


def put(folder: Path, named: Mapping[str, Values], interval: int, asked: Iterable[Asked]) -> None:
    """The same, of any series, which have a value an interval."""
    series = [{"series": name, "values": " ".join(map(str, values))} for name, values in named.items()]
    expected = [
        {
            "expr": one.query,
            "eval_time": f"{round(one.at * 1000)}ms",
            "exp_samples": [
                {"labels": f'{{serin_dev_revision="{revision}",serin_count="{count}"}}', "value": value}
                for (revision, count), value in one.gives.items()
            ],
        }
        for one in asked
    ]
    test: dict[str, object] = {"interval": f"{interval}s", "input_series": series, "promql_expr_test": expected}
    file = folder / "test.yaml"
    # promtool has the samples up to the last moment at which rules would be evaluated.
    file.write_text(json.dumps({"evaluation_interval": test["interval"], "tests": [test]}))
    command = [str(tools.binary("promtool")), "test", "rules", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def look(pods: Sequence[Pod], at: int, *, known_at: int | None = None) -> Asked:
    """A look at ``at`` that must find what the pods' scrapes had by then, or by ``known_at``."""
    gives: dict[tuple[str, str], float] = {}
    for pod in pods:
        figures = dict(zip((REQUESTS, BAD), pod.counted(at if known_at is None else known_at), strict=True))
        scrape = at // pod.interval
        figures[UP] = int(scrape < len(pod.good) and pod.good[scrape] != MISSED)
        for count, value in figures.items():
            gives[pod.revision, count] = gives.get((pod.revision, count), 0) + value
    return Asked(counts_query(errors(), scope(at)), at, gives)


def looks(pods: Sequence[Pod], first: int, last: int) -> list[Asked]:
    """A look after each scrape."""
    return [look(pods, at) for at in range(first * INTERVAL + 1, last * INTERVAL + 2, INTERVAL)]


def test_living_pods_count_from_where_they_were(tmp_path: Path) -> None:
    pods = [
        Pod(growing(80, 90, start=1000), growing(80, 10, start=500)),
        Pod(growing(80, 9), growing(80, 1), revision=CANDIDATE),
    ]
    assert pods[0].counted(SINCE + 30 * INTERVAL) == (3000, 300)
    play(tmp_path, pods, looks(pods, BEGUN, 79))


def test_what_is_born_within_the_step_counts_from_its_first_value(tmp_path: Path) -> None:
    unborn: Values = [UNBORN] * (BEGUN + 2)
    pod = Pod([*unborn, *growing(20, 50, start=7)], [*unborn, UNBORN, *growing(19, 5, start=3)])
    assert pod.counted((BEGUN + 3) * INTERVAL) == (60, 3)
    play(tmp_path, [pod], looks([pod], BEGUN + 3, BEGUN + 20))


def test_errors_that_began_within_the_step_stay_when_a_scrape_is_missed(tmp_path: Path) -> None:
    bad = [*[UNBORN] * (BEGUN + 1), *growing(29, 50, start=50)]
    pods = [
        Pod(without(growing(70, 950), BEGUN + 20), without(bad, BEGUN + 20)),
        Pod(growing(70, 950), bad, name="pod-2"),
    ]
    play(tmp_path, pods, looks(pods, BEGUN + 18, BEGUN + 22))


def test_errors_that_began_within_the_step_stay_when_their_pod_goes(tmp_path: Path) -> None:
    bad = [*[UNBORN] * (BEGUN + 1), *growing(29, 50, start=50)]
    gone = [*growing(BEGUN + 20, 950), MISSED], [*bad[: BEGUN + 20], MISSED]
    pods = [Pod(*gone), Pod(growing(70, 950), bad, name="pod-2")]
    play(tmp_path, pods, looks(pods, BEGUN + 18, BEGUN + 29))


@pytest.mark.parametrize("missed", [1, 200])
def test_what_a_pod_had_before_the_step_is_not_new_after_missed_scrapes(tmp_path: Path, missed: int) -> None:
    """Prometheus itself may have been away, too."""
    assert missed * INTERVAL < LOOK_BACK_SECONDS
    began = 210 * INTERVAL + 5
    absent = range(211 - missed, 211)
    pod = Pod(without(growing(250, 90, start=900_000), *absent), without(growing(250, 10, start=100_000), *absent))
    known = Scope("payments", CANDIDATE, STABLE, datetime.fromtimestamp(began, UTC), datetime.fromtimestamp(3601, UTC))
    since_the_last_scrape = 100 * (240 - 210 + missed)
    gives = {
        (STABLE, REQUESTS): since_the_last_scrape,
        (STABLE, BAD): since_the_last_scrape / 10,
        (STABLE, UP): 1,
    }
    play(tmp_path, [pod], [Asked(counts_query(errors(), known), 3601, gives)])


def test_a_container_that_starts_anew_keeps_what_it_counted(tmp_path: Path) -> None:
    """Its counters come by what they had when the step began, that of errors first: none of it is lost, nor then."""
    died = BEGUN + 3
    pod = Pod(
        [*growing(died, 90, start=2000), *growing(100, 90)],
        [*growing(died, 10, start=30), *growing(100, 10)],
    )
    assert pod.counted((died + 99) * INTERVAL) == (200 + 9900, 20 + 990)
    play(tmp_path, [pod], looks([pod], BEGUN, died + 99))


def test_until_the_first_error_of_the_next_life_both_counters_have_the_one_before(tmp_path: Path) -> None:
    """An equal candidate would be taken back: 200 errors in 10,000 requests became 200 in the 30 that came since."""
    died = BEGUN + 20
    unborn: Values = [UNBORN] * (BEGUN + 1)
    pod = Pod(
        [*unborn, *growing(19, 490), MISSED, MISSED, *growing(20, 490)],
        [*unborn, *growing(19, 10), *[MISSED] * 6, *growing(16, 10, start=10)],
    )
    assert pod.counted((died + 4) * INTERVAL) == (18 * 500 + 490 * 2, 180)
    play(tmp_path, [pod], looks([pod], died - 2, died + 20))


def test_every_life_of_a_pod_that_crashes_again_and_again_counts(tmp_path: Path) -> None:
    """Each ends after failures: by the last life alone, it would have none for most of the time."""
    good: Values = [*growing(8, 50), MISSED]
    bad: Values = [0, 0, 0, 0, 0, 20, 50, 90, MISSED]
    pod = Pod([*growing(BEGUN + 1, 50), *good * 6], [*growing(BEGUN + 1, 0), *bad * 6], revision=CANDIDATE)
    assert pod.counted((BEGUN + 54) * INTERVAL) == (6 * (350 + 90), 6 * 90)
    play(tmp_path, [pod], looks([pod], BEGUN, BEGUN + 54))


def test_what_was_lost_before_the_step_is_no_loss_of_it(tmp_path: Path) -> None:
    """Between two strides: the value that the step begins with is the next life's already."""
    died = SINCE // 5 - 1
    pod = Pod([*growing(died, 30, start=5000), *growing(60, 30)], [*growing(died, 3), *growing(60, 3)], interval=5)
    assert pod.counted(SINCE + 46) == (10 * 33 - 33, 27)
    play(tmp_path, [pod], [look([pod], at) for at in range(SINCE, SINCE + 100)])


def test_a_loss_between_two_strides_is_known_at_the_next(tmp_path: Path) -> None:
    """Until then all counters stay: those of errors may not have begun anew, while those of requests have."""
    died = 65
    pod = Pod(
        [*growing(died, 90, start=2000), *growing(30, 90)],
        [*growing(died, 10, start=30), MISSED, MISSED, *growing(28, 10)],
        interval=10,
    )
    stride = died * 10 // STRIDE_SECONDS * STRIDE_SECONDS
    assert stride < died * 10 < stride + STRIDE_SECONDS
    asked = [look([pod], at) for at in (stride, *range(stride + STRIDE_SECONDS, 900))]
    kept = [look([pod], at, known_at=stride) for at in range(died * 10, stride + STRIDE_SECONDS)]
    play(tmp_path, [pod], [*asked, *kept])


def test_errors_that_are_rare_are_not_forgotten_when_the_next_comes(tmp_path: Path) -> None:
    """The pod had 300 errors of old, was started anew, and failed once in hours: that were 299 less than none."""
    died, silent = 660 // INTERVAL + 1, 5 * 3600 // INTERVAL
    pod = Pod(
        [*growing(died, 90, start=20_000), *growing(silent + 100, 90)],
        [*growing(died, 10, start=300), *[MISSED] * silent, *[1] * 100],
    )
    assert pod.counted((died + silent) * INTERVAL)[1] == 41
    later = (died + silent) * INTERVAL
    play(tmp_path, [pod], [look([pod], at) for at in (later - 1000, later - 1, *range(later + 60, later + 600, 30))])


def test_a_step_of_days(tmp_path: Path) -> None:
    """Strides are longer then: what was counted since the last one is all that a container loses."""
    length, longest = 2 * 24 * 3600, 480
    assert longest / 2 * MOST_STRIDES < length <= longest * MOST_STRIDES
    died = 125 * longest // 60 + 1
    pod = Pod(
        [*growing(died, 90, start=2000), *growing(length // 60 + 1 - died, 90)],
        [*growing(died, 10, start=30), *growing(length // 60 + 1 - died, 10)],
        interval=60,
    )
    play(tmp_path, [pod], [look([pod], at) for at in range((died - 1) * 60 + longest, length, 12_345)])


def test_the_question_of_a_later_moment_tells_of_an_earlier_one(tmp_path: Path) -> None:
    """As a report asks it: one question for all moments of a step. What was over before the step is none of it."""
    began, first = 16, LOOK_BACK_SECONDS // INTERVAL + 30
    gone = Pod([*growing(began, 90), MISSED], [*growing(began, 10), MISSED], name="pod-2")
    pod = Pod([*growing(first + 7, 90), *growing(300, 90)], [*growing(first + 7, 10), *growing(300, 10)])
    end = (first + 300) * INTERVAL
    begun = scope(first * INTERVAL + 5).at
    asked = []
    for at in range(first * INTERVAL + 5, end, 31):
        own = replace(scope(at), since=begun)
        scrape = at // INTERVAL
        lives = scrape - first if scrape < first + 7 else 6 + scrape - (first + 7)
        gives: dict[tuple[str, str], float] = {
            (STABLE, REQUESTS): 100 * lives,
            (STABLE, BAD): 10 * lives,
            (STABLE, UP): 1,
        }
        later = replace(own, at=scope(end).at, earliest=begun)
        asked += [Asked(counts_query(errors(), question), at, gives) for question in (own, later)]
    play(tmp_path, [pod, gone], asked)


def ups(*targets: tuple[str, int]) -> dict[str, Values]:
    """Labels of a target beside those of the revision, and whether it answers."""
    return {
        f'up{{namespace="payments",serin_dev_revision="{CANDIDATE}",{labels}}}': [up] * 50 for labels, up in targets
    }


@pytest.mark.parametrize(
    ("targets", "answering"),
    [
        ([('pod="a",instance="1:8"', 1), ('pod="b",instance="2:8"', 0)], 1),
        ([('pod="a",instance="1:8"', 0), ('pod="b",instance="2:8"', 0)], 0),
        ([('pod="a",instance="1:8"', 1), ('pod="b",instance="2:8"', 1)], 2),
        # By two jobs, by two ports, and by a job that meets nobody: a pod is one all the same.
        ([('pod="a",instance="1:8",job="x"', 1), ('pod="a",instance="1:8",job="y"', 1)], 1),
        ([('pod="a",instance="1:8"', 1), ('pod="a",instance="1:9"', 0), ('pod="b",instance="2:8"', 0)], 1),
        # Without the pods' names.
        ([('instance="1:8",job="x"', 1), ('instance="1:8",job="y"', 1), ('instance="2:8",job="x"', 1)], 2),
    ],
)
def test_a_pod_that_answers_counts_once(tmp_path: Path, targets: list[tuple[str, int]], answering: int) -> None:
    asked = Asked(counts_query(errors(), scope(601)), 601, {(CANDIDATE, UP): answering})
    put(tmp_path, ups(*targets), INTERVAL, [asked])


def test_clusters_are_told_apart_by_the_matchers(tmp_path: Path) -> None:
    """A revision has the same name in each of them."""
    pods = [
        Pod(growing(60, by), growing(60, 1), name=cluster, revision=CANDIDATE, more=f',cluster="{cluster}"')
        for cluster, by in (("eu", 9), ("us", 99))
    ]
    ours = look(pods[:1], SINCE + 150)
    query = counts_query(errors(), replace(scope(SINCE + 150), matchers='cluster="eu"'))
    play(tmp_path, pods, [replace(ours, query=query), look(pods, SINCE + 150)])
