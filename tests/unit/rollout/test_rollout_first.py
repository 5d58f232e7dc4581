"""The first version: nothing to protect yet, so straight to all traffic when it is ready."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.health import NO_POD
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import seconds
from tests.unit.rollout.scene import spec

LOOPING = Failure(Reason.LOAD_FAILED, "pod a ended: ValueError: no model", at=START, hopeless=True)
REFUSED = Failure(Reason.BACKEND_REFUSED, "KServe makes no pods of it (RuntimeNotRecognized: waiting)")
PENDING = Failure(Reason.UNSCHEDULABLE, "pod a cannot be scheduled: 0/3 nodes: insufficient cpu")


def first(**sections: object) -> Scene:
    return Scene(spec=spec(1, **sections), target=resolved(1))


def test_it_gets_everything_once_it_was_ready_for_long_enough() -> None:
    scene = first(rollout={"steps": [{"weight": 10, "hold": "5m"}]})
    decision = scene.settle()
    assert (scene.status.phase, scene.route.exists) == (Phase.DEPLOYING, False)
    assert decision.look_again_at == START + seconds(10)
    assert scene.condition(ConditionType.AVAILABLE) == ("False", Reason.DEPLOYING)
    scene.run(9.999)
    assert not scene.route.exists
    scene.run(0.001)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.route.shares == {scene.stable: 100}
    assert scene.kstatus == "Current"
    assert scene.outcomes() == [("v1", "Promoted")]
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)


def test_all_of_its_replicas_are_needed() -> None:
    scene = first(serving={"minReplicas": 3})
    scene.become_ready = False
    scene.settle()
    scene.ready(scene.candidate, 2).run(60)
    assert not scene.route.exists
    scene.ready(scene.candidate, 3).run(60)
    assert scene.status.phase is Phase.HEALTHY


def test_it_is_not_stable_before_the_gateway_says_so() -> None:
    scene = first()
    scene.accepts = False
    scene.run(60)
    assert scene.route.shares == {scene.candidate: 100}
    assert (scene.status.stable, scene.status.traffic) == (None, ())
    assert "waiting for the gateway" in scene.status.message
    scene.accept().settle()
    assert scene.status.phase is Phase.HEALTHY


def test_the_deadline_without_a_pod() -> None:
    scene = first()
    scene.become_ready = False
    scene.settle()
    scene.run(599)
    assert "to be ready (until 2026-11-20T12:10:00Z)" in scene.status.message
    scene.run(1)
    assert scene.status.message == "v1 is late: waiting for 0 of 1 replicas of v1 to be ready", "no moment that is over"
    assert scene.status.rollout is not None
    assert "until" not in scene.status.rollout.waiting_for
    scene.without_pods.add(scene.candidate)
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STARTUP_DEADLINE_EXCEEDED)
    assert scene.status.message.endswith(f": {NO_POD}")


def test_its_route_is_put_right_where_a_hand_wrote_another() -> None:
    scene = first()
    scene.accepts = False
    scene.run(20)
    assert scene.route.weights == {scene.candidate: 100}
    scene.route = Route(exists=True, weights={"another": 100}, accepted=True)
    scene.settle()
    assert scene.route.weights == {scene.candidate: 100}


def test_one_that_cannot_start_is_told_and_kept() -> None:
    scene = first()
    scene.become_ready = False
    scene.settle()
    scene.fail(scene.candidate, LOOPING).settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert "no model" in scene.status.message
    assert scene.status.rejected == ()
    assert scene.condition(ConditionType.CANDIDATE_READY) == ("False", Reason.LOAD_FAILED)
    scene.failures.clear()
    scene.ready(scene.candidate, 1).run(20)
    assert scene.status.phase is Phase.HEALTHY


def test_what_may_pass_is_failed_only_after_the_deadline() -> None:
    scene = first(serving={"startupDeadline": "5m"})
    scene.become_ready = False
    scene.settle()
    scene.fail(scene.candidate, PENDING).run(299)
    assert scene.kstatus == "InProgress"
    assert PENDING.reason not in scene.told
    scene.run(1)
    assert PENDING.reason in scene.told, "what needs somebody now is worth an event, though it was known before"
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert "insufficient cpu" in scene.status.message


def test_what_the_backend_refuses_is_told_at_once_and_is_no_silence() -> None:
    scene = first(serving={"startupDeadline": "5m"})
    scene.become_ready = False
    scene.settle()
    scene.without_pods.add(scene.candidate)
    scene.fail(scene.candidate, REFUSED).settle()
    assert REFUSED.message in scene.status.message
    assert scene.condition(ConditionType.CANDIDATE_READY) == ("False", REFUSED.reason)
    scene.run(301)
    assert scene.condition(ConditionType.STALLED) == ("True", REFUSED.reason)
    assert scene.status.message == f"v1 cannot start: {REFUSED.message}"


def test_silence_until_the_deadline_is_a_failure_too() -> None:
    scene = first(serving={"startupDeadline": "5m"})
    scene.become_ready = False
    scene.run(301)
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STARTUP_DEADLINE_EXCEEDED)
    scene.ready(scene.candidate, 1).run(20)
    assert scene.status.phase is Phase.HEALTHY


def test_a_second_version_before_the_first_had_traffic_takes_its_place() -> None:
    scene = first()
    scene.settle()
    gone = scene.candidate
    scene.declare(2).run(60)
    assert scene.stable != gone
    assert scene.outcomes() == [("v2", "Promoted"), ("v1", "Superseded")]
    assert gone not in scene.pods


def test_a_second_version_while_the_first_is_half_routed_goes_by_steps() -> None:
    scene = first()
    scene.accepts = False
    scene.run(20)
    incumbent = scene.candidate
    assert scene.route.shares == {incumbent: 100}
    scene.accepts = True
    scene.declare(2, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).run(60)
    assert scene.route.shares == {incumbent: 90, scene.candidate: 10}
    assert scene.stable == incumbent


def test_a_registry_that_is_down_at_first_is_waited_for() -> None:
    scene = Scene(target=Problem(Reason.REGISTRY_UNAVAILABLE, "no answer"))
    scene.run(3600)
    assert (scene.status.phase, scene.kstatus, scene.pods) == (Phase.FAILED, "InProgress", {})
    assert scene.condition(ConditionType.MODEL_RESOLVED) == ("Unknown", Reason.REGISTRY_UNAVAILABLE)
    scene.target = resolved(1)
    scene.run(60)
    assert scene.status.phase is Phase.HEALTHY


def test_the_version_is_pinned_with_the_time_it_was_resolved_first() -> None:
    scene = first()
    scene.run(60)
    assert scene.status.resolved == resolved(1, resolved_at=START)
    assert scene.status.stable is not None
    assert scene.status.stable.since == START + timedelta(seconds=10)


def test_a_first_version_is_not_ready_before_the_proxies_have_its_route() -> None:
    """A gateway accepts a route some hundred milliseconds before the last of its proxies has it."""
    scene = Scene()
    scene.accepts = False
    scene.run(30)
    scene.route = replace(scene.route, accepted=True, since=scene.now)
    early = scene.settle()
    assert early.status.phase is Phase.DEPLOYING
    assert early.status.rollout is not None
    assert "proxies to take over the new route" in early.status.rollout.waiting_for
    assert early.look_again_at == scene.now + seconds(2)
    assert scene.run(1.999).status.phase is Phase.DEPLOYING
    assert scene.run(0.001).status.phase is Phase.HEALTHY
