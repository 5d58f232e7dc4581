"""What a rollout waits for, in one word: whoever reads it knows who moves it on, whatever its phase."""

from __future__ import annotations

from dataclasses import replace

from serin.api.base import to_wire
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import spec
from tests.unit.rollout.test_rollout_analysis import counts
from tests.unit.rollout.test_rollout_analysis import judged

TWO = {10: "5m", 50: "5m"}


def waits(scene: Scene) -> str | None:
    assert scene.status.rollout is not None, scene.status.message
    assert scene.status.rollout.waiting_for
    return scene.status.rollout.waiting_reason


def test_replicas_then_the_gateway_then_the_hold() -> None:
    scene = rolling(TWO)
    scene.become_ready = scene.accepts = False
    scene.settle()
    assert waits(scene) == Reason.WAITING_FOR_REPLICAS
    scene.become_ready = True
    scene.settle()
    assert waits(scene) == Reason.WAITING_FOR_REPLICAS, "they have to be ready for long enough"
    scene.run(10)
    assert waits(scene) == Reason.WAITING_FOR_GATEWAY
    scene.route = replace(scene.route, refusal="no such listener")
    scene.settle()
    assert waits(scene) == Reason.ROUTE_REFUSED
    scene.accepts = True
    scene.accept().settle()
    assert waits(scene) == Reason.PROGRESSING


def test_what_stands_in_the_way_once_the_hold_is_over() -> None:
    scene = rolling(TWO)
    scene.run(60)
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.run(60)
    assert waits(scene) == Reason.PROGRESSING, "until then it is time that is waited for"
    scene.run(600)
    assert waits(scene) == Reason.REGISTRY_UNAVAILABLE
    scene.down, scene.become_ready = None, False
    scene.ready(scene.stable, 0).settle()
    assert waits(scene) == Reason.STABLE_UNAVAILABLE
    scene.ready(scene.candidate, 0).settle()
    assert waits(scene) == Reason.WAITING_FOR_REPLICAS


def test_evidence() -> None:
    scene = judged({10: "5m"})
    scene.run(400)
    assert waits(scene) == Reason.ANALYSIS_INCONCLUSIVE, "nobody has looked yet"
    counts(scene, (20, 0))
    scene.run(30)
    assert waits(scene) == Reason.ANALYSIS_INCONCLUSIVE
    counts(scene, (150, 0))
    scene.run(30)
    assert scene.status.rollout is None


def test_somebody() -> None:
    scene = rolling({}, rollout={"steps": [{"weight": 10, "hold": "5m", "approval": True}], "deadline": "1h"})
    scene.run(60)
    assert waits(scene) == Reason.PROGRESSING
    scene.run(400)
    assert waits(scene) == Reason.AWAITING_APPROVAL
    scene.order(Verb.PAUSE, scene.candidate).settle()
    assert waits(scene) == Reason.PAUSED
    scene.order(Verb.RESUME, scene.candidate).run(3600)
    assert waits(scene) == Reason.DEADLINE_EXCEEDED
    scene.spec = spec(2, suspend=True)
    scene.settle()
    assert waits(scene) == Reason.SUSPENDED
    scene.spec = Problem(Reason.INVALID_SPEC, "unknown")
    scene.settle()
    assert waits(scene) == Reason.INVALID_SPEC


def test_the_bake() -> None:
    scene = rolling({10: "5m"}, rollout={"bake": "1h"})
    scene.run(600)
    assert waits(scene) == Reason.BAKING


def test_a_first_version_that_is_paused_can_only_be_resumed() -> None:
    scene = Scene(become_ready=False)
    scene.settle()
    scene.order(Verb.PAUSE, scene.candidate, "anna/1").settle()
    assert waits(scene) == Reason.PAUSED
    assert "waiting for somebody to resume it (paused by anna)" in scene.status.message


def test_a_word_that_this_operator_does_not_know_keeps_it_from_nothing() -> None:
    scene = rolling(TWO)
    scene.run(60)
    newer = to_wire(scene.status)
    newer["rollout"]["waitingReason"] = "DeepThought"  # type: ignore[index]
    scene.status = ModelDeploymentStatus.model_validate(newer)
    scene.settle()
    assert waits(scene) == Reason.PROGRESSING
