"""Where a ModelDeployment stands on its way: one phase and one reason at every point, said to people and machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.goal import goal_of
from serin.rollout.memory import Memory
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from serin.rollout.standing import standing_of
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import spec

STEPS = {10: "5m"}


def deploying() -> Scene:
    scene = rolling(STEPS)
    scene.settle()
    return scene


def progressing() -> Scene:
    scene = rolling(STEPS)
    scene.run(60)
    return scene


def promoting() -> Scene:
    scene = progressing()
    scene.accepts = False
    scene.run(300)
    return scene


def going_back() -> Scene:
    scene = progressing()
    scene.accepts = False
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now)).settle()
    return scene


def put_back() -> Scene:
    """The route of a version in use was edited, and the gateway has not accepted what was put right."""
    scene = healthy()
    scene.accepts = False
    scene.route = Route(exists=True, weights={scene.stable: 100})
    scene.settle()
    return scene


def too_few() -> Scene:
    scene = healthy(1, serving={"minReplicas": 2})
    scene.become_ready = False
    scene.ready(scene.stable, 1).settle()
    return scene


def suspended() -> Scene:
    scene = healthy()
    scene.spec = spec(1, suspend=True)
    scene.settle()
    return scene


@pytest.mark.parametrize(
    ("begin", "phase", "reason", "kstatus"),
    [
        (healthy, Phase.HEALTHY, Reason.HEALTHY, "Current"),
        (deploying, Phase.DEPLOYING, Reason.DEPLOYING, "InProgress"),
        (progressing, Phase.PROGRESSING, Reason.PROGRESSING, "InProgress"),
        (promoting, Phase.PROMOTING, Reason.PROMOTING, "InProgress"),
        (going_back, Phase.ROLLING_BACK, Reason.ROLLING_BACK, "InProgress"),
        (put_back, Phase.PROMOTING, Reason.WAITING_FOR_GATEWAY, "InProgress"),
        (too_few, Phase.DEPLOYING, Reason.WAITING_FOR_REPLICAS, "InProgress"),
        (suspended, Phase.SUSPENDED, Reason.SUSPENDED, "InProgress"),
    ],
)
def test_phase_and_reason(begin: Callable[[], Scene], phase: Phase, reason: Reason, kstatus: str) -> None:
    scene = begin()
    ready = scene.condition(ConditionType.READY)
    assert (scene.status.phase, ready and ready[1], scene.kstatus) == (phase, reason, kstatus)


def test_before_anything_is_known() -> None:
    assert ModelDeploymentStatus().phase is Phase.PENDING
    scene = Scene()
    observed = scene.observed()
    goal = goal_of(observed, spec(1), Memory(), scene.now)
    standing = standing_of(Memory(), observed, spec(1), goal, scene.now)
    assert (standing.phase, standing.reason, standing.stalled) == (Phase.PENDING, Reason.PENDING, False)


def told(scene: Scene, kind: ConditionType) -> tuple[str, Reason, str]:
    return next((one.status, one.reason, one.message) for one in scene.status.conditions if one.type is kind)


@pytest.mark.parametrize(
    ("alias", "message"),
    [
        (None, "version 1 of fraud-detector"),
        ("champion", "alias champion of fraud-detector is version 1"),
    ],
)
def test_which_version_it_is_and_by_which_name_it_was_found(alias: str | None, message: str) -> None:
    scene = Scene(target=resolved(1, alias=alias))
    scene.settle()
    assert told(scene, ConditionType.MODEL_RESOLVED) == ("True", Reason.RESOLVED, message)


def test_who_serves_down_to_the_last_percent() -> None:
    scene = rolling({1: "5m"}, serving={"minReplicas": 2})
    scene.run(60)
    assert told(scene, ConditionType.AVAILABLE) == ("True", Reason.SERVING, "v1 99 %, v2 1 %")
    assert told(scene, ConditionType.CANDIDATE_READY) == (
        "True",
        Reason.CANDIDATE_READY,
        "1 of 1 replicas of v2 are ready",
    )


def test_replicas_are_counted() -> None:
    stable = too_few().status.stable
    assert stable is not None
    assert (stable.replicas, stable.ready) == (2, 1)


@pytest.mark.parametrize("first", ["v1", "v2"])
def test_equal_shares_are_told_in_one_order(first: str) -> None:
    """However the gateway's route lists them: a status that changes back and forth is a write each time."""
    scene = rolling({50: "5m"})
    scene.run(60)
    named = {"v1": scene.stable, "v2": scene.candidate}
    scene.route = replace(scene.route, weights={named[one]: 50 for one in (first, "v2" if first == "v1" else "v1")})
    scene.look()
    assert [(one.version, one.weight) for one in scene.status.traffic] == [("v1", 50), ("v2", 50)]


def test_only_a_rollout_that_goes_by_other_settings_says_so() -> None:
    rollout = {"steps": [{"weight": 10, "hold": "5m"}]}
    first = Scene(spec=spec(1, rollout=rollout))
    first.settle()
    assert first.status.rollout is not None
    assert "changed since" not in first.status.rollout.waiting_for
    undone = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    undone.run(1000)
    undone.order(Verb.UNDO, undone.stable).settle()
    assert undone.status.rollout is not None
    assert "changed since" not in undone.status.rollout.waiting_for


def without_steps() -> Scene:
    scene = rolling({})
    scene.become_ready = False
    scene.settle()
    return scene


def promoted_before_the_first_step() -> Scene:
    scene = rolling(STEPS)
    scene.become_ready = False
    scene.settle()
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    return scene


def lacking_evidence_and_approval() -> Scene:
    steps = [{"weight": 10, "hold": "1m", "approval": True}]
    analysis = {"checks": [{"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}}]}
    rollout = {"steps": steps, "analysis": analysis, "deadline": "1h"}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    scene.run(120)
    return scene


@pytest.mark.parametrize(
    ("begin", "phase", "words"),
    [
        (without_steps, Phase.DEPLOYING, "v2: waiting for 0 of 1 replicas of v2 to be ready"),
        (promoted_before_the_first_step, Phase.PROMOTING, "v2: waiting for 0 of 1 replicas of v2 to be ready"),
        (
            lacking_evidence_and_approval,
            Phase.PROGRESSING,
            "waiting for check errors to pass: not measured yet, then somebody to approve step 1/1 "
            "(until 2026-11-20T14:00:00Z); stable v1",
        ),
    ],
)
def test_what_is_waited_for_and_until_when(begin: Callable[[], Scene], phase: Phase, words: str) -> None:
    scene = begin()
    assert (scene.status.phase, words in scene.status.message) == (phase, True), scene.status.message


@pytest.mark.parametrize(
    ("down", "target", "words"),
    [
        (Reason.REGISTRY_UNAVAILABLE, None, "the registry to answer (refused since noon)"),
        (Reason.REGISTRY_REFUSED, None, "the registry to answer (refused since noon)"),
        (None, Reason.RESOLVING, "the registry to answer (refused since noon)"),
        (None, Reason.VERSION_NOT_FOUND, "a declaration that can be met (refused since noon)"),
    ],
)
def test_what_comes_in_the_way_is_waited_for_in_a_sentence(
    down: Reason | None, target: Reason | None, words: str
) -> None:
    scene = rolling(STEPS)
    scene.run(60)
    if down is not None:
        scene.down = Problem(down, "refused since noon")
    if target is not None:
        scene.target = Problem(target, "refused since noon")
    scene.run(300)
    assert scene.status.rollout is not None
    assert scene.status.rollout.waiting_for == words
