"""The bake: the candidate has all traffic, is not promoted yet, and the stable revision can take everything back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import seconds


def baking(length: float = 60, *, steps: Any = (), version: int = 2, **settings: Any) -> Scene:
    """A scene in which v2 has had all traffic for so long, with a bake of ten minutes."""
    rollout = {"steps": list(steps), "bake": "10m", "readiness": {"stableFor": "0s"}, **settings}
    traffic = {"timeout": "60s"}
    serving = {"minReplicas": 2}
    scene = healthy(1, rollout=rollout, traffic=traffic, serving=serving)
    scene.declare(version, rollout=rollout, traffic=traffic, serving=serving)
    scene.run(length)
    return scene


def test_the_candidate_has_everything_and_the_stable_one_all_its_replicas() -> None:
    scene = baking()
    assert (scene.status.phase, scene.kstatus) == (Phase.BAKING, "InProgress")
    assert scene.condition(ConditionType.READY) == ("True", Reason.BAKING)
    assert scene.route.weights == {scene.candidate: 100, scene.stable: 0}, "the gateway must not forget the stable one"
    assert len(scene.pods[scene.stable]) == len(scene.pods[scene.candidate]) == 2
    assert scene.status.message == (
        "v2 has all traffic, waiting for the bake to end at 2026-11-20T13:10:00Z; v1 is kept warm"
    )
    assert scene.outcomes() == [("v1", Outcome.PROMOTED)], "it is not promoted yet"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda route: replace(route, accepted=False, refusal="no such listener"), "which refused the route"),
        (lambda route: replace(route, accepted=False), "to accept the route"),
        (lambda _: Route(), "to accept the route"),
    ],
)
def test_it_is_not_ready_while_the_gateway_does_not_give_it_everything(
    change: Callable[[Route], Route], words: str
) -> None:
    scene = baking()
    ends = scene.status.rollout
    scene.accepts = False
    scene.route = change(scene.route)
    scene.settle()
    assert scene.condition(ConditionType.READY) == ("False", Reason.WAITING_FOR_GATEWAY)
    assert scene.status.message.startswith("v2: waiting for the gateway")
    assert words in scene.status.message
    assert scene.status.rollout is not None
    assert ends is not None
    assert scene.status.rollout.next_at == ends.next_at
    scene.accept().settle()
    assert scene.condition(ConditionType.READY) == ("True", Reason.BAKING)


def test_it_stays_ready_while_the_gateway_has_yet_to_answer_for_what_moves_no_request() -> None:
    """For a minute, as without a rollout."""
    scene = baking()
    scene.accepts = False
    scene.route = replace(scene.route, accepted=False, pending=True)
    scene.settle()
    assert scene.condition(ConditionType.READY) == ("True", Reason.BAKING)
    scene.run(59)
    assert scene.condition(ConditionType.READY) == ("True", Reason.BAKING)
    scene.run(1)
    assert scene.condition(ConditionType.READY) == ("False", Reason.WAITING_FOR_GATEWAY)


def without_registry(scene: Scene) -> None:
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "MLflow does not answer")


def without_stable(scene: Scene) -> None:
    scene.become_ready = False
    scene.ready(scene.stable, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_registry, "v2 has all traffic, waiting for the registry to answer (MLflow does not answer)"),
        (without_stable, "v2 has all traffic, waiting for a ready replica of the stable v1"),
    ],
)
def test_it_is_as_ready_as_before_while_its_promotion_waits(change: Callable[[Scene], None], words: str) -> None:
    """To clients nothing changes. The rollout is not over, so whoever waits for its end goes on waiting."""
    scene = baking()
    change(scene)
    scene.run(3600)
    assert (scene.status.phase, scene.kstatus) == (Phase.PROMOTING, "InProgress")
    assert scene.condition(ConditionType.READY) == ("True", Reason.PROMOTING)
    assert scene.condition(ConditionType.RECONCILING) == ("True", Reason.PROMOTING)
    assert scene.status.message.startswith(words)


def test_it_is_ready_all_the_way_to_its_promotion() -> None:
    """The last route takes nothing from it: whether the gateway has answered is no news to clients."""
    scene = baking()
    scene.accepts = False
    scene.run(540)
    assert (scene.route.matches, scene.route.pending, scene.status.phase) == ((), True, Phase.PROMOTING)
    assert scene.condition(ConditionType.READY) == ("True", Reason.PROMOTING)
    scene.accept().settle()
    assert scene.condition(ConditionType.READY) == ("True", Reason.HEALTHY)


def test_it_is_not_ready_once_it_has_nobody_who_answers() -> None:
    scene = baking()
    without_registry(scene)
    scene.run(3600)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).settle()
    assert scene.condition(ConditionType.READY) == ("False", Reason.PROGRESSING)


@pytest.mark.parametrize(
    ("stands", "phase", "ready"),
    [
        ({"hold": "1h"}, Phase.PROGRESSING, ("True", Reason.PROGRESSING)),
        ({"approval": True}, Phase.AWAITING_APPROVAL, ("True", Reason.AWAITING_APPROVAL)),
    ],
)
def test_a_step_with_everything_is_as_ready_as_a_bake(
    stands: dict[str, Any], phase: Phase, ready: tuple[str, Reason]
) -> None:
    scene = baking(steps=[{"weight": 100, **stands}])
    assert (scene.status.phase, scene.kstatus, scene.condition(ConditionType.READY)) == (phase, "InProgress", ready)
    assert baking(steps=[{"weight": 99, **stands}]).condition(ConditionType.READY) == ("False", ready[1])


def test_a_pause_takes_nothing_and_a_failure_needs_somebody() -> None:
    scene = baking()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    assert (scene.kstatus, scene.condition(ConditionType.READY)) == ("InProgress", ("True", Reason.PAUSED))
    scene = baking()
    without_stable(scene)
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now), ready=1).settle()
    assert scene.route.shares == {scene.candidate: 100}
    assert (scene.kstatus, scene.condition(ConditionType.READY)) == ("Failed", ("False", Reason.STABLE_UNAVAILABLE))


def test_it_is_promoted_at_the_end_and_counts_as_stable_from_its_beginning() -> None:
    scene = baking(0, keepPrevious="30m")
    candidate, stable, began = scene.candidate, scene.stable, scene.now
    scene.run(599)
    assert scene.status.phase is Phase.BAKING
    scene.run(1)
    assert (scene.stable, scene.status.phase) == (candidate, Phase.HEALTHY)
    assert scene.status.stable is not None
    assert scene.status.stable.since == began
    assert scene.status.previous is not None
    assert (scene.status.previous.revision, scene.status.previous.goes_at) == (stable, began + seconds(1800))
    scene.run(1199)
    assert stable in scene.pods
    scene.run(1)
    assert stable not in scene.pods


@pytest.mark.parametrize("keep", ["0s", "1m", "10m"])
def test_what_a_header_sent_to_the_stable_revision_is_answered_before_it_goes(keep: str) -> None:
    """During the bake a person reaches it directly, so its last request may have come a moment before the end."""
    scene = baking(0, keepPrevious=keep)
    stable = scene.stable
    assert scene.route.reaches(stable)
    scene.run(600)
    assert scene.status.phase is Phase.HEALTHY
    scene.run(59)
    assert stable in scene.pods
    scene.run(1)
    assert stable not in scene.pods


def test_the_same_when_the_next_version_is_promoted_at_once() -> None:
    scene = baking(600, keepPrevious="1h")
    assert scene.status.previous is not None
    old = scene.status.previous.revision
    rollout = {"readiness": {"stableFor": "0s"}}
    scene.wait(1).declare(3, rollout=rollout, traffic={"timeout": "60s"}, serving={"minReplicas": 2}).settle()
    assert (scene.status.stable and scene.status.stable.version) == "v3"
    scene.run(58)
    assert old in scene.pods
    scene.run(2)
    assert old not in scene.pods


def test_a_crash_in_the_bake_takes_everything_back_with_the_next_write_of_the_route() -> None:
    scene = baking()
    stable, candidate = scene.stable, scene.candidate
    scene.accepts = False
    scene.fail(candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now), ready=1).look()
    assert scene.route.shares == {stable: 100}
    assert scene.route.matches == ()
    assert [(one.version, one.reason) for one in scene.status.rejected] == [("v2", Reason.CRASHED)]
    assert candidate in scene.pods
    assert len(scene.pods[stable]) == 2


@pytest.mark.parametrize(("version", "outcome"), [(3, Outcome.SUPERSEDED), (1, Outcome.REVERTED)])
def test_another_declaration_in_the_bake_takes_everything_back(version: int, outcome: Outcome) -> None:
    scene = baking()
    stable = scene.stable
    scene.become_ready = False
    scene.declare(version, serving={"minReplicas": 2}).look()
    assert scene.route.shares == {stable: 100}
    assert scene.outcomes()[0] == ("v2", outcome)


def test_a_candidate_that_loses_its_replicas_in_the_bake_begins_it_anew() -> None:
    scene = baking(300)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(10)
    assert (scene.route.shares, scene.status.phase) == ({scene.stable: 100}, Phase.PROGRESSING)
    scene.ready(scene.candidate, 2).run(0)
    assert scene.route.shares == {scene.candidate: 100}
    candidate = scene.candidate
    scene.run(599)
    assert scene.stable != candidate
    scene.run(1)
    assert scene.stable == candidate


def test_suspended_in_the_bake() -> None:
    scene = baking()
    stable, candidate = scene.stable, scene.candidate
    rollout = {"bake": "10m", "readiness": {"stableFor": "0s"}}
    scene.declare(2, rollout=rollout, serving={"minReplicas": 2}, suspend=True).run(3600)
    assert (scene.status.phase, scene.route.shares, scene.stable) == (Phase.SUSPENDED, {candidate: 100}, stable)
    assert len(scene.pods[stable]) == 2
    scene.declare(2, rollout=rollout, serving={"minReplicas": 2}).run(539)
    assert scene.stable == stable
    scene.run(1)
    assert scene.stable == candidate


def test_a_bake_can_be_paused() -> None:
    scene = baking(300)
    candidate = scene.candidate
    scene.order(Verb.PAUSE, candidate).run(3600)
    assert (scene.status.phase, scene.route.shares) == (Phase.PAUSED, {candidate: 100})
    scene.order(Verb.RESUME, candidate).run(299)
    assert scene.status.phase is Phase.BAKING
    scene.run(1)
    assert scene.stable == candidate


def test_a_last_step_with_all_traffic_and_a_bake() -> None:
    scene = baking(0, steps=[{"weight": 100, "hold": "5m"}])
    candidate = scene.candidate
    route = scene.route
    assert (scene.status.phase, scene.route.shares) == (Phase.PROGRESSING, {candidate: 100})
    scene.run(300)
    assert (scene.status.phase, scene.route) == (Phase.BAKING, route)
    assert scene.status.rollout is not None
    assert scene.status.rollout.progress == "1/1"
    scene.run(600)
    assert (scene.stable, scene.status.phase) == (candidate, Phase.HEALTHY)


def test_without_steps_a_rollout_is_its_bake() -> None:
    scene = baking(0)
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step, scene.status.rollout.progress) == (1, "0/0")


def test_a_first_version_does_not_bake() -> None:
    rollout = {"bake": "10m", "deadline": "1m", "steps": [{"weight": 10, "approval": True}]}
    assert healthy(1, rollout=rollout).outcomes() == [("v1", Outcome.PROMOTED)]


def test_the_previous_revision_that_is_declared_again_tells_no_end_of_its_replicas() -> None:
    scene = baking(600, keepPrevious="30m")
    assert scene.status.previous is not None
    scene.declare(1, rollout={"bake": "10m"}, serving={"minReplicas": 2}).run(20)
    assert scene.status.candidate is not None
    assert (scene.status.candidate.version, scene.status.candidate.goes_at) == ("v1", None)
    assert scene.status.rollout is not None
    assert scene.status.candidate.since == scene.status.rollout.started_at


def again(steps: Any, *, at: float = 0) -> Scene:
    """A scene in which v2 took over from v1, which is declared again and has 10 % after ten seconds."""
    scene = baking(600, keepPrevious="30m")
    assert scene.status.previous is not None
    scene.run(at)
    scene.declare(1, rollout=steps, serving={"minReplicas": 2}, traffic={"timeout": "60s"}).run(20)
    assert (scene.status.candidate and scene.status.candidate.version, scene.weight) == ("v1", 10)
    return scene


STEPS = {"steps": [{"weight": 10, "hold": "1h"}], "bake": "10m"}


@pytest.mark.parametrize("then", [2, 3])
def test_the_previous_revision_that_was_tried_again_in_vain_stays_warm_as_long_as_before(then: int) -> None:
    scene = baking(600, keepPrevious="30m")
    previous = scene.status.previous
    assert previous is not None
    scene = again(STEPS)
    scene.declare(then, rollout=STEPS, serving={"minReplicas": 2}, traffic={"timeout": "60s"}).settle()
    assert (scene.status.previous, scene.status.fallback) == (previous, None)
    assert scene.route.weights[previous.revision] == 0, "the gateway must not forget it"
    assert len(scene.pods[previous.revision]) == 2
    scene.run(60)
    assert (scene.status.previous, scene.status.retiring) == (previous, ())
    scene.run(1200 - 20 - 60 - 1)
    assert len(scene.pods[previous.revision]) == 2
    scene.run(1)
    assert scene.status.previous is None
    assert previous.revision not in scene.pods
    assert scene.status.fallback is not None
    assert (scene.status.fallback.revision, scene.status.fallback.goes_at) == (previous.revision, None)


def test_undo_after_the_previous_one_was_tried_again_in_vain() -> None:
    scene = again(STEPS)
    scene.declare(2, rollout=STEPS, serving={"minReplicas": 2}).settle()
    stable = scene.stable
    scene.order(Verb.UNDO, stable).settle()
    assert (scene.status.stable and scene.status.stable.version, scene.status.candidate) == ("v1", None)
    assert [one.revision for one in scene.status.retiring] == [stable]
    scene.run(3600)
    assert list(scene.pods) == [scene.stable]


def test_its_last_requests_are_answered_where_it_would_go_before() -> None:
    scene = again(STEPS, at=1200 - 30)
    candidate = scene.candidate
    scene.declare(2, rollout=STEPS, serving={"minReplicas": 2}, traffic={"timeout": "60s"}).settle()
    scene.run(59)
    assert scene.status.previous is None
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_its_last_requests_are_answered_where_the_next_one_is_promoted_at_once() -> None:
    scene = again(STEPS)
    candidate = scene.candidate
    scene.declare(3, rollout={"readiness": {"stableFor": "0s"}}, traffic={"timeout": "60s"}).settle()
    assert scene.status.stable is not None
    assert (scene.status.stable.version, len(scene.status.retiring)) == ("v3", 1)
    scene.run(59)
    assert candidate in scene.pods
    scene.run(1)
    assert candidate not in scene.pods


def test_the_previous_revision_that_fails_when_it_is_tried_again_is_not_kept_warm() -> None:
    scene = again(STEPS)
    candidate = scene.candidate
    scene.order(Verb.ABORT, candidate).settle()
    assert scene.status.previous is None
    assert scene.status.fallback is not None
    assert (scene.status.fallback.revision, scene.status.fallback.goes_at) == (candidate, None)
    scene.run(60)
    assert candidate not in scene.pods
