"""A rollout that is judged: evidence and time together move it on, and a check that fails ends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.api.analysis import Analysis
from serin.api.analysis import Evidence
from serin.api.analysis import Tally
from serin.api.analysis import Verdict
from serin.api.base import to_wire
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.looks import Look
from serin.rollout.looks import questions
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import check
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds

ERRORS = {"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}}
MARGIN = {"name": "margin", "query": 'margin{revision="{{ revision }}"}', "atLeast": 0.1}


def judged(weights: dict[int, str], *checks: Any, serving: Any = None, **rollout: Any) -> Scene:
    analysis = {"every": "30s", "minRequests": 100, "checks": list(checks or (ERRORS,))}
    return rolling(weights, rollout={"analysis": analysis, **rollout}, serving=serving or {})


def counts(scene: Scene, candidate: tuple[int, int], stable: tuple[int, int] = (1000, 5)) -> None:
    """Requests and bad ones of both since the step began, from now on."""
    scene.measured["errors"] = Sample(
        Tally(requests=candidate[0], bad=candidate[1]),
        Tally(requests=stable[0], bad=stable[1]),
        since=scene.now - seconds(60),
        at=scene.now,
    )


def verdict(scene: Scene) -> Verdict | None:
    return scene.status.rollout.verdict if scene.status.rollout is not None else None


def test_a_step_ends_when_time_and_evidence_are_both_there() -> None:
    scene = judged({10: "5m", 50: "5m"})
    counts(scene, (20, 0))
    scene.run(10 + 600)
    assert (scene.weight, verdict(scene)) == (10, Verdict.INCONCLUSIVE)
    assert scene.status.phase is Phase.PROGRESSING
    assert "check errors to pass" in scene.status.message
    assert "80 more requests are needed" in scene.status.message
    assert scene.condition(ConditionType.ANALYSIS_PASSING) == ("Unknown", Reason.ANALYSIS_INCONCLUSIVE)
    assert scene.status.analysis[0].message in [one.message for one in scene.status.conditions]
    counts(scene, (150, 0))
    scene.run(30)
    assert scene.weight == 50, "evidence came after the hold"
    assert verdict(scene) is None, "what passed in one step has to pass in the next"
    assert scene.status.rollout is not None
    assert scene.status.rollout.judged_at is None
    scene.run(299)
    assert (scene.weight, verdict(scene)) == (50, Verdict.PASS)
    assert scene.condition(ConditionType.ANALYSIS_PASSING) == ("True", Reason.ANALYSIS_PASSING)
    assert "every check passes" in [one.message for one in scene.status.conditions]
    scene.run(1)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_a_check_that_fails_takes_the_candidate_back_at_once() -> None:
    scene = judged({10: "1h"})
    counts(scene, (200, 1))
    scene.run(60)
    candidate = scene.candidate
    counts(scene, (400, 60))
    scene.run(30)
    assert scene.route.weights.get(candidate, 0) == 0
    assert scene.status.phase is Phase.ROLLED_BACK
    (rejection,) = scene.status.rejected
    assert (rejection.version, rejection.reason) == ("v2", Reason.ANALYSIS_FAILED)
    assert rejection.message == "error rate 15 % against 0.5 % of v1 after 400 requests"
    assert scene.status.analysis[0].verdict is Verdict.FAIL, "what it was judged by can still be read"
    scene.run(3600)
    assert scene.status.candidate is None, "it is tried again"


def test_frozen_waits_for_a_person_and_is_judged_anew_when_it_goes_on() -> None:
    scene = judged({10: "5m"}, onFailure="Freeze")
    counts(scene, (400, 60))
    scene.run(40)
    assert scene.status.phase is Phase.PAUSED
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.FROZEN)
    assert scene.kstatus == "Failed", "it needs somebody"
    scene.outlast(7200)
    assert scene.weight == 10
    counts(scene, (400, 2))
    scene.order(Verb.RESUME, scene.candidate).run(1)
    assert scene.status.rollout is not None
    assert scene.status.rollout.paused is None
    scene.run(298)
    assert (scene.weight, verdict(scene)) == (10, Verdict.PASS)
    scene.run(2)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_what_cannot_be_measured_moves_nothing_and_ends_nothing() -> None:
    scene = judged({10: "5m"})
    scene.measured["errors"] = Unknown("Prometheus cannot be reached: connection refused")
    scene.outlast(7200)
    assert (scene.weight, verdict(scene)) == (10, Verdict.ERROR)
    assert scene.condition(ConditionType.ANALYSIS_PASSING) == ("Unknown", Reason.ANALYSIS_ERROR)
    assert "connection refused" in scene.status.message
    assert scene.status.analysis[0].errors > 100
    counts(scene, (400, 2))
    scene.run(30)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_a_look_counts_once_however_finely_its_moment_is_told() -> None:
    """The status keeps milliseconds: read again, the look must not be younger than the verdict that it led to."""
    scene = judged({10: "5m"})
    scene.run(60)
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at is not None
    measured = {"errors": Unknown("Prometheus cannot be reached: connection refused")}
    look = Look(since=scene.status.rollout.step_started_at, at=scene.now + seconds(0.123456), measured=measured)
    for _ in range(3):
        decision = check(replace(scene.observed(), look=look), scene.now + seconds(0.2))
        scene.status = ModelDeploymentStatus.model_validate(to_wire(decision.status))
        assert (scene.status.analysis[0].errors, scene.status) == (1, decision.status)


def late_gateway(**rollout: Any) -> Scene:
    """The first step has passed, the route of the second is written, and the gateway takes its time for it."""
    scene = judged({10: "30s", 80: "5m"}, **rollout)
    assert not isinstance(scene.spec, Problem)
    serving = scene.spec.serving.model_copy(update={"min_replicas": 5})
    scene.spec = scene.spec.model_copy(update={"serving": serving})
    counts(scene, (400, 2))
    scene.run(35)
    assert (scene.weight, verdict(scene)) == (10, None)
    scene.accepts = False
    scene.run(16)
    assert (scene.weight, verdict(scene)) == (80, Verdict.PASS)
    return scene


def test_a_step_that_was_decided_upon_is_not_taken_back_because_nothing_can_be_measured() -> None:
    scene = late_gateway()
    scene.measured["errors"] = Unknown("Prometheus cannot be reached: connection refused")
    scene.run(60)
    assert scene.weight == 80
    scene.accept().look()
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step, verdict(scene)) == (2, None)


def test_a_step_that_was_decided_upon_is_taken_back_by_a_failure() -> None:
    scene = late_gateway()
    candidate = scene.candidate
    counts(scene, (800, 90))
    scene.run(30)
    assert scene.route.weights[candidate] == 0
    assert scene.outcomes()[0] == ("v2", "RolledBack")


def test_replicas_go_when_the_gateway_no_longer_needs_them() -> None:
    """It says when it acts by the route that takes the weight back, not before."""
    scene = late_gateway(onFailure="Freeze")
    counts(scene, (800, 90))
    scene.run(30)
    assert (scene.status.phase, scene.weight, len(scene.pods[scene.candidate])) == (Phase.PAUSED, 10, 4)
    scene.accept().settle()
    assert scene.status.candidate is not None
    assert scene.status.candidate.replicas == 1


def test_a_look_without_an_answer_moves_nothing() -> None:
    scene = judged({10: "5m"})
    scene.run(7200)
    assert (scene.weight, verdict(scene)) == (10, None)
    assert "check errors to pass: not measured yet" in scene.status.message


def test_dry_runs_decide_nothing() -> None:
    scene = judged({10: "5m"}, {**ERRORS, "dryRun": True})
    counts(scene, (400, 60))
    scene.run(40)
    assert (scene.status.analysis[0].verdict, scene.status.analysis[0].dry_run) == (Verdict.FAIL, True)
    assert verdict(scene) is Verdict.PASS
    scene.run(300)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_it_is_still_judged_while_it_bakes() -> None:
    scene = judged({50: "1m"}, bake="30m")
    counts(scene, (4000, 10), (4000, 10))
    scene.run(75)
    assert scene.status.phase is Phase.BAKING
    stable = scene.stable
    scene.measured["errors"] = Sample(
        Tally(requests=4000, bad=900), Tally(), since=scene.now, at=scene.now, concurrent=False
    )
    scene.run(60)
    assert scene.route.shares == {stable: 100}
    assert scene.status.rejected[0].reason is Reason.ANALYSIS_FAILED


def alone(scene: Scene, candidate: tuple[int, int]) -> None:
    """Requests and bad ones of the candidate, which has all the traffic, from now on."""
    scene.measured["errors"] = Sample(
        Tally(requests=candidate[0], bad=candidate[1]), Tally(), since=scene.now, at=scene.now, concurrent=False
    )


@pytest.mark.parametrize(
    "course",
    [
        {"bake": "30m"},
        {"steps": [{"weight": 100, "hold": "10m"}]},
        {"steps": [{"weight": 0, "hold": "5s"}], "bake": "30m"},
    ],
)
def test_what_can_be_compared_with_nothing_is_not_promoted_and_says_what_it_lacks(course: dict[str, Any]) -> None:
    scene = judged({}, **course)
    alone(scene, (5000, 4500))
    scene.outlast(7200)
    assert (scene.weight, verdict(scene)) == (100, Verdict.INCONCLUSIVE)
    assert "no comparison without 100 requests to v1" in scene.status.message
    assert "the rollout needs a step below 100 % that sees them, or the check atMost instead" in scene.status.message
    assert scene.condition(ConditionType.ANALYSIS_PASSING) == ("Unknown", Reason.ANALYSIS_INCONCLUSIVE)
    scene.order(Verb.PROMOTE, scene.candidate).run(20)
    assert scene.outcomes()[0] == ("v2", "Promoted"), "a person may mean it"


def test_what_goes_on_in_the_bake_is_still_compared_with_what_the_stable_one_did() -> None:
    scene = judged({50: "5m"}, bake="30m", onFailure="Freeze")
    counts(scene, (5000, 25), (5000, 25))
    scene.run(400)
    assert scene.status.phase is Phase.BAKING
    alone(scene, (5000, 1000))
    scene.run(60)
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.FROZEN)
    alone(scene, (5000, 30))
    scene.order(Verb.RESUME, scene.candidate, "once").run(60)
    going = scene.status.analysis[0]
    assert (verdict(scene), going.stable) == (Verdict.PASS, 0.005), "what it did before is not held against it"
    alone(scene, (10_000, 4500))
    scene.run(60)
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.FROZEN)
    assert scene.status.analysis[0].message == "error rate 45 % against 0.5 % of v1 before after 10,000 requests"


@pytest.mark.parametrize("step", [{"weight": 0, "hold": "1m"}, {"weight": 0, "match": {"headers": {"x": "y"}}}])
def test_a_step_that_gives_no_share_of_the_requests_needs_no_evidence(step: dict[str, Any]) -> None:
    scene = judged({}, steps=[{"hold": "1m", **step}])
    counts(scene, (0, 0))
    scene.run(80)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_copies_are_judged_too() -> None:
    scene = judged({}, steps=[{"weight": 0, "mirror": 20, "hold": "1m"}])
    counts(scene, (10, 0))
    scene.run(600)
    assert scene.weight == 0
    counts(scene, (400, 100))
    scene.run(30)
    assert scene.status.rejected[0].reason is Reason.ANALYSIS_FAILED


def test_own_queries_stand_beside_counts() -> None:
    scene = judged({10: "1m"}, ERRORS, MARGIN)
    counts(scene, (400, 2))
    scene.measured["margin"] = Number(0.3, 400)
    scene.run(45)
    assert [one.verdict for one in scene.status.analysis] == [Verdict.PASS, Verdict.PASS]
    asked = questions("payments", "fraud", scene.status, scene.now)
    assert [one.check for one in asked] == ["errors", "margin"]
    assert asked[1].query == f'margin{{revision="{scene.candidate}"}}'
    scene.measured["margin"] = Number(0.01, 400)
    scene.run(30)
    assert scene.status.rejected[0].message == "0.01 is below 0.1"


def test_a_template_that_must_not_be_rendered_starts_nothing() -> None:
    analysis = {"checks": [{**MARGIN, "query": "{{ revision.__class__ }}"}]}
    scene = healthy(1).declare(2, rollout={"steps": [{"weight": 10, "hold": "1m"}], "analysis": analysis})
    scene.run(600)
    assert scene.status.candidate is None
    assert scene.condition(ConditionType.READY) == ("False", Reason.INVALID_QUERY)
    assert "check margin" in scene.status.message
    assert scene.status.phase is Phase.FAILED


def test_promoted_by_order_nothing_is_judged_any_more() -> None:
    scene = judged({10: "1h"})
    counts(scene, (20, 0))
    scene.run(60)
    scene.order(Verb.PROMOTE, scene.candidate).run(20)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_at_the_deadline_too_little_evidence_is_inconclusive() -> None:
    scene = judged({10: "1m"}, deadline="1h", onInconclusive="Rollback")
    counts(scene, (20, 0))
    scene.run(3700)
    assert scene.status.rejected[0].reason is Reason.DEADLINE_EXCEEDED
    assert "80 more requests are needed" in scene.status.rejected[0].message


def test_a_look_that_comes_with_the_order_to_promote_ends_nothing() -> None:
    """The person was told what is known, and means it; the figures are of the moment before."""
    scene = judged({10: "5m"})
    scene.run(10)
    counts(scene, (1000, 900))
    scene.accepts = False
    scene.wait(30).order(Verb.PROMOTE, scene.candidate).look()
    assert (scene.status.rejected, scene.weight) == ((), 100)


def test_a_query_can_name_how_long_the_step_has_run() -> None:
    scene = judged({10: "5m"}, {"name": "rate", "query": "sum(rate(bad[{{ seconds }}s]))", "atMost": 1})
    scene.run(10)
    assert [one.query for one in questions("payments", "fraud", scene.status, scene.now)] == ["sum(rate(bad[1s]))"]
    later = scene.now + seconds(45)
    assert [one.query for one in questions("payments", "fraud", scene.status, later)] == ["sum(rate(bad[45s]))"]


def test_an_analysis_without_checks_waits_for_nothing() -> None:
    """None is declared; a rollout that began by an older operator may still go by one."""
    scene = rolling({10: "5m"})
    scene.run(15)
    rollout = scene.status.rollout
    assert rollout is not None
    course = rollout.course.model_copy(update={"analysis": Analysis(every="30s")})
    scene.status = scene.status.model_copy(update={"rollout": rollout.model_copy(update={"course": course})})
    decision = scene.look()
    assert scene.status.rollout is not None
    assert decision.look_again_at == scene.status.rollout.next_at
    scene.run(300 + 20)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_the_smallest_share_needs_evidence_too() -> None:
    scene = judged({1: "1m"})
    counts(scene, (20, 0))
    scene.run(600)
    assert (scene.weight, verdict(scene)) == (1, Verdict.INCONCLUSIVE)


def test_a_look_at_the_step_before_says_nothing_of_this_one() -> None:
    """It was on its way when the step began: its requests were counted under another weight."""
    scene = judged({10: "1m", 50: "1h"})
    counts(scene, (400, 2))
    scene.run(60)
    assert scene.status.rollout is not None
    before = scene.status.rollout.step_started_at
    assert before is not None
    scene.run(60)
    assert scene.weight == 50
    counts(scene, (400, 300))
    late = Look(since=before, at=scene.moment(-1), measured=dict(scene.measured))
    decision = check(replace(scene.observed(), look=late), scene.moment(-1))
    assert (decision.status.rejected, decision.status.candidate and decision.status.candidate.version) == ((), "v2")


def test_a_candidate_that_a_person_paused_is_taken_back_when_a_check_fails() -> None:
    scene = judged({10: "5m"})
    counts(scene, (400, 2))
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    counts(scene, (600, 100))
    scene.run(60)
    assert scene.status.rejected[0].reason is Reason.ANALYSIS_FAILED


@pytest.mark.parametrize(
    ("counted", "words"), [((400, 60), "error rate 15 % against"), ((20, 0), "check errors to pass: ")]
)
def test_what_a_dry_run_found_is_not_what_is_told(counted: tuple[int, int], words: str) -> None:
    scene = judged({10: "5m"}, {**MARGIN, "dryRun": True}, ERRORS)
    counts(scene, counted)
    scene.measured["margin"] = Number(0.01, 400) if counted[1] else Number(None, 400)
    scene.run(60)
    told = scene.status.rejected[0].message if scene.status.rejected else scene.status.message
    assert words in told


def test_checks_on_dry_run_are_waited_for_until_they_were_looked_at() -> None:
    scene = judged({10: "0s"}, {**ERRORS, "dryRun": True})
    scene.run(20)
    assert "waiting for the checks to be judged; stable v1" in scene.status.message


def test_a_frozen_step_begins_anew_with_its_own_hold_and_nothing_that_was_found() -> None:
    scene = judged({10: "1m", 50: "10m"}, onFailure="Freeze")
    counts(scene, (400, 2))
    scene.run(120)
    assert scene.weight == 50
    counts(scene, (400, 60))
    scene.run(60)
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.FROZEN)
    scene.measured.clear()
    scene.wait(3600).order(Verb.RESUME, scene.candidate).settle()
    going = scene.status.rollout
    assert going is not None
    assert (going.step, going.step_started_at, going.next_at) == (2, scene.now, scene.now + seconds(600))
    assert (going.verdict, going.judged_at) == (None, None)
    (errors,) = scene.status.analysis
    assert (errors.verdict, errors.message) == (Verdict.INCONCLUSIVE, "not measured yet")
    # What the stable one did in both steps is known for good.
    assert errors.evidence == Evidence(record=Tally(requests=2000, bad=10))


def test_a_pause_by_a_person_forgets_nothing_that_was_found() -> None:
    scene = judged({10: "1h"})
    counts(scene, (400, 2))
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    found = scene.status.analysis
    assert found[0].evidence is not None
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.status.analysis == found
    assert verdict(scene) is Verdict.PASS


def test_a_frozen_step_whose_replicas_are_gone_begins_when_they_are_back() -> None:
    scene = judged({10: "5m"}, onFailure="Freeze")
    counts(scene, (400, 60))
    scene.run(60)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).settle()
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.status.rollout is not None
    assert (scene.status.rollout.paused, scene.status.rollout.step_started_at) == (None, None)


def test_the_check_that_is_waited_for_is_named() -> None:
    scene = judged({10: "5m"}, MARGIN, ERRORS)
    counts(scene, (20, 0))
    scene.measured["margin"] = Number(0.3, 400)
    scene.run(400)
    assert [one.verdict for one in scene.status.analysis] == [Verdict.PASS, Verdict.INCONCLUSIVE]
    assert "waiting for check errors to pass: " in scene.status.message


def test_a_frozen_step_that_a_hand_took_from_the_gateway_begins_when_the_gateway_has_it_again() -> None:
    scene = judged({10: "5m"}, onFailure="Freeze")
    counts(scene, (400, 60))
    scene.run(60)
    scene.accepts = False
    scene.route = replace(scene.route, weights={scene.stable: 100}, matches=(), accepted=True)
    scene.settle()
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.status.rollout is not None
    assert (scene.status.rollout.paused, scene.status.rollout.step_started_at) == (None, None)


def test_evidence_is_remembered_before_the_weight_that_it_earns_is_given() -> None:
    """Otherwise a crash in between would take the weight back, and give it again."""
    scene = judged({10: "1m", 50: "1h"})
    counts(scene, (20, 0))
    scene.run(200)
    counts(scene, (150, 0))
    scene.wait(30).look()
    assert (scene.weight, verdict(scene)) == (10, Verdict.PASS)
    scene.look()
    assert scene.weight == 50


def test_a_frozen_rollout_that_goes_on_failing_keeps_what_is_left_of_its_times() -> None:
    scene = judged({10: "5m"}, onFailure="Freeze", deadline="2h")
    counts(scene, (400, 60))
    scene.run(60)
    assert scene.status.rollout is not None
    frozen = scene.status.rollout.paused
    assert frozen is not None
    assert frozen.deadline_at is not None
    scene.run(600)
    assert scene.status.rollout.paused == frozen


def test_evidence_that_is_lost_while_replicas_are_waited_for_is_waited_for_again() -> None:
    scene = judged({10: "1m", 100: "5m"}, serving={"minReplicas": 2})
    counts(scene, (400, 2))
    scene.run(60)
    scene.become_ready = False
    scene.run(60)
    assert "1 of 2 replicas of v2 to be ready" in scene.status.message
    scene.measured["errors"] = Unknown("Prometheus cannot be reached")
    scene.run(60)
    scene.ready(scene.candidate, 2).run(25)
    assert (scene.weight, verdict(scene)) == (10, Verdict.ERROR)


def passed(**rollout: Any) -> Scene:
    """The checks have passed in the first step, whose hold has not ended, and nothing is measured from now on."""
    scene = judged({10: "30m", 50: "30m"}, **rollout)
    counts(scene, (400, 2))
    scene.run(100)
    assert verdict(scene) is Verdict.PASS
    scene.measured.clear()
    return scene


TOO_OLD = "the checks to be judged again: they passed at 2026-11-20T13:01:40Z, which is too long ago"


@pytest.mark.parametrize("how", ["down", "suspended"])
def test_a_pass_of_hours_ago_moves_nothing(how: str) -> None:
    """The operator, or its work, stood still for so long: nobody knows what the candidate did meanwhile."""
    scene = passed()
    if how == "suspended":
        assert not isinstance(scene.spec, Problem)
        scene.spec = scene.spec.model_copy(update={"suspend": True})
        scene.run(3 * 3600)
        scene.spec = scene.spec.model_copy(update={"suspend": False})
    else:
        scene.wait(3 * 3600)
    scene.settle()
    assert (scene.weight, verdict(scene)) == (10, Verdict.INCONCLUSIVE)
    assert scene.condition(ConditionType.ANALYSIS_PASSING) == ("Unknown", Reason.ANALYSIS_INCONCLUSIVE)
    assert f"waiting for {TOO_OLD}" in [one.message for one in scene.status.conditions]
    assert TOO_OLD in scene.status.message
    scene.run(3600)
    assert scene.weight == 10
    counts(scene, (4000, 20))
    scene.settle()
    assert (scene.weight, verdict(scene)) == (50, None)


def test_a_look_of_hours_ago_is_too_old_as_well() -> None:
    """It was taken when a suspension began, and is seen when that ends."""
    scene = passed()
    going = scene.status.rollout
    assert going is not None
    assert going.judged_at is not None
    assert going.step_started_at is not None
    scene.wait(3 * 3600)
    old = Look(going.step_started_at, going.judged_at + seconds(30), {"errors": Number(0.0, 400)})
    counts(scene, (400, 2))
    old = replace(old, measured=dict(scene.measured))
    decision = check(replace(scene.observed(), look=old), scene.now)
    assert decision.status.rollout is not None
    assert (decision.status.rollout.judged_at, decision.status.rollout.verdict) == (old.at, Verdict.INCONCLUSIVE)


def test_a_look_that_is_late_takes_nothing_back() -> None:
    scene = passed()
    going = scene.status.rollout
    assert going is not None
    assert going.judged_at is not None
    until = going.judged_at + seconds(30 + 60)
    scene.now = until - seconds(1)
    assert scene.settle().look_again_at == until
    assert verdict(scene) is Verdict.PASS
    scene.wait(1).settle()
    assert verdict(scene) is Verdict.INCONCLUSIVE


def test_a_step_that_was_decided_upon_is_not_taken_back_because_no_look_comes() -> None:
    scene = late_gateway()
    scene.measured.clear()
    scene.run(3600)
    assert (scene.weight, verdict(scene)) == (80, Verdict.PASS)
    scene.accept().look()
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step, verdict(scene)) == (2, None)


def test_promoted_by_order_no_look_is_waited_for() -> None:
    scene = passed(serving={"minReplicas": 2})
    scene.become_ready = False
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    scene.writes = 0
    scene.run(300)
    assert (scene.writes, verdict(scene)) == (0, Verdict.PASS)
    assert "1 of 2 replicas" in scene.status.message


def test_a_rollout_that_freezes_in_a_pause_by_a_person_keeps_what_was_left_of_its_times() -> None:
    scene = judged({10: "5m"}, onFailure="Freeze", deadline="2h")
    counts(scene, (400, 2))
    scene.run(100)
    assert scene.status.rollout is not None
    deadline, hold = scene.status.rollout.deadline_at, scene.status.rollout.next_at
    assert deadline is not None
    assert hold is not None
    scene.order(Verb.PAUSE, scene.candidate).run(590)
    counts(scene, (400, 60))
    scene.run(410)
    frozen = scene.status.rollout.paused
    assert frozen is not None
    assert (frozen.reason, frozen.since) != (Reason.PAUSED, scene.moment(1000))
    stood = frozen.since - scene.moment(1000)
    assert (frozen.deadline_at, frozen.next_at) == (deadline + stood, hold + stood)
    scene.measured.clear()
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.status.rollout.deadline_at == deadline + seconds(1000)
