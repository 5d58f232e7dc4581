"""Built-in queries: what they say, and what their answers come to."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.queries import BAD
from serin.analysis.queries import COUNT_LABEL
from serin.analysis.queries import GOOD
from serin.analysis.queries import REQUESTS
from serin.analysis.queries import UP
from serin.analysis.queries import Scope
from serin.analysis.queries import Series
from serin.analysis.queries import counts_query
from serin.analysis.queries import read_counts
from serin.analysis.queries import read_number
from serin.analysis.runtimes import REVISION_SERIES_LABEL
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import Counter
from serin.api.analysis import Tally
from tests.unit.analysis.scene import SINCE

SCOPE = Scope("payments", "fraud-v13-bbbb", "fraud-v12-aaaa", SINCE, SINCE + timedelta(seconds=90.2))
BY_BAD = Counted(Counter("asked_total", 'path="/infer"'), Counter("failed_total"), part_is_bad=True)
BY_GOOD = Counted(Counter("asked_total"), Counter("answered_total"), part_is_bad=False, boundary=0.25)


def series(revision: str, count: str, value: float) -> Series:
    return Series({REVISION_SERIES_LABEL: revision, COUNT_LABEL: count}, value)


SCRAPED = [series("fraud-v13-bbbb", UP, 1), series("fraud-v12-aaaa", UP, 1)]


def growth(series: str) -> str:
    """By the formula of the module, 91 s after the step began."""
    begun = SINCE.timestamp()
    last, at_first = f"last_over_time({series}[3691s])", f"last_over_time({series}[3600s] @ {begun:.3f})"
    before = f"(last_over_time({series}[3691s] offset 15s) and on () vector(time()) >= {begun + 15:.3f} or {at_first})"
    came = f"(last_over_time({series}[15s]) and on () vector(time()) > {begun:.3f})"
    return (
        f"max without (serin_part) ({last}"
        f' or label_replace(last_over_time({last}[15s:15s]), "serin_part", "stride", "", ""))'
        f' or label_replace(-{at_first}, "serin_part", "had", "", "")'
        f' or label_replace(sum_over_time(({before} > {came})[91s:15s]), "serin_part", "lost", "", "")'
    )


def the_query(revisions: str) -> str:
    asked, failed = f'asked_total{{{revisions},path="/infer"}}', f"failed_total{{{revisions}}}"
    return (
        f'label_replace(sum by (serin_dev_revision) ({growth(asked)}), "serin_count", "requests", "", "")'
        f' or label_replace(sum by (serin_dev_revision) ({growth(failed)}), "serin_count", "bad", "", "")'
        " or label_replace(sum by (serin_dev_revision) "
        f'(max by (serin_dev_revision, pod) (up{{{revisions},pod!=""}})'
        f' or max by (serin_dev_revision, instance) (up{{{revisions},pod=""}})), '
        '"serin_count", "up", "", "")'
    )


def test_the_query() -> None:
    ours = 'namespace="payments",serin_dev_revision=~"fraud-v13-bbbb|fraud-v12-aaaa"'
    assert counts_query(BY_BAD, SCOPE) == the_query(ours)


def test_of_several_clusters_only_our_own_is_counted() -> None:
    """Revisions of the same name are in each."""
    ours = 'namespace="payments",serin_dev_revision=~"fraud-v13-bbbb|fraud-v12-aaaa",cluster="eu"'
    assert counts_query(BY_BAD, replace(SCOPE, matchers='cluster="eu"')) == the_query(ours)


@pytest.mark.parametrize(("hours", "stride"), [(0, 15), (1, 15), (2, 15), (2.1, 30), (5, 60), (48, 480)])
def test_the_longer_the_step_the_longer_the_strides(hours: float, stride: int) -> None:
    """A day by strides of seconds would be more than Prometheus can look through while it is waited for."""
    query = counts_query(BY_BAD, replace(SCOPE, at=SINCE + timedelta(hours=hours)))
    assert f"[{max(1, round(hours * 3600))}s:{stride}s]" in query
    assert f"[{stride}s:{stride}s]" in query
    assert f"offset {stride}s" in query


def test_a_first_deployment_is_alone() -> None:
    alone = Scope("payments", "fraud-v13-bbbb", None, SINCE, SINCE)
    assert 'serin_dev_revision=~"fraud-v13-bbbb"' in counts_query(BY_BAD, alone)
    assert "[3601s]" in counts_query(BY_BAD, alone)
    found = read_counts([*SCRAPED, series("fraud-v13-bbbb", REQUESTS, 3)], BY_BAD, alone)
    assert isinstance(found, Sample)
    assert (found.candidate, found.stable) == (Tally(requests=3), Tally())


def test_counts_are_read_by_revision() -> None:
    answer = [
        *SCRAPED,
        series("fraud-v13-bbbb", REQUESTS, 100.0),
        series("fraud-v13-bbbb", BAD, 7.0),
        series("fraud-v12-aaaa", REQUESTS, 900.0),
        series("somebody-else", REQUESTS, 5.0),
    ]
    found = read_counts(answer, BY_BAD, SCOPE)
    assert isinstance(found, Sample)
    assert found.candidate == Tally(requests=100, bad=7)
    assert found.stable == Tally(requests=900, bad=0)
    assert (found.since, found.at, found.concurrent, found.remark) == (SINCE, SCOPE.at, True, "")


def test_what_is_not_good_is_bad() -> None:
    answer = [
        *SCRAPED,
        series("fraud-v13-bbbb", REQUESTS, 100.0),
        series("fraud-v12-aaaa", REQUESTS, 900.0),
        series("fraud-v12-aaaa", GOOD, 901.0),
    ]
    found = read_counts(answer, BY_GOOD, SCOPE)
    assert isinstance(found, Sample)
    assert found.candidate == Tally(requests=100, bad=100)
    assert found.stable == Tally(requests=900, bad=0)
    assert found.remark == "counted at 0.25 s, the histogram's boundary below"


def test_no_series_is_no_request() -> None:
    found = read_counts(SCRAPED, BY_BAD, SCOPE)
    assert isinstance(found, Sample)
    assert (found.candidate, found.stable) == (Tally(), Tally())


def test_a_server_that_is_too_busy_to_be_scraped_is_not_taken_for_a_quiet_one() -> None:
    busy = [series("fraud-v13-bbbb", UP, 0), series("fraud-v12-aaaa", UP, 2)]
    found = read_counts(busy, BY_BAD, SCOPE)
    assert isinstance(found, Unknown)
    assert "the pods of fraud-v13-bbbb do not answer Prometheus' scrapes" in found.message
    nobody = read_counts([series("fraud-v13-bbbb", UP, 1)], BY_BAD, SCOPE)
    assert isinstance(nobody, Unknown)
    assert "the pods of fraud-v12-aaaa are not scraped by Prometheus" in nobody.message
    alone = replace(SCOPE, concurrent=False)
    assert isinstance(read_counts([series("fraud-v13-bbbb", UP, 1)], BY_BAD, alone), Sample), "nothing is asked of it"


def test_whose_pods_are_not_all_heard_is_said() -> None:
    ready = {"fraud-v13-bbbb": 2, "fraud-v12-aaaa": 3}
    one = replace(SCOPE, ready=ready)

    def unheard(candidate: int, stable: int, scope: Scope = one) -> str:
        found = read_counts(
            [series("fraud-v13-bbbb", UP, candidate), series("fraud-v12-aaaa", UP, stable)], BY_BAD, scope
        )
        assert isinstance(found, Sample)
        return found.unheard

    assert unheard(2, 3) == ""
    assert unheard(5, 4) == "", "one that is not ready may be scraped"
    assert unheard(1, 3) == "only 1 of the 2 ready pods of fraud-v13-bbbb answers Prometheus' scrapes"
    assert unheard(2, 2) == "only 2 of the 3 ready pods of fraud-v12-aaaa answer Prometheus' scrapes"
    assert unheard(1, 2).count("only") == 2
    assert unheard(2, 2, replace(one, concurrent=False)) == "", "nothing is asked of the stable one"
    assert unheard(1, 1, SCOPE) == "", "how many are ready is not known"


@pytest.mark.parametrize(
    "answer",
    [
        [series("fraud-v13-bbbb", REQUESTS, math.nan)],
        [series("fraud-v13-bbbb", REQUESTS, math.inf)],
        [series("fraud-v13-bbbb", REQUESTS, 1), series("fraud-v13-bbbb", REQUESTS, 2)],
    ],
)
def test_what_cannot_be_counts_is_an_error(answer: list[Series]) -> None:
    assert isinstance(read_counts(answer, BY_BAD, SCOPE), Unknown)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ([], Number(None, 7)),
        ([Series({}, 0.25)], Number(0.25, 7)),
        ([Series({}, math.nan)], Number(None, 7)),
        ([Series({}, -math.inf)], Number(None, 7)),
    ],
)
def test_the_number_of_a_query_of_ones_own(answer: list[Series], number: Number) -> None:
    assert read_number(answer, 7) == number


def test_several_numbers_are_none() -> None:
    assert read_number([Series({}, 1), Series({"a": "b"}, 1)]) == Unknown(
        "the query gave 2 series; it must give one number"
    )
