"""Verdicts: what fails, what passes, what nobody can know yet, and what people are told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from serin.analysis.checks import Levels
from serin.analysis.checks import Measurement
from serin.analysis.checks import Number
from serin.analysis.checks import Unknown
from serin.analysis.checks import levels
from serin.analysis.verdict import anew
from serin.analysis.verdict import judge
from serin.analysis.verdict import next_step
from serin.analysis.verdict import overall
from serin.analysis.words import percent
from serin.api.analysis import Analysis
from serin.api.analysis import CheckStatus
from serin.api.analysis import Evidence
from serin.api.analysis import Tally
from serin.api.analysis import Verdict
from serin.api.base import to_wire
from tests.unit.analysis.scene import BOUNDED
from tests.unit.analysis.scene import COMPARED
from tests.unit.analysis.scene import MARGIN
from tests.unit.analysis.scene import SINCE
from tests.unit.analysis.scene import SLOW
from tests.unit.analysis.scene import VERSIONS
from tests.unit.analysis.scene import analysis
from tests.unit.analysis.scene import sample


def judged(measured: Measurement, check: dict[str, Any] = COMPARED, **fields: Any) -> CheckStatus:
    declared = analysis(check, **fields)
    (status,) = judge(declared, {declared.checks[0].name: measured}, (), VERSIONS)
    return status


def test_the_sentence_of_a_candidate_that_is_worse() -> None:
    status = judged(sample((1204, 85), (10_800, 97)))
    assert status.verdict is Verdict.FAIL
    assert status.message == "error rate 7.1 % against 0.9 % of v12 after 1,204 requests"
    assert status.candidate == pytest.approx(85 / 1204)
    assert status.stable == pytest.approx(97 / 10_800)
    assert status.requests == 1204
    assert status.e_value is not None
    assert status.limit == 20
    assert status.e_value >= status.limit


def test_a_candidate_like_the_stable_one_passes() -> None:
    status = judged(sample((1200, 11), (10_800, 97)))
    assert status.verdict is Verdict.PASS
    assert status.message == "error rate 0.92 % against 0.9 % of v12 after 1,200 requests"
    assert status.needed == 0
    assert status.enough_at is None


def test_nothing_passes_before_there_were_enough_requests() -> None:
    status = judged(sample((80, 0), (720, 6), seconds=120))
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.needed == 120
    assert status.enough_at == SINCE + timedelta(seconds=300)
    assert status.message == (
        "error rate 0 % against 0.83 % of v12 after 80 requests; 120 more requests are needed to v13"
    )


def test_pods_that_are_not_scraped_keep_a_candidate_from_passing_and_not_from_failing() -> None:
    unheard = "only 1 of the 2 ready pods of fraud-v13-bbbb answers Prometheus' scrapes"
    good = judged(sample((1200, 11), (10_800, 97), unheard=unheard))
    assert good.verdict is Verdict.INCONCLUSIVE
    assert good.message == f"error rate 0.92 % against 0.9 % of v12 after 1,200 requests; {unheard}"
    assert judged(sample((0, 0), (10_800, 97), unheard=unheard)).message == f"no requests; {unheard}"
    worse = judged(sample((1204, 85), (10_800, 97), unheard=unheard))
    assert (worse.verdict, unheard in worse.message) == (Verdict.FAIL, False)


def test_both_that_are_compared_need_requests() -> None:
    status = judged(sample((9900, 50), (100, 1), seconds=100))
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.needed == 100
    assert status.enough_at == SINCE + timedelta(seconds=200)
    assert status.message.endswith("100 more requests are needed to v12")


@pytest.mark.parametrize("check", [COMPARED, BOUNDED, SLOW])
def test_no_request_is_neither_good_nor_bad(check: dict[str, Any]) -> None:
    status = judged(sample((0, 0), (10_000, 90)), check)
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message == "no requests to v13 yet"
    assert status.candidate is None
    assert status.enough_at is None


def test_a_single_bad_request_neither_fails_nor_stops_a_candidate() -> None:
    assert judged(sample((3, 1), (0, 0)), BOUNDED).verdict is Verdict.INCONCLUSIVE
    assert judged(sample((300, 1), (2700, 0))).verdict is Verdict.PASS


def test_what_leans_against_the_candidate_does_not_pass() -> None:
    status = judged(sample((1000, 12), (9000, 45)))
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message.endswith("too early to tell whether that is chance")
    assert status.e_value is not None
    assert 1 < status.e_value < 20


def test_a_bound_is_judged_by_itself() -> None:
    above = judged(sample((1204, 120)), BOUNDED)
    assert above.verdict is Verdict.FAIL
    assert above.message == "error rate 10 %, above 5%, after 1,204 requests"
    within = judged(sample((1204, 50)), BOUNDED)
    assert within.verdict is Verdict.PASS
    assert within.message == "error rate 4.2 %, bound 5%, after 1,204 requests"
    # A little above: chance, so far.
    assert judged(sample((1204, 65)), BOUNDED).verdict is Verdict.INCONCLUSIVE


def test_a_bound_and_a_comparison_together() -> None:
    check = {**COMPARED, "atMost": "5%"}
    like_stable = judged(sample((1204, 120), (10_800, 1080)), check)
    assert like_stable.verdict is Verdict.FAIL
    assert like_stable.message == "error rate 10 %, above 5%, after 1,204 requests"
    within_and_worse = judged(sample((1204, 50), (10_800, 50)), check)
    assert within_and_worse.verdict is Verdict.FAIL
    assert within_and_worse.message == "error rate 4.2 % against 0.46 % of v12 after 1,204 requests"


def test_a_bound_that_is_not_met_is_told_beside_the_stable_ones_figure() -> None:
    check = {**COMPARED, "atMost": "5%"}
    above = judged(sample((400, 21), (4000, 210)), check)
    assert above.verdict is Verdict.INCONCLUSIVE
    assert above.message.startswith("error rate 5.2 % against 5.2 % of v12, above 5%, after 400 requests: too early")
    within = judged(sample((400, 19), (4000, 210)), check)
    assert within.verdict is Verdict.PASS
    assert within.message == "error rate 4.8 % against 5.2 % of v12 after 400 requests"


@pytest.mark.parametrize(
    ("check", "candidate", "stable", "message"),
    [
        (BOUNDED, (100_000, 5040), (0, 0), "error rate 5.04 %, above 5%, after 100,000 requests"),
        (BOUNDED, (1_000_000, 50_001), (0, 0), "error rate 5.0001 %, above 5%, after 1,000,000 requests"),
        ({**BOUNDED, "atMost": "0.1%"}, (1_000_000, 1001), (0, 0), "error rate 0.1001 %, above 0.1%, after"),
        (COMPARED, (10_000, 504), (10_000, 501), "error rate 5.04 % against 5.01 % of v12 after"),
        (COMPARED, (10_000, 501), (10_000, 504), "error rate 5 % against 5 % of v12 after"),
        (
            {**COMPARED, "atMost": "5%"},
            (10_000, 504),
            (10_000, 501),
            "error rate 5.04 % against 5.01 % of v12, above",
        ),
        (
            {**COMPARED, "atMost": "5%"},
            (10_000, 501),
            (10_000, 504),
            "error rate 5.01 % against 5.04 % of v12, above",
        ),
    ],
)
def test_figures_that_differ_are_written_so_that_they_do(
    check: dict[str, Any], candidate: tuple[int, int], stable: tuple[int, int], message: str
) -> None:
    assert judged(sample(candidate, stable), check).message.startswith(message)


@pytest.mark.parametrize(
    ("candidate", "verdict", "words"),
    [
        ((10_000, 530), Verdict.INCONCLUSIVE, "too early to tell whether that is chance"),
        (
            (100_000, 5300),
            Verdict.INCONCLUSIVE,
            "too near to that bound to tell them apart before about 39,000 more; raise it, or set a deadline",
        ),
        ((200_000, 10_600), Verdict.FAIL, "error rate 5.3 %, above 5%, after 200,000 requests"),
        ((1_000_000, 50_400), Verdict.INCONCLUSIVE, "too early to tell whether that is chance"),
        (
            (5_000_000, 252_000),
            Verdict.INCONCLUSIVE,
            "too near to that bound for any number of requests to tell them apart; raise it, or set a deadline",
        ),
        ((5_000_000, 250_000), Verdict.PASS, "error rate 5 %, bound 5%, after 5,000,000 requests"),
    ],
)
def test_what_is_near_above_its_bound_is_told_what_it_waits_for(
    candidate: tuple[int, int], verdict: Verdict, words: str
) -> None:
    status = judged(sample(candidate), BOUNDED)
    assert (status.verdict, status.message.endswith(words)) == (verdict, True), status.message


def test_evidence_of_an_older_operator_counts_on() -> None:
    """It knew four alternatives, and the rollout goes on by five."""
    declared = analysis()
    (before,) = next_step(declared, _through(declared, ((300, 6), (2700, 20)), ((300, 6), (2700, 20))))
    assert before.evidence is not None
    older = before.model_copy(
        update={"evidence": before.evidence.model_copy(update={"compared": before.evidence.compared[:4]})}
    )
    measured = {"errors": sample((300, 12), (2700, 20))}
    (after,) = judge(declared, measured, (older,), VERSIONS)
    (same,) = judge(declared, measured, (before,), VERSIONS)
    assert after.verdict is same.verdict is Verdict.FAIL
    assert after.e_value == pytest.approx(same.e_value, rel=0.02)


def test_slow_answers_with_a_remark() -> None:
    remark = "counted at 0.25 s, the histogram's boundary below"
    status = judged(sample((1000, 120), (9000, 180), remark=remark), {**SLOW, "threshold": "300ms"})
    assert status.verdict is Verdict.FAIL
    assert status.message == (
        "12 % of the requests slower than 300ms against 2 % of v12 after 1,000 requests "
        "(counted at 0.25 s, the histogram's boundary below)"
    )


@pytest.mark.parametrize(
    ("number", "verdict", "message"),
    [
        (Number(0.31), Verdict.PASS, "0.31 is within its bounds"),
        (Number(0.0999), Verdict.FAIL, "0.0999 is below 0.1"),
        (Number(1.5), Verdict.FAIL, "1.5 is above 1"),
        (Number(0.099999999), Verdict.FAIL, "0.099999999 is below 0.1"),
        (Number(1.00000001), Verdict.FAIL, "1.00000001 is above 1"),
        (Number(None), Verdict.INCONCLUSIVE, "the query gave no number"),
        (Number(0.05, requests=0), Verdict.INCONCLUSIVE, "no requests yet"),
        (Number(0.31, requests=150), Verdict.INCONCLUSIVE, "0.31 is within its bounds; 50 more requests are needed"),
        (Number(0.31, requests=200), Verdict.PASS, "0.31 is within its bounds"),
    ],
)
def test_a_query_of_ones_own_by_its_value(number: Number, verdict: Verdict, message: str) -> None:
    status = judged(number, {**MARGIN, "atMost": 1})
    assert (status.verdict, status.message) == (verdict, message)


def test_what_the_source_cannot_tell_is_counted_apart_and_changes_no_evidence() -> None:
    declared = analysis()
    before = judge(declared, {"errors": sample((500, 5), (4500, 45))}, (), VERSIONS)
    once = judge(declared, {"errors": Unknown("Prometheus did not answer")}, before, VERSIONS)
    twice = judge(declared, {"errors": Unknown("Prometheus did not answer")}, once, VERSIONS)
    assert [status.verdict for status in twice] == [Verdict.ERROR]
    assert (twice[0].errors, twice[0].message) == (2, "Prometheus did not answer")
    assert twice[0].evidence == before[0].evidence
    again = judge(declared, {"errors": sample((600, 6), (5400, 54))}, twice, VERSIONS)
    assert (again[0].verdict, again[0].errors) == (Verdict.PASS, 0)


def test_a_check_that_was_not_measured_keeps_its_status() -> None:
    declared = analysis(COMPARED, SLOW)
    first = judge(declared, {"errors": sample((500, 5), (4500, 45))}, (), VERSIONS)
    assert [status.verdict for status in first] == [Verdict.PASS, Verdict.INCONCLUSIVE]
    assert first[1].message == "not measured yet"
    assert judge(declared, {}, first, VERSIONS) == first


def test_all_together_are_as_the_worst_that_decides() -> None:
    def together(*verdicts: Verdict, dry: Verdict = Verdict.PASS) -> Verdict:
        statuses = [CheckStatus(check="a", verdict=verdict) for verdict in verdicts]
        return overall([*statuses, CheckStatus(check="dry", verdict=dry, dry_run=True)])

    good, bad, unclear, unknown = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR
    assert together() is good
    assert together(dry=bad) is good
    assert together(good, good, dry=bad) is good
    assert together(good, unclear) is unclear
    assert together(unclear, unknown) is unknown
    assert together(unclear, unknown, bad) is bad


def test_levels_are_split_over_what_decides() -> None:
    both = {**COMPARED, "atMost": "5%"}
    declared = analysis(both, SLOW, {**BOUNDED, "name": "dry", "dryRun": True}, MARGIN)
    errors, slow, _, margin = (levels(declared, check) for check in declared.checks)
    assert errors.compared == pytest.approx(0.02)
    assert errors.bounded == pytest.approx(0.005)
    assert slow.compared == pytest.approx(0.025)
    assert slow.bounded == 0
    assert margin == Levels()
    assert errors.compared + errors.bounded + slow.compared == pytest.approx(0.05)


def _through(declared: Analysis, *steps: tuple[tuple[int, int], tuple[int, int]]) -> tuple[CheckStatus, ...]:
    statuses: tuple[CheckStatus, ...] = ()
    for number, (candidate, stable) in enumerate(steps):
        statuses = next_step(declared, statuses) if number else statuses
        statuses = judge(declared, {"errors": sample(candidate, stable)}, statuses, VERSIONS)
    return statuses


def test_evidence_adds_up_over_steps() -> None:
    declared = analysis()
    (alone,) = _through(declared, ((300, 6), (2700, 20)))
    (after,) = _through(declared, ((300, 6), (2700, 20)), ((300, 6), (2700, 20)))
    assert alone.verdict is Verdict.INCONCLUSIVE
    assert alone.e_value is not None
    assert after.e_value is not None
    assert after.e_value > alone.e_value**1.5


def test_a_good_step_does_not_protect_a_candidate_that_then_breaks() -> None:
    (status,) = _through(analysis(), ((2000, 10), (18_000, 90)), ((1000, 60), (1000, 5)))
    assert status.verdict is Verdict.FAIL


def test_a_step_without_requests_costs_nothing() -> None:
    declared = analysis()
    statuses = _through(declared, ((300, 6), (2700, 20)))
    begun = next_step(declared, statuses)
    idle = judge(declared, {"errors": sample((0, 0), (50, 1))}, begun, VERSIONS)
    after, before = next_step(declared, idle)[0].evidence, begun[0].evidence
    assert after is not None
    assert before is not None
    assert after.record == Tally(requests=2750, bad=21)
    assert after == before.model_copy(update={"record": after.record})
    assert next_step(declared, ())[0].evidence is None


def test_with_all_the_traffic_it_is_compared_with_what_the_stable_one_did_before() -> None:
    declared = analysis()
    record = _through(declared, ((2000, 20), (18_000, 180)), ((5000, 50), (5000, 50)))
    evidence = next_step(declared, record)[0].evidence
    assert evidence is not None
    assert evidence.record == Tally(requests=23_000, bad=230)

    def alone(bad: int) -> CheckStatus:
        measured = sample((10_000, bad), (0, 0), concurrent=False)
        (status,) = judge(declared, {"errors": measured}, next_step(declared, record), VERSIONS)
        return status

    assert alone(100).verdict is Verdict.PASS
    assert alone(100).message == "error rate 1 % against 1 % of v12 before after 10,000 requests"
    assert alone(300).verdict is Verdict.FAIL
    assert alone(300).limit == 40


@pytest.mark.parametrize(("before", "bad"), [(0, 4500), (199, 50)])
def test_where_the_stable_one_had_too_few_requests_to_compare_with_nothing_passes(before: int, bad: int) -> None:
    """All the traffic at once, or after a step that nobody looked at."""
    declared = analysis()
    statuses = next_step(declared, _through(declared, ((0, 0), (before, 0)))) if before else ()
    (status,) = judge(declared, {"errors": sample((5000, bad), concurrent=False)}, statuses, VERSIONS)
    assert status.verdict is Verdict.INCONCLUSIVE
    assert status.message.endswith(
        f"no comparison without 200 requests to v12 in the steps before, which had {before}: "
        "the rollout needs a step below 100 % that sees them, or the check atMost instead of notWorseThanStable"
    )
    (fewer,) = judge(declared, {"errors": sample((50, 1), concurrent=False)}, statuses, VERSIONS)
    assert (fewer.needed, fewer.enough_at) == (150, None), "more requests to the candidate do not help"
    (bounded,) = judge(
        analysis({**COMPARED, "atMost": "5%"}), {"errors": sample((5000, 4500), concurrent=False)}, statuses, VERSIONS
    )
    assert bounded.verdict is Verdict.FAIL, "the bound needs nothing to compare with"


def test_as_few_requests_of_the_stable_one_as_a_step_needs_are_enough_to_compare_with() -> None:
    declared = analysis()
    statuses = next_step(declared, _through(declared, ((0, 0), (200, 2))))
    (status,) = judge(declared, {"errors": sample((5000, 50), concurrent=False)}, statuses, VERSIONS)
    assert status.verdict is Verdict.PASS


def test_begun_anew_nothing_is_known_of_the_candidate_and_everything_of_the_stable_one() -> None:
    declared = analysis(COMPARED, SLOW)
    statuses: tuple[CheckStatus, ...] = ()
    for look, bad in enumerate([0, 30, 30, 60], start=1):
        measured = {"errors": sample((100 * look, 30 * look), (900 * look, bad))}
        statuses = judge(declared, measured, statuses, VERSIONS)
    statuses = next_step(declared, statuses)
    statuses = judge(declared, {"errors": sample((300, 90), (300, 3))}, statuses, VERSIONS)
    before = statuses[0].evidence
    errors, slow = anew(declared, statuses)
    assert before is not None
    assert before.looks > 0
    assert (before.stage, before.spread > before.looks) == (2, True)
    assert errors == CheckStatus(
        check="errors",
        message="not measured yet",
        evidence=Evidence(looks=before.looks, spread=before.spread, record=Tally(requests=3900, bad=63)),
    )
    assert slow == CheckStatus(check="slow", message="not measured yet")
    assert anew(declared, ()) == judge(declared, {}, (), VERSIONS)


def test_clumps_of_the_stable_one_make_the_judge_slower() -> None:
    def after(stable: list[int]) -> CheckStatus:
        declared, bad = analysis(), 0
        statuses: tuple[CheckStatus, ...] = ()
        for look, more in enumerate(stable, start=1):
            bad += more
            measured = {"errors": sample((100 * look, 3 * look), (900 * look, bad))}
            statuses = judge(declared, measured, statuses, VERSIONS)
        return statuses[0]

    assert after([9] * 12).verdict is Verdict.FAIL
    assert after([0, 0, 27] * 4).verdict is Verdict.INCONCLUSIVE


def test_a_status_survives_the_wire() -> None:
    declared = analysis({**COMPARED, "atMost": "5%"})
    statuses = _through(declared, ((300, 6), (2700, 20)), ((300, 6), (2700, 20)))
    (back,) = (CheckStatus.model_validate_json(status.model_dump_json(by_alias=True)) for status in statuses)
    assert back == statuses[0]
    assert CheckStatus.model_validate(to_wire(statuses[0])) == statuses[0]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.0714, "7.1 %"),
        (0.12, "12 %"),
        (0.00934, "0.93 %"),
        (0.00004567, "0.0046 %"),
        (0.999, "99.9 %"),
        (0.1, "10 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
