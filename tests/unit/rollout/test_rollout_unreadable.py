"""A spec that cannot be read, as after a downgrade: nothing moves forward, and what is bad is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from serin.analysis.checks import Number
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy

UNREADABLE = Problem(Reason.INVALID_SPEC, "spec.serving.novel: unknown: upgrade the operator")
ANALYSIS = {"every": "30s", "checks": [{"name": "drift", "query": "drift", "atMost": "1"}]}
CRASHED = "pod b ended (Error, exit code 1): MemoryError"


def unreadable(weight: int = 50, **sections: Any) -> Scene:
    """v2 has this share of the requests, and from now on the spec says more than this operator knows."""
    rollout = {"steps": [{"weight": weight, "hold": "5m"}], "analysis": ANALYSIS}
    sections = {
        "rollout": rollout,
        "serving": {"minReplicas": 2},
        "traffic": {"hostnames": ["fraud.test"], "timeout": "7s"},
        **sections,
    }
    scene = healthy(1, **sections).declare(2, **sections)
    scene.measured["drift"] = Number(0.0)
    scene.run(60)
    scene.become_ready = False
    scene.spec = UNREADABLE
    scene.target = UNREADABLE
    scene.settle()
    return scene


def crash(scene: Scene, ready: int = 0) -> Scene:
    failure = Failure(Reason.LOAD_FAILED, CRASHED, at=scene.now, hopeless=True)
    scene.fail(scene.candidate, failure, ready=ready)
    return scene


def rejected(scene: Scene) -> list[tuple[str, Reason]]:
    return [(one.version, one.reason) for one in scene.status.rejected]


@pytest.mark.parametrize("weight", [1, 50])
def test_a_crash_takes_the_traffic_and_nothing_else(weight: int) -> None:
    scene = unreadable(weight)
    stable, candidate, before = scene.stable, scene.candidate, scene.route
    decision = crash(scene).look()
    assert scene.route.weights == {stable: 100, candidate: 0}
    assert (scene.route.matches, scene.route.mirror) == ((), None)
    now = scene.route
    assert (now.gateways, now.hostnames, now.timeout) == (before.gateways, ("fraud.test",), "7s")
    assert decision.plan is not None
    assert not decision.plan.revisions
    assert decision.plan.keep == {stable, candidate}
    assert rejected(scene) == [("v2", Reason.CRASHED)]
    assert Reason.ROLLED_BACK in [event.reason for event in decision.events]
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert scene.settle().plan is None, "that was all"
    assert scene.status.message == f"{UNREADABLE.message}; serving v1"
    assert candidate in scene.pods


def test_a_route_that_lost_its_timeout_gets_the_default() -> None:
    scene = unreadable()
    scene.route = replace(scene.route, timeout=None)
    crash(scene).look()
    assert scene.route.timeout == "30s"


def test_abort_is_obeyed_and_answered() -> None:
    scene = unreadable()
    stable = scene.stable
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert scene.route.shares == {stable: 100}
    assert (rejected(scene), scene.status.handled["abort"].result) == ([("v2", Reason.ABORTED)], "Done")


def test_an_abort_for_another_revision_is_refused() -> None:
    scene = unreadable()
    scene.order(Verb.ABORT, "fraud-v9-x").settle()
    assert (scene.weight, scene.status.handled["abort"].result) == (50, "Refused")


def test_other_orders_wait_for_a_spec() -> None:
    scene = unreadable()
    for verb in set(Verb) - {Verb.ABORT}:
        scene.order(verb, scene.candidate)
    scene.settle()
    assert (scene.weight, scene.status.handled) == (50, {})


def test_a_check_that_fails_takes_the_traffic() -> None:
    scene = unreadable()
    stable = scene.stable
    assert scene.settle().look_again_at is not None
    scene.measured["drift"] = Number(2.0)
    scene.run(30)
    assert (scene.route.shares, rejected(scene)) == ({stable: 100}, [("v2", Reason.ANALYSIS_FAILED)])


def test_nothing_moves_forward() -> None:
    scene = unreadable()
    scene.become_ready = True
    scene.outlast(86400)
    assert (scene.weight, scene.status.phase) == (50, Phase.FAILED)


def test_a_look_that_is_late_is_not_waited_for() -> None:
    scene = unreadable()
    scene.measured.clear()
    assert scene.wait(60).settle().look_again_at is None


def test_what_could_not_be_written_is_tried_again() -> None:
    scene = unreadable()
    stable = scene.stable
    before = scene.route
    crash(scene).look()
    scene.route = before
    scene.look()
    assert scene.route.shares == {stable: 100}


def test_nothing_is_taken_to_where_nobody_answers() -> None:
    scene = unreadable()
    stable = scene.stable
    scene.ready(stable, 0)
    crash(scene, 1).settle()
    assert (scene.weight, rejected(scene)) == (50, [])
    scene.ready(stable, 1).settle()
    assert (scene.route.shares, rejected(scene)) == ({stable: 100}, [("v2", Reason.CRASHED)])


def test_a_first_version_that_fails_is_left_alone() -> None:
    scene = Scene()
    scene.become_ready = False
    scene.settle()
    scene.spec = UNREADABLE
    crash(scene).settle()
    assert (scene.status.rejected, scene.status.candidate is not None) == ((), True)


def test_what_was_suspended_before_stays_so() -> None:
    scene = unreadable()
    scene.spec = ModelDeploymentSpec.model_validate({"model": {"name": "m", "version": 2}, "suspend": True})
    scene.settle()
    scene.spec = UNREADABLE
    crash(scene).settle()
    assert (scene.weight, rejected(scene)) == (50, [])


def test_a_route_that_a_hand_edited_is_left_as_it_is_without_a_rollout() -> None:
    scene = healthy()
    scene.spec = UNREADABLE
    scene.route = replace(scene.route, weights={scene.stable: 50, "fraud-v9-x": 50})
    assert scene.settle().plan is None


def test_a_rollout_that_runs_keeps_its_share_whatever_a_hand_gave_to_one_that_drains() -> None:
    scene = unreadable()
    second = scene.candidate
    sections: dict[str, Any] = {"rollout": {"steps": [{"weight": 10, "hold": "5m"}]}}
    scene.become_ready = True
    scene.declare(3, **sections, traffic={"timeout": "60s"}).run(40)
    assert (scene.weight, [one.revision for one in scene.status.retiring]) == (10, [second])
    scene.spec = UNREADABLE
    weights = {scene.stable: 80, scene.candidate: 10, second: 10}
    scene.route = replace(scene.route, weights=weights)
    scene.settle()
    assert scene.route.weights == weights


def test_what_was_taken_back_goes_when_the_spec_can_be_read_again() -> None:
    sections: dict[str, Any] = {"serving": {"minReplicas": 2}, "traffic": {"timeout": "7s"}}
    scene = unreadable(**sections)
    stable, candidate = scene.stable, scene.candidate
    crash(scene).outlast(86400)
    assert candidate in scene.pods
    scene.declare(2, **sections).run(7)
    assert (set(scene.pods), scene.status.phase) == ({stable}, Phase.ROLLED_BACK)
