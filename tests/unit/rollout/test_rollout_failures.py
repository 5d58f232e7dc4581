"""A rollout that does not go well: who gets the traffic then, what is remembered, what is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.health import NO_POD
from serin.rollout.observed import Failure
from serin.rollout.observed import Mirror
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling

STEPS = {10: "5m", 50: "5m"}
UNSCHEDULABLE = Failure(Reason.UNSCHEDULABLE, "pod b cannot be scheduled: insufficient memory")
REFUSED = Failure(Reason.BACKEND_REFUSED, "KServe makes no pods of it (RuntimeNotRecognized: waiting)")
PULL = Failure(Reason.IMAGE_PULL_FAILED, "pod b: ImagePullBackOff: not found")


def crash(scene: Scene, *, hopeless: bool = False, ago: float = 0) -> Failure:
    at = scene.moment(ago)
    return Failure(Reason.LOAD_FAILED, "pod b ended (Error, exit code 1): MemoryError", at=at, hopeless=hopeless)


def rejected(scene: Scene) -> list[tuple[str, Reason]]:
    return [(one.version, one.reason) for one in scene.status.rejected]


def test_a_crash_loop_before_traffic_is_rejected_at_once() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    candidate, stable = scene.candidate, scene.stable
    scene.wait(20).fail(candidate, crash(scene, hopeless=True)).settle()
    assert rejected(scene) == [("v2", Reason.LOAD_FAILED)]
    assert (scene.status.phase, scene.kstatus) == (Phase.ROLLED_BACK, "Failed")
    assert scene.status.message == ("v2 rejected: pod b ended (Error, exit code 1): MemoryError; serving v1")
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.condition(ConditionType.READY) == ("False", Reason.ROLLED_BACK)
    assert scene.route.shares == {stable: 100}
    assert candidate not in scene.pods, "it never had traffic: there is nothing to wait for"
    assert scene.told == [Reason.DEPLOYING, Reason.ROLLED_BACK]


def test_one_failed_start_is_no_failure_yet() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.fail(scene.candidate, crash(scene)).run(60)
    assert rejected(scene) == []
    scene.ready(scene.candidate, 1).run(10)
    assert scene.weight == 10


def test_a_crash_under_traffic_takes_the_traffic_first() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    candidate, stable = scene.candidate, scene.stable
    assert scene.weight == 10
    scene.accepts = False
    scene.fail(candidate, crash(scene)).settle()
    assert scene.route.shares == {stable: 100}
    assert rejected(scene) == [("v2", Reason.CRASHED)]
    assert scene.status.phase is Phase.ROLLING_BACK
    assert candidate in scene.pods, "the gateway may still send requests to it"
    assert scene.accept().settle().status.phase is Phase.ROLLED_BACK


def test_an_older_crash_does_not_count_against_a_step() -> None:
    scene = rolling(STEPS)
    scene.settle()
    scene.failures[scene.candidate] = (crash(scene, ago=5),)
    scene.ready(scene.candidate, 1).run(60)
    assert (scene.weight, rejected(scene)) == (10, [])


def test_a_download_that_failed_once_while_replicas_are_added_is_no_crash_under_traffic() -> None:
    """The storage initializer runs before the model server: that pod cannot have had a request."""
    scene = rolling({10: "5m", 100: "5m"}, serving={"minReplicas": 2})
    scene.run(400)
    assert scene.status.rollout is not None
    scene.become_ready = False
    hiccup = replace(crash(scene), reason=Reason.DOWNLOAD_FAILED)
    scene.fail(scene.candidate, hiccup, ready=1).settle()
    assert rejected(scene) == []


def test_a_store_that_is_away_while_replicas_are_added_rejects_nothing_until_the_deadline() -> None:
    scene = rolling({10: "5m", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.run(310)
    assert scene.weight == 10
    scene.become_ready = False
    away = Failure(Reason.DOWNLOAD_FAILED, "pod b: connection refused", at=scene.now, hopeless=True)
    scene.fail(scene.candidate, away, ready=1).run(599)
    assert (scene.weight, rejected(scene)) == (10, []), "it serves as before"
    assert "connection refused" in scene.status.message
    scene.failures.clear()
    scene.become_ready = True
    scene.run(30)
    assert scene.weight == 100


def test_a_store_that_is_away_does_not_reject_what_bakes() -> None:
    scene = rolling({50: "1m"}, rollout={"bake": "1h", "keepPrevious": "2h"})
    scene.run(200)
    assert scene.status.phase is Phase.BAKING
    away = Failure(Reason.DOWNLOAD_FAILED, "pod b: connection refused", at=scene.now, hopeless=True)
    scene.failures[scene.candidate] = (away,)
    scene.run(1800)
    assert (scene.status.phase, rejected(scene)) == (Phase.BAKING, [])


@pytest.mark.parametrize("failure", [UNSCHEDULABLE, PULL, REFUSED])
def test_what_may_pass_has_until_the_deadline(failure: Failure) -> None:
    scene = rolling(STEPS, serving={"startupDeadline": "5m"})
    scene.become_ready = False
    scene.settle()
    scene.fail(scene.candidate, failure).settle()
    assert failure.message in scene.status.message, "at once"
    assert scene.condition(ConditionType.CANDIDATE_READY) == ("False", failure.reason)
    scene.run(299)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", failure.reason)]
    assert scene.status.rejected[0].message == f"not ready within 5m: {failure.message}"


def test_the_deadline_without_a_word_from_the_pods() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    decision = scene.settle()
    assert decision.look_again_at is not None
    scene.run(600)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]
    assert scene.status.rejected[0].message == "not ready within 10m"


def test_the_deadline_without_a_pod() -> None:
    """The backend's controller is down, or cannot make what makes pods."""
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.without_pods.add(scene.candidate)
    scene.run(600)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]
    assert scene.status.rejected[0].message == f"not ready within 10m: {NO_POD}"


def test_a_candidate_that_loses_all_replicas_loses_its_weight_and_begins_the_step_anew() -> None:
    scene = rolling(STEPS)
    scene.run(100)
    candidate, stable = scene.candidate, scene.stable
    scene.become_ready = False
    scene.ready(candidate, 0).settle()
    assert scene.route.shares == {stable: 100}
    assert rejected(scene) == []
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step_started_at, scene.status.rollout.next_at) == (None, None)
    assert scene.condition(ConditionType.CANDIDATE_READY) == ("False", Reason.WAITING_FOR_REPLICAS)
    scene.run(200)
    scene.ready(candidate, 1).run(10)
    began = scene.now
    assert (scene.weight, scene.status.rollout and scene.status.rollout.step_started_at) == (10, began)
    scene.run(299)
    assert scene.weight == 10
    scene.become_ready = True
    scene.run(20)
    assert scene.weight == 50


def test_a_candidate_that_lost_all_replicas_for_good_is_rejected_at_the_deadline() -> None:
    scene = rolling(STEPS)
    scene.run(100)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(599)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_a_stable_revision_that_breaks_gives_nothing_to_an_unproven_candidate() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    scene.become_ready = False
    scene.ready(scene.stable, 0).run(3600)
    assert scene.weight == 10
    assert "a ready replica of the stable v1" in scene.status.message
    scene.become_ready = True
    scene.run(10)
    assert scene.weight == 50


def test_a_stable_revision_that_is_down_is_told_and_not_called_serving() -> None:
    scene = healthy()
    scene.become_ready = False
    scene.fail(scene.stable, UNSCHEDULABLE).settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "InProgress")
    assert "insufficient memory" in scene.status.message
    assert scene.condition(ConditionType.AVAILABLE) == ("False", Reason.STABLE_UNAVAILABLE)
    scene.target = Problem(Reason.VERSION_NOT_FOUND, "there is no version 9")
    scene.settle()
    assert "serving v1" not in scene.status.message


def test_what_was_rejected_is_not_tried_again() -> None:
    scene = rolling(STEPS)
    scene.settle()
    scene.fail(scene.candidate, crash(scene, hopeless=True)).settle()
    gone = scene.status.rejected[0].revision
    scene.run(86400)
    assert gone not in scene.pods
    # Not after the stable version was declared in between, either.
    scene.declare(1).run(60)
    assert scene.status.phase is Phase.HEALTHY
    scene.declare(2).run(60)
    assert (scene.status.phase, scene.status.candidate) == (Phase.ROLLED_BACK, None)


def test_what_was_rejected_is_tried_again_when_something_about_it_changes() -> None:
    scene = rolling(STEPS)
    scene.settle()
    scene.fail(scene.candidate, crash(scene, hopeless=True)).settle()
    scene.declare(2, serving={"resources": {"limits": {"memory": "8Gi"}}}).run(60)
    assert (scene.stable, scene.status.stable and scene.status.stable.version) == (scene.stable, "v2")


def test_a_rejection_forgets_no_other_and_keeps_ten() -> None:
    scene = healthy()
    for version in range(2, 14):
        scene.declare(version).settle()
        scene.fail(scene.candidate, crash(scene, hopeless=True)).settle()
        scene.wait(1)
    assert [one.version for one in scene.status.rejected] == [f"v{version}" for version in range(13, 3, -1)]
    assert len(scene.status.history) == 10


@pytest.mark.parametrize("had_traffic", [False, True])
def test_a_third_version_supersedes_the_second(*, had_traffic: bool) -> None:
    scene = rolling(STEPS, traffic={"timeout": "30s"})
    scene.become_ready = had_traffic
    scene.run(60 if had_traffic else 5)
    scene.become_ready = True
    second, stable = scene.candidate, scene.stable
    scene.declare(3, rollout={"steps": [{"weight": 10, "hold": "5m"}]}, traffic={"timeout": "30s"}).settle()
    assert scene.outcomes()[0] == ("v2", "Superseded")
    assert scene.stable == stable
    assert scene.route.shares == {stable: 100}, "the third starts from the first step"
    assert (second in scene.pods) == had_traffic
    scene.run(9)
    assert scene.weight == 0
    scene.run(20)
    assert (second in scene.pods) == had_traffic
    scene.run(1)
    assert second not in scene.pods
    assert scene.weight == 10


@pytest.mark.parametrize("had_traffic", [False, True])
def test_back_to_the_stable_version(*, had_traffic: bool) -> None:
    scene = rolling(STEPS)
    scene.become_ready = had_traffic
    scene.run(60 if had_traffic else 5)
    scene.become_ready = True
    second = scene.candidate
    scene.declare(1).settle()
    assert scene.outcomes()[0] == ("v2", "Reverted")
    assert scene.status.phase is Phase.HEALTHY
    assert (second in scene.pods) == had_traffic
    assert rejected(scene) == [], "nobody judged it: it may be declared again"
    scene.run(30)
    assert second not in scene.pods
    scene.declare(2).run(60)
    assert scene.stable == second


def test_a_revision_is_kept_while_the_gateway_has_not_let_go() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    second = scene.candidate
    scene.accepts = False
    scene.declare(1).run(3600)
    assert second in scene.pods
    accepted = scene.accept().now
    decision = scene.settle()
    assert decision.look_again_at is not None
    assert (decision.look_again_at - accepted).total_seconds() == 30
    scene.run(30)
    assert second not in scene.route.weights
    assert second in scene.pods, "the gateway still knows it"
    scene.accept().settle()
    assert second not in scene.pods


def test_a_drained_revision_that_somebody_routed_to_by_hand_is_kept_until_that_is_put_back() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    second, stable = scene.candidate, scene.stable
    scene.declare(1).run(29)
    scene.accepts = False
    scene.route = Route(exists=True, weights={stable: 50, second: 50}, accepted=True)
    scene.wait(1).look()
    assert second in scene.pods
    assert scene.route.shares == {stable: 100}
    scene.accept().run(30)
    assert second not in scene.pods


def test_a_draining_revision_that_is_declared_again_is_the_candidate_again() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    second = scene.candidate
    scene.declare(1).settle()
    scene.run(5)
    scene.declare(2, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).run(200)
    assert (scene.candidate, scene.status.retiring) == (second, ())
    assert second in scene.pods


def test_a_route_that_was_deleted_is_put_back_and_not_told_as_traffic() -> None:
    scene = healthy()
    scene.route = Route()
    scene.obstacles = (Problem(Reason.FORBIDDEN, "httproutes is forbidden"),)
    scene.look()
    assert scene.condition(ConditionType.AVAILABLE) != ("True", Reason.SERVING)
    scene.obstacles = ()
    scene.settle()
    assert scene.route.shares == {scene.stable: 100}


def test_the_name_belongs_to_somebody_else() -> None:
    scene = healthy()
    scene.obstacles = (Problem(Reason.NAME_CONFLICT, "InferenceService fraud-v2 exists and was made by somebody else"),)
    scene.declare(2).settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.NAME_CONFLICT)
    assert scene.status.message.endswith("serving v1")
    scene.obstacles = ()
    scene.run(60)
    assert scene.status.phase is Phase.HEALTHY


def test_undo_to_pods_that_restarted_long_ago_is_no_rejection() -> None:
    """A warm pod may have restarted twice in its long life; it is ready, and that is what counts."""
    scene = rolling({10: "5m"})
    old = scene.stable
    scene.failures[old] = (crash(scene, ago=86400),)
    scene.run(400)
    scene.declare(1, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).settle()
    assert (scene.candidate, rejected(scene), scene.weight) == (old, [], 10)


def test_a_problem_with_what_is_declared_leaves_everything_running() -> None:
    scene = healthy()
    scene.target = Problem(Reason.ALIAS_NOT_FOUND, "fraud-detector has no alias champion")
    scene.outlast(86400)
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.MODEL_RESOLVED) == ("False", Reason.ALIAS_NOT_FOUND)
    assert scene.route.shares == {scene.stable: 100}
    assert scene.status.resolved == resolved(1, resolved_at=scene.status.resolved and scene.status.resolved.resolved_at)


def test_a_crash_that_shows_after_the_lost_readiness_is_a_crash() -> None:
    """The pod is first seen not ready, and only with its next word as one whose container has ended."""
    scene = rolling(STEPS)
    scene.run(60)
    second = scene.candidate
    scene.become_ready = False
    scene.ready(second, 0).run(1)
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at is None
    scene.failures[second] = (Failure(Reason.LOAD_FAILED, "ended", at=scene.moment(1)),)
    scene.settle()
    assert [(one.version, one.reason) for one in scene.status.rejected] == [("v2", Reason.CRASHED)]


def test_requests_of_a_step_that_never_began_are_answered_too() -> None:
    """The gateway had accepted the first weight, but the replica was gone before the step began."""
    scene = rolling(STEPS)
    scene.accepts = False
    scene.run(10)
    scene.accept().look()
    assert scene.weight == 10
    scene.become_ready = False
    candidate = scene.candidate
    scene.ready(candidate, 0).accept().look()
    assert dict(scene.route.weights) == {scene.stable: 100, candidate: 0}
    assert scene.status.rollout is not None
    assert scene.status.rollout.step == 0
    scene.accept().settle()
    scene.declare(1)
    scene.accepts = True
    scene.run(29)
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_requests_of_its_last_time_are_answered_when_a_revision_is_tried_again_and_fails() -> None:
    scene = rolling({}, traffic={"timeout": "60s"})
    old = scene.stable
    scene.run(10)
    assert scene.stable != old
    # Undone at once, but a pod of the previous version has just died for good.
    scene.fail(old, crash(scene, hopeless=True))
    scene.declare(1, traffic={"timeout": "60s"}).run(5)
    assert rejected(scene) == [("v1", Reason.LOAD_FAILED)]
    scene.run(54)
    assert old in scene.pods
    scene.run(1)
    assert old not in scene.pods


def test_requests_are_answered_also_when_the_operator_took_them_away_and_crashed_at_once() -> None:
    """The first weight was accepted and then taken away, and the status knows of neither."""
    scene = rolling(STEPS, rollout={"deadline": "20s", "onInconclusive": "Rollback"})
    scene.run(5)
    candidate, before = scene.candidate, scene.status
    assert not (before.rollout and before.rollout.had_traffic)
    scene.run(10)
    assert scene.weight == 10
    scene.status = before
    scene.route = Route(exists=True, weights={scene.stable: 100, candidate: 0}, accepted=True)
    scene.wait(10).settle()
    assert rejected(scene) == [("v2", Reason.DEADLINE_EXCEEDED)]
    scene.run(29)
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_a_shadow_that_was_taken_out_of_the_route_begins_its_step_anew() -> None:
    rollout = {"steps": [{"weight": 0, "mirror": 20, "hold": "5m"}, {"weight": 50, "hold": "5m"}]}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    scene.run(250)
    assert scene.route.mirror is not None
    scene.route = Route(exists=True, weights={scene.stable: 100}, accepted=True)
    scene.settle()
    assert scene.status.rollout is not None
    assert (scene.route.mirror is not None, scene.status.rollout.step_started_at) == (True, scene.now)
    scene.run(299)
    assert scene.weight == 0
    scene.run(1)
    assert scene.weight == 50


def test_a_step_whose_replicas_were_gone_begins_anew_also_where_the_gateway_never_noticed() -> None:
    scene = rolling(STEPS)
    scene.run(250)
    scene.become_ready = scene.accepts = False
    scene.ready(scene.candidate, 0).run(100)
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step_started_at, scene.weight) == (None, 0)
    scene.ready(scene.candidate, 1).run(10)
    scene.accept().settle()
    scene.accept().settle()
    assert (scene.weight, scene.status.rollout.step_started_at) == (10, scene.now)


def test_a_step_that_was_interrupted_comes_back_while_the_registry_is_down() -> None:
    """It is nothing new: the candidate had the weight before."""
    scene = rolling(STEPS)
    scene.run(100)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).settle()
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.ready(scene.candidate, 1).run(10)
    assert scene.weight == 10


def test_an_interrupted_step_asks_nobody_for_approval_before_it_is_back() -> None:
    steps = [{"weight": 10, "hold": "5m", "approval": True}]
    scene = healthy(1, rollout={"steps": steps}).declare(2, rollout={"steps": steps})
    scene.run(400)
    assert "somebody to approve" in scene.status.message
    scene.become_ready = False
    scene.ready(scene.candidate, 0).settle()
    assert scene.status.phase is Phase.PROGRESSING
    assert "0 of 1 replicas of v2 to be ready" in scene.status.message


def test_requests_are_answered_also_when_somebody_deletes_the_route_at_the_end() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    candidate = scene.candidate
    assert scene.status.rollout is not None
    assert scene.status.rollout.had_traffic
    scene.route = Route()
    scene.declare(1).run(29)
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_a_candidate_without_requests_goes_at_once_whoever_drains_beside_it() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    second = scene.candidate
    scene.declare(3)
    scene.become_ready = False
    scene.settle()
    third = scene.candidate
    assert scene.status.rollout is not None
    assert (scene.status.rollout.weight, scene.status.rollout.had_traffic) == (0, False)
    scene.fail(third, crash(scene, hopeless=True)).settle()
    assert (second in scene.pods, third in scene.pods) == (True, False)


def test_a_draining_revision_that_is_tried_again_in_vain_is_drained_all_the_same() -> None:
    scene = rolling(STEPS, traffic={"timeout": "60s"})
    scene.run(60)
    second = scene.candidate
    scene.declare(1, traffic={"timeout": "60s"}).run(5)
    scene.accepts = False
    scene.route = Route(exists=True, weights={scene.stable: 100})
    scene.declare(2, traffic={"timeout": "60s"}).settle()
    assert scene.status.rollout is not None
    assert scene.status.rollout.had_traffic
    scene.fail(second, crash(scene, hopeless=True)).settle()
    scene.accept()
    scene.accepts = True
    scene.run(59)
    assert second in scene.pods
    scene.run(1)
    assert second not in scene.pods


def test_that_it_had_requests_is_not_forgotten_when_they_are_gone() -> None:
    """Its replica fell out, and somebody deleted the route: what it still answers is answered."""
    scene = rolling(STEPS)
    scene.run(60)
    candidate = scene.candidate
    scene.become_ready = False
    scene.ready(candidate, 0)
    scene.route = Route()
    scene.settle()
    assert scene.route.weights == {scene.stable: 100}
    scene.declare(1).run(29)
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_a_route_that_was_deleted_in_a_rollout_is_put_back_with_its_shares() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    before = scene.route
    scene.accepts = False
    scene.route = Route()
    scene.look()
    assert (scene.route.weights, scene.route.matches) == (before.weights, before.matches)


def test_a_candidate_that_never_had_requests_is_not_drained_when_it_is_tried_again() -> None:
    scene = rolling(STEPS)
    scene.become_ready = scene.accepts = False
    scene.settle()
    second = scene.candidate
    scene.route = replace(scene.route, accepted=False)
    scene.declare(1).settle()
    assert [one.had_traffic for one in scene.status.retiring] == [False]
    scene.declare(2, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).settle()
    scene.fail(second, crash(scene, hopeless=True)).settle()
    assert rejected(scene) == [("v2", Reason.LOAD_FAILED)]
    scene.accept().settle()
    assert second not in scene.pods


def test_a_candidate_that_loses_everything_while_it_grows_has_the_whole_deadline_again() -> None:
    scene = rolling({10: "1m", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.run(15)
    scene.become_ready = False
    scene.run(60 + 500)
    assert (scene.weight, rejected(scene)) == (10, [])
    scene.ready(scene.candidate, 0).run(599)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_each_step_gives_its_replicas_the_whole_deadline_also_without_a_hold() -> None:
    scene = rolling({10: "0s", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.become_ready = False
    scene.run(500)
    scene.ready(scene.candidate, 1).run(400)
    assert (scene.weight, rejected(scene)) == (10, [])


def test_the_smallest_share_that_a_hand_took_away_is_noticed() -> None:
    """What people reach it by is still there: that is no share of the requests."""
    scene = rolling({1: "5m", 50: "5m"})
    scene.run(250)
    scene.route = replace(scene.route, weights={scene.stable: 100, scene.candidate: 0})
    scene.look()
    assert scene.weight == 1, "it comes back with the next write of the route"
    scene.settle()
    assert scene.status.rollout is not None
    assert (scene.weight, scene.status.rollout.step_started_at) == (1, scene.now)


def test_requests_of_its_last_time_are_answered_also_when_somebody_deletes_the_route() -> None:
    scene = rolling({}, traffic={"timeout": "60s"})
    old = scene.stable
    scene.run(10)
    assert scene.stable != old
    scene.fail(old, crash(scene, hopeless=True))
    scene.route = Route()
    scene.declare(1, traffic={"timeout": "60s"}).settle()
    assert rejected(scene) == [("v1", Reason.LOAD_FAILED)]
    scene.run(59)
    assert old in scene.pods
    scene.run(1)
    assert old not in scene.pods


def test_waiting_for_the_gateway_takes_nothing_from_the_deadline_of_replicas() -> None:
    scene = rolling(STEPS, serving={"startupDeadline": "10m"})
    scene.accepts = False
    scene.run(15)
    scene.accept().run(500)
    assert scene.weight == 10
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(599)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_a_crash_that_shows_when_the_step_has_begun_anew_is_a_crash_all_the_same() -> None:
    scene = rolling(STEPS)
    scene.run(100)
    candidate, crashed = scene.candidate, crash(scene)
    scene.become_ready = False
    scene.ready(candidate, 0).run(30)
    scene.ready(candidate, 1).run(15)
    assert scene.weight == 10
    scene.failures[candidate] = (crashed,)
    scene.settle()
    assert rejected(scene) == [("v2", Reason.CRASHED)]


def test_what_was_taken_away_is_not_held_on_while_it_is_not_known_what_is_declared() -> None:
    """An operator that crashed had taken its weight back for another version, and could not say so."""
    scene = rolling(STEPS)
    scene.run(60)
    status = scene.status
    scene.accepts = False
    scene.declare(3).look()
    assert scene.route.shares == {scene.stable: 100}
    scene.status, scene.target = status, Problem(Reason.RESOLVING, "MLflow is asked")
    scene.look()
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at is None


def test_replicas_that_were_there_once_have_their_whole_deadline_when_one_of_them_goes() -> None:
    scene = rolling({10: "1m", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.run(60)
    scene.become_ready = scene.accepts = False
    scene.run(400)
    scene.ready(scene.candidate, 2).run(60)
    assert (scene.weight, scene.route.accepted) == (100, False)
    scene.ready(scene.candidate, 1).run(599)
    assert rejected(scene) == []


def test_a_revision_that_is_retried_is_not_rejected_for_what_its_draining_pods_say_of_the_last_time() -> None:
    scene = rolling(STEPS, traffic={"timeout": "60s"})
    scene.run(60)
    candidate = scene.candidate
    scene.become_ready = False
    scene.fail(candidate, crash(scene, hopeless=True)).run(10)
    assert rejected(scene) == [("v2", Reason.CRASHED)]
    # The cause is mended, and the pods, which drain, have not been started again yet.
    scene.order(Verb.RETRY, candidate).settle()
    assert (scene.candidate, rejected(scene)) == (candidate, [])
    scene.failures.clear()
    scene.ready(candidate, 1).run(10)
    assert scene.weight == 10


def test_a_revision_that_is_retried_and_fails_again_is_rejected_again() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    candidate = scene.candidate
    scene.become_ready = False
    scene.fail(candidate, crash(scene, hopeless=True)).run(10)
    scene.order(Verb.RETRY, candidate).run(10)
    scene.fail(candidate, crash(scene, hopeless=True)).settle()
    assert rejected(scene) == [("v2", Reason.LOAD_FAILED)]


def test_no_deadline_runs_while_what_would_make_the_replicas_is_refused() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.wait(300)
    scene.obstacles = (Problem(Reason.BACKEND_REFUSED, "admission webhook denied the request"),)
    scene.run(86400)
    assert (scene.status.phase, rejected(scene)) == (Phase.FAILED, [])
    scene.obstacles = ()
    scene.run(599)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_a_candidate_that_nobody_could_make_has_its_whole_deadline_when_it_is_there() -> None:
    """One of the same name was being deleted, say, so that nothing could be written all the time."""
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.pods.pop(scene.candidate)
    scene.wait(600).look()
    assert (rejected(scene), scene.candidate in scene.pods) == ([], True)
    scene.run(599)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_a_candidate_that_is_made_anew_before_its_deadline_has_no_more_time() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.wait(599)
    scene.pods.pop(scene.candidate)
    scene.settle()
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_pods_that_are_older_than_the_record_of_their_rollout_fail_it_all_the_same() -> None:
    """They were made by an operator that crashed before it wrote that the rollout began."""
    scene = healthy().declare(2)
    before = scene.now
    scene.wait(60).look()
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=before, hopeless=True)).settle()
    assert [one.version for one in scene.status.rejected] == ["v2"]


@pytest.mark.parametrize("copies", [False, True])
def test_a_previous_revision_with_requests_that_nobody_remembers_is_drained_before_it_goes(*, copies: bool) -> None:
    """It was declared again, and suspended before the operator could remember that it had written the route."""
    rollout = {"steps": [{"weight": 10, "hold": "0s"}], "keepPrevious": "10m"}
    scene = healthy(rollout=rollout).declare(2, rollout=rollout)
    scene.run(60)
    assert scene.status.previous is not None
    first, second = scene.status.previous.revision, scene.stable
    weights = {first: 0, second: 100} if copies else {first: 20, second: 80}
    written = replace(scene.route, weights=weights, mirror=Mirror(first, 50) if copies else None)
    scene.route = written
    scene.declare(2, rollout=rollout, suspend=True).run(3600)
    assert scene.route == written
    scene.accepts = False
    scene.declare(2, rollout=rollout).settle()
    assert not scene.route.reaches(first)
    scene.run(600)
    assert first in scene.pods, "the gateway has not let go of it"
    scene.accepts = True
    scene.accept().run(29)
    assert first in scene.pods
    scene.run(1)
    assert first not in scene.pods


def test_nothing_changes_while_what_a_decision_needs_cannot_be_read() -> None:
    scene = rolling(STEPS)
    scene.settle()
    candidate = scene.candidate
    before, route = scene.status, scene.route
    scene.halted = Problem(Reason.FORBIDDEN, "pods is forbidden")
    scene.fail(candidate, crash(scene, hopeless=True)).run(3600)
    assert (scene.status.phase, rejected(scene), scene.candidate) == (Phase.FAILED, [], candidate)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.FORBIDDEN)
    assert (scene.route, scene.status.history) == (route, before.history)
    assert scene.status.rollout is not None
    assert before.rollout is not None
    assert (scene.status.rollout.step, scene.status.rollout.weight) == (before.rollout.step, before.rollout.weight)
    scene.halted = None
    scene.settle()
    assert rejected(scene) == [("v2", Reason.LOAD_FAILED)]


def test_what_cannot_be_removed_is_told_and_keeps_no_deadline_from_running() -> None:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.surplus = Problem(Reason.FORBIDDEN, "inferenceservices is forbidden")
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.FORBIDDEN)
    scene.run(600)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]
