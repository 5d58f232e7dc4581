"""A clock that is set back, or another operator's that is behind: what has happened is not still to come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from serin.analysis.checks import Number
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.observed import Failure
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds

ANALYSIS = {"every": "30s", "checks": [{"name": "drift", "query": "drift", "atMost": "1"}]}


def judged() -> Scene:
    """v2 has 20 % for 110 seconds, on two replicas, and was judged 20 seconds ago."""
    scene = rolling({20: "10m", 50: "10m"}, rollout={"analysis": ANALYSIS}, serving={"minReplicas": 8})
    scene.measured["drift"] = Number(0.0)
    scene.run(120)
    assert scene.weight == 20
    return scene


def rejected(scene: Scene) -> list[tuple[str, Reason]]:
    return [(one.version, one.reason) for one in scene.status.rejected]


def set_back(scene: Scene, length: float = 3600) -> Scene:
    """The operator's clock was ahead by so much; the kubelets' are right."""
    scene.now -= seconds(length)
    scene.pods = {name: tuple(since - seconds(length) for since in ready) for name, ready in scene.pods.items()}
    share = scene.route.weights
    scene.look()
    assert scene.route.weights == share
    scene.settle()
    return scene


def left(scene: Scene) -> timedelta:
    assert scene.status.rollout is not None
    assert scene.status.rollout.next_at is not None
    return scene.status.rollout.next_at - scene.now


def test_the_candidate_is_judged_as_often_as_before() -> None:
    scene = set_back(judged())
    scene.measured["drift"] = Number(2.0)
    scene.run(30)
    assert rejected(scene) == [("v2", Reason.ANALYSIS_FAILED)]


def test_a_crash_is_a_crash_on_trial() -> None:
    scene = set_back(judged())
    scene.become_ready = False
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now), ready=1).settle()
    assert rejected(scene) == [("v2", Reason.CRASHED)]


def test_a_hold_is_no_longer_than_it_was_when_something_happened_last() -> None:
    scene = judged()
    assert left(scene) == seconds(490)
    set_back(scene)
    assert left(scene) == seconds(510), "what is not known of, since the last look, is held again"
    scene.run(509)
    assert scene.weight == 20
    scene.run(30)
    assert scene.weight == 50


def test_what_was_left_in_a_pause_is_left() -> None:
    scene = judged()
    scene.order(Verb.PAUSE, scene.candidate).run(0)
    set_back(scene)
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert left(scene) == seconds(490)


@pytest.mark.parametrize("length", [5, 3600])
def test_a_first_version_is_late_when_it_would_have_been(length: float) -> None:
    scene = Scene()
    scene.become_ready = False
    scene.settle()
    set_back(scene, length).run(599)
    assert scene.status.phase is Phase.DEPLOYING
    scene.run(1)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STARTUP_DEADLINE_EXCEEDED)


def test_what_is_written_for_the_next_step_is_not_taken_back() -> None:
    scene = rolling({20: "0s", 50: "10m"}, rollout={"readiness": {"stableFor": "0s"}})
    scene.accepts = False
    while scene.look() and scene.weight < 50:
        scene.accept()
    assert (scene.route.accepted, scene.status.rollout and scene.status.rollout.step) == (False, 1)
    set_back(scene)
    assert scene.weight == 50
