"""The stable revision has no ready replica: the candidate keeps the requests that nobody else could answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from serin.analysis.checks import Number
from serin.api.analysis import CheckStatus
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Outcome
from serin.api.status import Pause
from serin.api.status import Phase
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy

NO_ROOM = Failure(Reason.UNSCHEDULABLE, "pod a cannot be scheduled: insufficient memory")
DOWN = "no replica of the stable v1 is ready: pod a cannot be scheduled: insufficient memory"
ANALYSIS = {"every": "30s", "checks": [{"name": "drift", "query": "drift", "atMost": "1"}]}
CRASHED = "pod b ended (Error, exit code 1): MemoryError"


def stranded(weight: int = 100, **rollout: Any) -> Scene:
    """v2 has this share, by a bake or by a step that holds for long, and the last replica of v1 is gone."""
    plan = {"bake": "10m"} if weight == 100 else {"steps": [{"weight": weight, "hold": "1h"}]}
    sections: dict[str, Any] = {"rollout": {**plan, "analysis": ANALYSIS, **rollout}, "serving": {"minReplicas": 2}}
    scene = healthy(1, **sections).declare(2, **sections)
    scene.measured["drift"] = Number(0.0)
    scene.run(60)
    assert scene.weight == weight
    scene.become_ready = False
    scene.fail(scene.stable, NO_ROOM).settle()
    scene.told.clear()
    return scene


def back(scene: Scene) -> Scene:
    """The stable revision is ready again."""
    scene.failures.pop(scene.stable, None)
    scene.ready(scene.stable, 1).settle()
    return scene


def drifts(scene: Scene) -> Scene:
    scene.measured["drift"] = Number(2.0)
    scene.run(30)
    return scene


def crashes(scene: Scene, ready: int = 1, *, hopeless: bool = False) -> Scene:
    failure = Failure(Reason.LOAD_FAILED, CRASHED, at=scene.now, hopeless=hopeless)
    scene.fail(scene.candidate, failure, ready=ready).settle()
    return scene


def paused(scene: Scene) -> Pause | None:
    return scene.status.rollout.paused if scene.status.rollout is not None else None


def rejected(scene: Scene) -> list[tuple[str, Reason, str]]:
    return [(one.version, one.reason, one.message) for one in scene.status.rejected]


def version(scene: Scene) -> str:
    return scene.status.stable.version if scene.status.stable is not None else ""


@pytest.mark.parametrize("weight", [1, 50, 100])
def test_a_failure_takes_nothing_to_where_nobody_answers_and_is_made_good_later(weight: int) -> None:
    scene = crashes(stranded(weight))
    scene.run(3600)
    assert (scene.weight, scene.status.rejected) == (weight, ())
    assert (scene.status.phase, scene.kstatus) == (Phase.PAUSED, "Failed")
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.STABLE_UNAVAILABLE)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STABLE_UNAVAILABLE)
    assert scene.status.message.endswith(
        f"{weight} % to v2, waiting for a ready replica of the stable revision, to take it back, or somebody to "
        f"resume, promote or abort it ({CRASHED}); {DOWN}"
    )
    assert f"{CRASHED}; it is taken back as soon as a replica of the stable revision is ready" in [
        one.message for one in scene.status.conditions
    ]
    assert scene.told == [Reason.STABLE_UNAVAILABLE]
    stable = scene.stable
    # The pod that said so may be gone by then.
    scene.failures.clear()
    scene.accepts = False
    back(scene)
    assert scene.route.shares == {stable: 100}
    assert rejected(scene) == [("v2", Reason.CRASHED, CRASHED)]


def test_a_check_that_fails() -> None:
    scene = drifts(stranded())
    assert (scene.weight, scene.status.rejected) == (100, ())
    found = paused(scene)
    assert found is not None
    assert (found.reason, found.failed) == (Reason.STABLE_UNAVAILABLE, Reason.ANALYSIS_FAILED)
    scene.measured["drift"] = Number(0.0)
    scene.run(600)
    assert paused(scene) == found, "what failed once is not forgotten"
    assert [reason for _, reason, _ in rejected(back(scene))] == [Reason.ANALYSIS_FAILED]


def test_the_end_of_the_rollouts_deadline() -> None:
    scene = stranded(50, deadline="30m", onInconclusive="Rollback")
    scene.run(1800)
    found = paused(scene)
    assert found is not None
    assert (scene.weight, found.reason, found.failed) == (50, Reason.STABLE_UNAVAILABLE, Reason.DEADLINE_EXCEEDED)
    scene.order(Verb.RESUME, scene.candidate).run(60)
    assert scene.status.rollout is not None
    assert (paused(scene), scene.status.rollout.deadline_at) == (None, None), "it is not late twice"


def test_replicas_that_are_not_ready_in_time() -> None:
    scene = stranded()
    scene.ready(scene.candidate, 0).run(10)
    scene.ready(scene.candidate, 1).run(600)
    found = paused(scene)
    assert found is not None
    assert (scene.weight, found.failed) == (100, Reason.STARTUP_DEADLINE_EXCEEDED)
    assert [reason for _, reason, _ in rejected(back(scene))] == [Reason.STARTUP_DEADLINE_EXCEEDED]


def test_a_candidate_without_requests_is_given_up_at_once() -> None:
    sections: dict[str, Any] = {"rollout": {"steps": [{"weight": 0, "mirror": 20, "hold": "1h"}]}}
    scene = healthy(1, **sections).declare(2, **sections)
    scene.run(60)
    scene.become_ready = False
    scene.ready(scene.stable, 0).settle()
    assert [reason for _, reason, _ in rejected(crashes(scene))] == [Reason.CRASHED]


def test_a_stable_revision_with_one_ready_replica_takes_everything_back() -> None:
    scene = stranded()
    back(scene)
    assert [reason for _, reason, _ in rejected(crashes(scene))] == [Reason.CRASHED]


# people


def test_abort_is_obeyed_all_the_same() -> None:
    scene = crashes(stranded())
    stable = scene.stable
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert (scene.route.shares, rejected(scene)[0][1]) == ({stable: 100}, Reason.ABORTED)


def test_promote_is_obeyed_in_spite_of_the_failure() -> None:
    scene = crashes(stranded()).wait(60)
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    assert version(scene) == "v2"


@pytest.mark.parametrize("what", [crashes, drifts])
def test_who_resumes_has_seen_the_failure(what: Any) -> None:
    scene = what(stranded()).wait(60)
    scene.measured.clear()
    scene.order(Verb.RESUME, scene.candidate).settle()
    going = scene.status.rollout
    assert going is not None
    assert (going.paused, going.step_started_at, going.verdict, going.judged_at) == (None, scene.now, None, None)
    assert scene.status.analysis == (CheckStatus(check="drift", message="not measured yet"),)
    assert going.next_at is not None
    assert (going.next_at - scene.now).total_seconds() == 600, "the bake begins anew"
    scene.measured["drift"] = Number(0.0)
    scene.ready(scene.candidate, 2)
    back(scene).run(600)
    assert (version(scene), scene.status.rejected) == ("v2", ())


def test_another_failure_after_that_counts() -> None:
    scene = crashes(stranded()).wait(60)
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert paused(scene) is None
    crashes(scene.wait(60))
    assert paused(scene) is not None


def test_a_failure_in_a_pause_by_a_person_is_not_forgotten_either() -> None:
    scene = stranded(50, deadline="2h")
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    before = paused(scene)
    assert before is not None
    crashes(scene)
    after = paused(scene)
    assert after is not None
    assert (after.reason, after.failed) == (Reason.STABLE_UNAVAILABLE, Reason.CRASHED)
    assert after.deadline_at is not None
    assert before.deadline_at is not None
    assert (after.deadline_at - before.deadline_at).total_seconds() == 60
    assert len(back(scene).status.rejected) == 1


def test_a_check_with_freeze_freezes_and_a_crash_then_is_not_forgotten() -> None:
    scene = drifts(stranded(onFailure="Freeze"))
    found = paused(scene)
    assert found is not None
    assert (found.reason, found.failed) == (Reason.FROZEN, None)
    crashes(scene).run(60)
    found = paused(scene)
    assert found is not None
    assert (found.reason, found.failed) == (Reason.STABLE_UNAVAILABLE, Reason.CRASHED), "no look freezes it again"


def test_a_crash_that_shows_after_a_frozen_rollout_was_resumed_is_a_crash() -> None:
    """Who resumes has seen a check that failed, and nothing else."""
    scene = drifts(stranded(onFailure="Freeze"))
    back(scene)
    at = scene.now
    scene.measured.clear()
    scene.wait(60).order(Verb.RESUME, scene.candidate).settle()
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, CRASHED, at=at), ready=1).settle()
    assert [reason for _, reason, _ in rejected(scene)] == [Reason.CRASHED]


@pytest.mark.parametrize("accepted", [False, True])
def test_a_share_that_is_not_a_step_yet_stays_too(*, accepted: bool) -> None:
    scene = beginning()
    stable = scene.stable
    scene.fail(stable, NO_ROOM)
    scene.route = replace(scene.route, accepted=accepted)
    crashes(scene, hopeless=True).run(3600)
    found = paused(scene)
    assert found is not None
    assert (scene.weight, found.failed) == (50, Reason.LOAD_FAILED)
    scene.order(Verb.RESUME, scene.candidate).look()
    assert scene.status.rollout is not None
    assert (scene.weight, scene.status.rollout.step, scene.status.rollout.trial_since) == (50, 0, None)
    back(scene)
    assert (scene.route.shares, len(scene.status.rejected)) == ({stable: 100}, 1)


def test_nothing_more_is_given_in_such_a_pause() -> None:
    """Also to one that a person has just promoted."""
    scene = stranded(50)
    scene.order(Verb.PROMOTE, scene.candidate)
    crashes(scene)
    assert paused(scene) is not None
    scene.ready(scene.candidate, 2).run(60)
    assert scene.weight == 50


def beginning() -> Scene:
    """v2 has its first share by the route, and the gateway has not said so."""
    sections: dict[str, Any] = {"rollout": {"steps": [{"weight": 50, "hold": "1h"}]}, "serving": {"minReplicas": 2}}
    scene = healthy(1, **sections).declare(2, **sections)
    scene.run(9)
    scene.accepts = scene.become_ready = False
    scene.run(1)
    assert (scene.weight, scene.status.rollout and scene.status.rollout.step) == (50, 0)
    return scene


# declarations


@pytest.mark.parametrize(("declared", "outcome"), [(3, Outcome.SUPERSEDED), (1, Outcome.REVERTED)])
def test_another_declaration_waits(declared: int, outcome: Outcome) -> None:
    scene = stranded()
    scene.declare(declared, serving={"minReplicas": 2}).run(3600)
    assert (scene.weight, scene.status.candidate and scene.status.candidate.version) == (100, "v2")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STABLE_UNAVAILABLE)
    assert scene.status.message == (
        f"v{declared} is declared and waits for a ready replica of v1: without one nobody could take over from v2; "
        f"abort or promote that to go on; {DOWN}; traffic: v2 100 %"
    )
    stable = scene.stable
    back(scene)
    assert scene.outcomes()[0] == ("v2", outcome)
    assert scene.route.shares == {stable: 100}


def test_another_declaration_goes_on_when_a_person_promotes_the_one_that_serves() -> None:
    scene = stranded()
    serves = scene.candidate
    scene.declare(3, serving={"minReplicas": 2}).order(Verb.PROMOTE, serves).settle()
    assert (scene.stable, scene.status.candidate and scene.status.candidate.version) == (serves, "v3")


def test_another_declaration_goes_on_when_a_person_aborts_the_one_that_serves() -> None:
    scene = stranded()
    scene.declare(3, serving={"minReplicas": 2}).order(Verb.ABORT, scene.candidate).settle()
    assert (scene.outcomes()[0], scene.status.candidate and scene.status.candidate.version) == (
        ("v2", Outcome.ABORTED),
        "v3",
    )


def test_a_failure_counts_although_another_version_is_declared_meanwhile() -> None:
    scene = crashes(stranded())
    scene.declare(3, serving={"minReplicas": 2}).settle()
    back(scene)
    assert [entry[:2] for entry in rejected(scene)] == [("v2", Reason.CRASHED)]
    assert (scene.status.candidate and scene.status.candidate.version) == "v3"


def test_a_declaration_of_the_version_that_rolls_waits_for_nothing() -> None:
    scene = stranded()
    scene.declare(3, serving={"minReplicas": 2}).settle()
    scene.declare(2, serving={"minReplicas": 2}, rollout={"bake": "10m", "analysis": ANALYSIS}).settle()
    assert scene.status.phase is Phase.BAKING


# nobody is ready


def test_where_nobody_is_ready_the_route_stays_and_who_is_ready_first_serves() -> None:
    scene = stranded()
    scene.ready(scene.candidate, 0).run(2)
    assert scene.weight == 100
    scene.ready(scene.candidate, 2).run(5)
    assert scene.weight == 100
    scene.run(5)
    began, going = scene.now, scene.status.rollout
    assert going is not None
    assert (scene.status.phase, going.step_started_at) == (Phase.BAKING, began)
    scene.ready(scene.candidate, 0).run(2)
    back(scene)
    assert scene.route.shares == {scene.stable: 100}
    assert scene.status.rejected == ()


def test_a_last_replica_that_crashes_where_nobody_is_ready_goes_on_when_it_runs_again() -> None:
    scene = crashes(stranded(), 0, hopeless=True)
    assert (scene.weight, scene.status.rejected) == (100, ())
    assert scene.condition(ConditionType.AVAILABLE) == ("False", Reason.STABLE_UNAVAILABLE)
    scene.ready(scene.candidate, 1).settle()
    assert scene.weight == 100
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.STABLE_UNAVAILABLE)


def test_all_the_traffic_comes_back_to_a_candidate_that_had_it_although_the_stable_one_died_meanwhile() -> None:
    scene = stranded()
    back(scene)
    scene.ready(scene.candidate, 0).settle()
    assert scene.route.shares == {scene.stable: 100}
    scene.ready(scene.stable, 0).run(2)
    scene.ready(scene.candidate, 2).run(10)
    assert scene.route.shares == {scene.candidate: 100}


def test_a_share_that_was_lost_does_not_come_back_without_a_stable_revision() -> None:
    scene = stranded(50)
    scene.ready(scene.candidate, 0).settle()
    scene.ready(scene.candidate, 1).run(60)
    assert scene.weight == 0
    assert "a ready replica of the stable v1" in scene.status.message


def test_all_the_traffic_is_nothing_that_a_candidate_had_by_a_step_with_less() -> None:
    sections: dict[str, Any] = {"rollout": {"steps": [{"weight": 50, "hold": "1m"}, {"weight": 100, "hold": "1h"}]}}
    scene = healthy(1, **sections).declare(2, **sections)
    scene.run(60)
    scene.become_ready = False
    scene.ready(scene.stable, 0).run(600)
    assert scene.weight == 50


def test_it_is_promoted_out_of_its_bake_only_beside_a_stable_revision() -> None:
    scene = stranded()
    scene.run(3600)
    assert version(scene) == "v1"
    assert back(scene).status.phase is Phase.HEALTHY


def test_no_registry_keeps_everything_from_coming_back() -> None:
    scene = stranded()
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.ready(scene.candidate, 0).run(2)
    scene.ready(scene.candidate, 2).run(10)
    assert scene.status.phase is Phase.BAKING


def on_the_way(**rollout: Any) -> Scene:
    """The gateway acts by the route of the first step, nobody has looked since, and the replicas of v1 are gone."""
    sections: dict[str, Any] = {
        "rollout": {"steps": [{"weight": 50, "hold": "1h"}], **rollout},
        "serving": {"minReplicas": 2},
    }
    scene = healthy(1, **sections)
    scene.accepts = False
    scene.declare(2, **sections).run(30)
    # It knows the candidate now, and has the next route before it.
    scene.accept().run(1)
    assert scene.route.shares == {scene.stable: 50, scene.candidate: 50}
    assert scene.status.rollout is not None
    assert scene.status.rollout.step == 0
    scene.become_ready = False
    scene.accept().fail(scene.stable, NO_ROOM)
    return scene


@pytest.mark.parametrize("end", ["Hold", "Rollback", "Promote"])
def test_a_deadline_takes_nothing_that_is_answered_to_nobody_before_the_step_is_known(end: str) -> None:
    scene = on_the_way(deadline="1m", onInconclusive=end)
    before, sizes = scene.route, dict(scene.pods)
    scene.run(3600)
    assert scene.route == before
    assert {name: len(pods) for name, pods in scene.pods.items()} == {name: len(pods) for name, pods in sizes.items()}
    assert paused(scene) is not None
    back(scene)
    if end == "Rollback":
        assert scene.route.shares == {scene.stable: 100}
        assert rejected(scene)[0][:2] == ("v2", Reason.DEADLINE_EXCEEDED)
    else:
        assert scene.status.phase is Phase.PAUSED


def test_a_pause_takes_nothing_that_is_answered_to_nobody() -> None:
    scene = on_the_way()
    before = scene.route
    scene.order(Verb.PAUSE, scene.candidate).run(3600)
    assert (scene.route, scene.status.phase) == (before, Phase.PAUSED)
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert scene.route.shares == {scene.stable: 100}, "whoever orders it has been told"


def everything_on_the_way(**rollout: Any) -> Scene:
    """The route that gives v2 everything out of a step with half is written, and the gateway has not said so yet."""
    sections: dict[str, Any] = {
        "rollout": {"steps": [{"weight": 50, "hold": "5m"}, {"weight": 80, "hold": "2h"}], **rollout},
        "serving": {"minReplicas": 2},
    }
    scene = healthy(1, **sections).declare(2, **sections)
    scene.run(60)
    scene.accepts = False
    if not rollout:
        scene.order(Verb.PROMOTE, scene.candidate)
    scene.run(255)
    assert (scene.weight, scene.status.rollout and scene.status.rollout.step) == (100, 1)
    scene.become_ready = False
    return scene


@pytest.mark.parametrize("end", ["a pause", "a crash"])
def test_what_was_promoted_by_order_keeps_everything_before_that_is_known(end: str) -> None:
    scene = everything_on_the_way()
    before = scene.route.weights
    scene.accept().fail(scene.stable, NO_ROOM)
    if end == "a pause":
        scene.order(Verb.PAUSE, scene.candidate).settle()
    else:
        crashes(scene)
    scene.run(3600)
    assert (scene.route.weights, scene.status.phase) == (before, Phase.PAUSED)
    scene.ready(scene.candidate, 2).order(Verb.RESUME, scene.candidate).run(60)
    assert version(scene) == "v2"


def test_what_was_promoted_at_the_deadline_keeps_everything_before_that_is_known() -> None:
    scene = everything_on_the_way(deadline="5m", onInconclusive="Promote")
    before = scene.route.weights
    scene.fail(scene.stable, NO_ROOM).run(60)
    assert (scene.route.weights, version(scene)) == (before, "v1")
    scene.accept().settle()
    assert version(scene) == "v2"
