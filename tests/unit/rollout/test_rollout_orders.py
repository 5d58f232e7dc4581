"""Orders by people: what each does, when it is refused and in which words, and that each is carried out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Handled
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.api.status import RolloutStatus
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Order
from serin.rollout.orders import Verb
from serin.rollout.orders import annotated
from serin.rollout.orders import ordered
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds
from tests.unit.rollout.scene import spec

STEPS = {10: "5m", 50: "5m"}
APPROVED = {"steps": [{"weight": 10, "hold": "5m", "approval": True}, {"weight": 50, "hold": "5m"}]}
DOWN = Problem(Reason.REGISTRY_UNAVAILABLE, "registry default does not answer")


def handled(scene: Scene, verb: Verb) -> Handled:
    return scene.status.handled[verb.value]


def result(scene: Scene, verb: Verb) -> tuple[str, str]:
    return handled(scene, verb).result, handled(scene, verb).message


def rollout(scene: Scene) -> RolloutStatus:
    assert scene.status.rollout is not None, scene.status.message
    return scene.status.rollout


def version(scene: Scene) -> str:
    assert scene.status.stable is not None
    return scene.status.stable.version


def rejected(scene: Scene) -> list[tuple[str, Reason]]:
    return [(one.version, one.reason) for one in scene.status.rejected]


def approving(length: float) -> Scene:
    """A rollout whose first step asks for approval, this long after its start."""
    scene = healthy(1, rollout=APPROVED).declare(2, rollout=APPROVED)
    scene.run(length)
    return scene


def promoted(*, cold: bool = False, **sections: Any) -> Scene:
    """A scene in which v2 took over from v1, which is still warm, or is not any more."""
    scene = rolling({}, **sections)
    scene.run(10)
    assert version(scene) == "v2"
    if cold:
        scene.run(600)
        assert (scene.status.previous, scene.status.fallback and scene.status.fallback.version) == (None, "v1")
    return scene


# abort


def test_abort_takes_the_traffic_with_the_next_write_of_the_route() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    stable, candidate = scene.stable, scene.candidate
    assert scene.weight == 10
    scene.accepts = False
    scene.order(Verb.ABORT, candidate, "anna/2026-11-20T22:10:05.123Z").look()
    assert scene.route.shares == {stable: 100}
    assert (scene.route.matches, scene.route.mirror) == ((), None)
    assert result(scene, Verb.ABORT) == ("Done", "all traffic goes to v1; v2 is rejected until it is retried")
    assert (handled(scene, Verb.ABORT).by, handled(scene, Verb.ABORT).at) == ("anna", scene.now)
    assert rejected(scene) == [("v2", Reason.ABORTED)]
    assert (scene.outcomes()[0], scene.status.phase) == (("v2", Outcome.ABORTED), Phase.ROLLING_BACK)
    scene.accept().settle()
    message = "v2 rejected: aborted by order (anna); serving v1"
    assert (scene.status.phase, scene.status.message) == (Phase.ROLLED_BACK, message)
    scene.accepts = True
    scene.run(86400)
    assert candidate not in scene.pods
    assert scene.route.shares == {stable: 100}


def test_what_was_aborted_is_tried_again_when_it_is_retried() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    candidate = scene.candidate
    scene.order(Verb.ABORT, candidate).run(60)
    scene.order(Verb.RETRY, candidate).settle()
    assert result(scene, Verb.RETRY) == ("Done", "v2 is tried again where it is what is declared")
    assert (scene.candidate, rejected(scene)) == (candidate, [])
    scene.run(700)
    assert (version(scene), result(scene, Verb.ABORT)[0]) == ("v2", "Done"), "an order is carried out once"


def test_a_retry_of_what_is_not_declared_only_forgives() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    candidate = scene.candidate
    scene.order(Verb.ABORT, candidate).run(60)
    scene.declare(1).settle()
    scene.order(Verb.RETRY, candidate).settle()
    assert (scene.status.phase, scene.status.candidate, rejected(scene)) == (Phase.HEALTHY, None, [])


# pause and resume


def test_a_pause_keeps_the_weight_and_what_was_left_of_the_hold() -> None:
    scene = rolling(STEPS)
    scene.run(110)
    scene.order(Verb.PAUSE, scene.candidate, "anna/now").settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.PAUSED, "InProgress")
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.PAUSED)
    assert result(scene, Verb.PAUSE) == ("Done", "v2 stays at 10 % until it is resumed")
    assert scene.run(86400).look_again_at is None
    assert (scene.weight, rollout(scene).next_at) == (10, None)
    assert "somebody to resume, promote or abort it (paused by anna)" in scene.status.message
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert result(scene, Verb.RESUME) == ("Done", "the rollout of v2 goes on")
    assert rollout(scene).next_at == scene.now + seconds(200)
    assert scene.condition(ConditionType.PAUSED) is None
    scene.run(199)
    assert scene.weight == 10
    scene.run(1)
    assert scene.weight == 50


def test_a_pause_after_the_hold_goes_on_at_once_when_it_is_resumed() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    scene.down = DOWN
    scene.run(600)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    scene.down = None
    scene.run(60)
    assert scene.weight == 10
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.weight == 50


def test_a_pause_takes_back_a_weight_that_the_gateway_has_not_accepted() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    scene.accepts = False
    scene.run(250)
    assert (scene.weight, rollout(scene).weight) == (50, 10)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    assert scene.weight == 10


def test_a_step_that_began_anew_in_a_pause_is_held_whole_after_it() -> None:
    scene = rolling(STEPS)
    scene.run(110)
    scene.order(Verb.PAUSE, scene.candidate).run(1000)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(100)
    assert scene.weight == 0
    scene.ready(scene.candidate, 1).run(100)
    assert scene.weight == 10, "it is no step forward"
    scene.order(Verb.RESUME, scene.candidate).run(299)
    assert scene.weight == 10
    scene.become_ready = True
    scene.run(20)
    assert scene.weight == 50


def test_a_resume_while_the_step_is_interrupted_lets_it_begin_anew() -> None:
    scene = rolling(STEPS)
    scene.run(110)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(100)
    scene.order(Verb.RESUME, scene.candidate).settle()
    scene.ready(scene.candidate, 1).run(10)
    assert (scene.weight, rollout(scene).next_at) == (10, scene.now + seconds(300))


@pytest.mark.parametrize("at", [0, 5])
def test_a_pause_before_the_first_step(at: float) -> None:
    """Replicas that are not ready are not late while nobody waits for them, and have the whole deadline afterwards."""
    scene = rolling({50: "5m"}, serving={"minReplicas": 4, "startupDeadline": "10m"})
    scene.become_ready = False
    scene.settle()
    scene.run(at)
    scene.order(Verb.PAUSE, scene.candidate).run(3600)
    assert (scene.status.phase, scene.weight, rejected(scene)) == (Phase.PAUSED, 0, [])
    scene.order(Verb.RESUME, scene.candidate).settle()
    scene.run(599)
    assert rejected(scene) == [], scene.status.message
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.STARTUP_DEADLINE_EXCEEDED)]


def test_a_pause_while_more_replicas_are_waited_for_stops_their_deadline() -> None:
    scene = rolling({10: "5m", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.run(60)
    scene.become_ready = False
    scene.run(500)
    scene.order(Verb.PAUSE, scene.candidate).run(3600)
    scene.order(Verb.RESUME, scene.candidate).run(599)
    assert rejected(scene) == [], scene.status.message
    scene.ready(scene.candidate, 2).run(10)
    assert scene.weight == 100


def test_a_paused_candidate_that_crashes_is_rolled_back() -> None:
    scene = rolling(STEPS)
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now)).settle()
    assert rejected(scene) == [("v2", Reason.CRASHED)]
    assert scene.route.shares == {scene.stable: 100}


# approve


def test_a_step_that_asks_for_approval_waits_for_a_person() -> None:
    scene = approving(309)
    assert scene.status.phase is Phase.PROGRESSING
    assert "then somebody to approve step 1/2" in scene.status.message
    scene.run(1)
    assert (scene.status.phase, scene.kstatus) == (Phase.AWAITING_APPROVAL, "InProgress")
    assert scene.condition(ConditionType.READY) == ("False", Reason.AWAITING_APPROVAL)
    assert scene.run(86400).look_again_at is None
    assert scene.weight == 10
    scene.order(Verb.APPROVE, scene.candidate).settle()
    assert result(scene, Verb.APPROVE) == ("Done", "step 1/2 is approved")
    assert (scene.weight, rollout(scene).approved_step) == (50, 1)
    scene.run(299)
    assert scene.weight == 50
    scene.run(1)
    assert version(scene) == "v2"


def test_an_approval_before_the_hold_is_over_shortens_nothing() -> None:
    scene = approving(60)
    scene.order(Verb.APPROVE, scene.candidate).run(249)
    assert scene.weight == 10
    scene.run(1)
    assert scene.weight == 50


def test_an_approval_counts_for_one_step() -> None:
    steps = {"steps": [{"weight": weight, "approval": True} for weight in (10, 50)]}
    scene = healthy(1, rollout=steps).declare(2, rollout=steps)
    scene.run(20)
    scene.order(Verb.APPROVE, scene.candidate, "first").run(3600)
    assert (scene.weight, scene.status.phase) == (50, Phase.AWAITING_APPROVAL)
    scene.order(Verb.APPROVE, scene.candidate, "second").run(60)
    assert version(scene) == "v2"


def test_an_approved_step_that_begins_anew_stays_approved() -> None:
    scene = approving(60)
    scene.order(Verb.APPROVE, scene.candidate).settle()
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(20)
    scene.become_ready = True
    scene.run(310)
    assert scene.weight == 50


# promote


@pytest.mark.parametrize("before", ["holding", "paused", "asks for approval", "before the first step", "baking"])
def test_promote_skips_what_is_left(before: str) -> None:
    plan = {**APPROVED, "bake": "1h"} if before != "baking" else {"steps": [], "bake": "1h"}
    scene = healthy(1, rollout=plan).declare(2, rollout=plan)
    scene.run({"holding": 60, "asks for approval": 600, "before the first step": 1}.get(before, 60))
    if before == "paused":
        scene.order(Verb.PAUSE, scene.candidate).run(60)
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    assert result(scene, Verb.PROMOTE) == ("Done", "v2 gets all traffic as soon as its replicas are ready")
    scene.run(0 if before != "before the first step" else 9)
    assert (version(scene), scene.status.phase) == ("v2", Phase.HEALTHY)
    assert scene.outcomes()[0] == ("v2", Outcome.PROMOTED)


def test_promote_waits_for_the_replicas_of_all_the_traffic() -> None:
    scene = rolling({25: "5m"}, serving={"minReplicas": 4})
    scene.run(60)
    scene.become_ready = False
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    assert (scene.weight, scene.status.phase, scene.status.message) == (
        25,
        Phase.PROMOTING,
        "v2: waiting for 1 of 4 replicas of v2 to be ready (until 2026-11-20T13:11:00Z); stable v1",
    )
    scene.ready(scene.candidate, 4).run(10)
    assert version(scene) == "v2"


@pytest.mark.parametrize("trouble", ["the registry is down", "the stable revision is down"])
def test_promote_means_it(trouble: str) -> None:
    scene = rolling(STEPS)
    scene.run(60)
    scene.become_ready = False
    if trouble == "the registry is down":
        scene.down = DOWN
    else:
        scene.ready(scene.stable, 0)
    scene.run(600)
    assert scene.weight == 10
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    assert version(scene) == "v2"


def test_promote_gives_everything_to_the_ones_that_are_ready_where_nobody_else_answers() -> None:
    scene = rolling({25: "5m"}, serving={"minReplicas": 4})
    scene.run(60)
    scene.become_ready = False
    scene.order(Verb.PROMOTE, scene.candidate).run(60)
    assert (scene.weight, version(scene)) == (25, "v1"), "v1 answers: nobody gets more than he can take"
    scene.ready(scene.stable, 0).settle()
    assert version(scene) == "v2"
    assert (scene.status.phase, scene.status.message) == (
        Phase.DEPLOYING,
        "v2 has all traffic; 1 of 4 replicas are ready",
    )


def test_a_pause_counts_after_promote_too() -> None:
    scene = rolling({25: "5m"}, serving={"minReplicas": 4})
    scene.run(60)
    scene.become_ready = False
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    scene.become_ready = True
    scene.run(3600)
    assert (scene.weight, scene.status.phase) == (25, Phase.PAUSED)
    assert "somebody to resume it, which gives it everything, or to abort it (paused)" in scene.status.message
    scene.order(Verb.RESUME, scene.candidate).run(10)
    assert version(scene) == "v2"


# undo


def test_undo_gives_everything_to_the_warm_previous_with_the_next_write_of_the_route() -> None:
    scene = promoted()
    previous = scene.status.previous
    assert previous is not None
    stable = scene.stable
    scene.accepts = False
    scene.order(Verb.UNDO, stable, "anna/now").look()
    assert scene.route.shares == {previous.revision: 100}
    assert result(scene, Verb.UNDO) == ("Done", "all traffic goes to v1; v2 is rejected until it is retried")
    assert (scene.stable, scene.status.previous, scene.status.fallback) == (previous.revision, None, None)
    assert (scene.outcomes()[0], rejected(scene)) == (("v2", Outcome.UNDONE), [("v2", Reason.UNDONE)])
    assert scene.told[-1] == Reason.UNDONE
    assert scene.status.stable is not None
    assert scene.status.stable.since == scene.now
    scene.run(600)
    assert stable in scene.pods, "the gateway has not let go of it"
    scene.accept().settle()
    scene.accepts = True
    scene.run(29)
    assert stable in scene.pods, "its last requests are not answered"
    scene.run(1)
    assert stable not in scene.pods
    assert (scene.status.phase, scene.status.message) == (
        Phase.ROLLED_BACK,
        "v2 rejected: undone by order; serving v1",
    )
    assert (scene.status.stable.goes_at, scene.status.stable.floor) == (None, None)


def test_undo_to_a_revision_whose_replicas_are_gone() -> None:
    scene = promoted(cold=True)
    stable, gone = scene.stable, scene.status.fallback
    assert gone is not None
    assert (gone.replicas, gone.ready, gone.floor, gone.goes_at) == (0, 0, None, None)
    scene.order(Verb.UNDO, stable).settle()
    assert result(scene, Verb.UNDO) == ("Done", "v1 gets all traffic as soon as it is ready")
    assert scene.status.candidate is not None
    assert scene.status.candidate.since == scene.now
    assert (scene.status.phase, scene.kstatus) == (Phase.ROLLING_BACK, "InProgress")
    assert scene.condition(ConditionType.READY) == ("False", Reason.UNDONE)
    assert scene.route.shares == {stable: 100}
    scene.run(10)
    assert version(scene) == "v1"
    assert scene.outcomes()[:2] == [("v2", Outcome.UNDONE), ("v1", Outcome.PROMOTED)]
    assert rejected(scene) == [("v2", Reason.UNDONE)]
    assert scene.status.phase is Phase.ROLLED_BACK


def test_what_was_taken_back_goes_when_its_last_requests_are_answered() -> None:
    """No longer than where the one before was warm: it holds the room that the others of that need."""
    scene = promoted(cold=True)
    undone = scene.stable
    scene.order(Verb.UNDO, undone).run(10)
    assert (version(scene), scene.status.previous) == ("v1", None)
    scene.run(29)
    assert undone in scene.pods
    scene.run(1)
    assert list(scene.pods) == [scene.stable]


@pytest.mark.parametrize("trouble", ["the registry is down", "the alias is gone", "the stable revision is down"])
def test_nothing_keeps_anybody_from_going_back(trouble: str) -> None:
    scene = promoted(cold=True)
    if trouble == "the registry is down":
        scene.down = DOWN
    elif trouble == "the alias is gone":
        scene.target = Problem(Reason.ALIAS_NOT_FOUND, "gone")
    else:
        scene.become_ready = False
        scene.ready(scene.stable, 0)
    scene.order(Verb.UNDO, scene.stable).settle()
    scene.ready(scene.candidate, 1).run(10)
    assert version(scene) == "v1"


def test_undo_goes_on_while_what_is_declared_was_taken_back_before() -> None:
    """v3 is declared and rejected, v2 is in use and turns out bad, too."""
    scene = promoted()
    scene.declare(3).settle()
    scene.order(Verb.ABORT, scene.candidate).run(600)
    assert (version(scene), scene.status.previous) == ("v2", None)
    scene.order(Verb.UNDO, scene.stable).run(60)
    assert version(scene) == "v1"
    assert rejected(scene) == [("v2", Reason.UNDONE), ("v3", Reason.ABORTED)]


def undoing_while_another_is_declared() -> Scene:
    """What is in use is what a person wants to be rid of: the one that was declared meanwhile is tried after that."""
    scene = promoted(cold=True)
    scene.become_ready = False
    scene.order(Verb.UNDO, scene.stable).settle()
    back = scene.candidate
    scene.declare(3).settle()
    assert (scene.candidate, scene.status.phase) == (back, Phase.ROLLING_BACK)
    assert "going back to v1" in scene.status.message
    assert scene.status.message.endswith("v3, which is declared, comes after that")
    return scene


def test_undo_comes_before_a_version_that_is_declared_meanwhile() -> None:
    scene = undoing_while_another_is_declared()
    scene.ready(scene.candidate, 1).run(10)
    assert (version(scene), rejected(scene)) == ("v1", [("v2", Reason.UNDONE)])
    candidate = scene.status.candidate
    assert candidate is not None
    assert (candidate.version, scene.status.phase) == ("v3", Phase.DEPLOYING)


@pytest.mark.parametrize("by", ["an order", "the deadline"])
def test_undo_that_does_not_come_to_an_end_makes_way(by: str) -> None:
    scene = undoing_while_another_is_declared()
    if by == "an order":
        scene.order(Verb.ABORT, scene.candidate).settle()
    else:
        scene.run(600)
    assert (version(scene), [one for one, _ in rejected(scene)]) == ("v2", ["v1"])
    candidate = scene.status.candidate
    assert candidate is not None
    assert candidate.version == "v3"


def test_what_is_taken_back_is_not_said_to_come_after_that() -> None:
    scene = promoted(cold=True)
    scene.become_ready = False
    scene.order(Verb.UNDO, scene.stable).settle()
    assert "declared" not in scene.status.message


def test_an_undo_stands_still_when_it_is_paused() -> None:
    scene = promoted(cold=True)
    scene.become_ready = False
    scene.order(Verb.UNDO, scene.stable).settle()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    assert scene.status.phase is Phase.PAUSED
    assert scene.status.message.startswith("going back to v1: waiting for somebody to resume, promote or abort it")
    resumed = scene.order(Verb.RESUME, scene.candidate).settle()
    assert resumed.status.phase is Phase.ROLLING_BACK


def test_undo_with_fewer_replicas_than_it_needs_waits_for_them() -> None:
    scene = promoted(serving={"minReplicas": 4})
    previous = scene.status.previous
    assert previous is not None
    scene.become_ready = False
    scene.ready(previous.revision, 3)
    scene.order(Verb.UNDO, scene.stable).settle()
    assert scene.route.shares == {scene.stable: 100}
    assert (scene.candidate, scene.status.previous) == (previous.revision, None)
    scene.ready(previous.revision, 4).run(10)
    assert version(scene) == "v1"


def test_undo_gives_everything_to_the_warm_ones_that_are_left_where_nobody_else_answers() -> None:
    scene = promoted(serving={"minReplicas": 4})
    previous = scene.status.previous
    assert previous is not None
    scene.become_ready = False
    scene.ready(previous.revision, 1).ready(scene.stable, 0)
    scene.order(Verb.UNDO, scene.stable).look()
    assert scene.route.shares == {previous.revision: 100}
    assert (version(scene), rejected(scene)) == ("v1", [("v2", Reason.UNDONE)])


def test_undo_gives_everything_to_the_first_one_that_is_ready_where_nobody_else_answers() -> None:
    """The others may find no room: what is taken back has it."""
    scene = promoted(cold=True, serving={"minReplicas": 4})
    scene.become_ready = False
    scene.ready(scene.stable, 0)
    scene.order(Verb.UNDO, scene.stable).run(595)
    back = scene.candidate
    scene.ready(back, 1).run(9)
    assert (scene.candidate, rejected(scene)) == (back, []), "it is not late: one is ready, and only not long enough"
    scene.run(1)
    assert (scene.route.shares, version(scene)) == ({back: 100}, "v1")
    assert (scene.status.phase, rejected(scene)) == (Phase.ROLLED_BACK, [("v2", Reason.UNDONE)])
    assert scene.status.stable is not None
    assert (scene.status.stable.replicas, scene.status.stable.ready) == (4, 1)


def test_a_target_of_undo_that_fails_is_given_up_and_told() -> None:
    scene = promoted(cold=True)
    stable = scene.stable
    scene.become_ready = False
    scene.order(Verb.UNDO, stable, "1").settle()
    gone = scene.candidate
    scene.fail(gone, Failure(Reason.LOAD_FAILED, "no model", at=scene.now, hopeless=True)).settle()
    assert (scene.stable, scene.status.phase, rejected(scene)) == (
        stable,
        Phase.HEALTHY,
        [("v1", Reason.LOAD_FAILED)],
    )
    scene.order(Verb.UNDO, stable, "2").settle()
    assert result(scene, Verb.UNDO) == (
        "Refused",
        "v1 is rejected (no model): retry it first, or declare another version",
    )
    scene.become_ready = True
    scene.order(Verb.RETRY, gone).settle()
    scene.order(Verb.UNDO, stable, "3").run(10)
    assert version(scene) == "v1"


def test_an_undo_can_be_aborted() -> None:
    scene = promoted(cold=True)
    stable = scene.stable
    scene.become_ready = False
    scene.order(Verb.UNDO, stable).settle()
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert (scene.stable, scene.status.phase, scene.route.shares) == (stable, Phase.HEALTHY, {stable: 100})


def test_what_was_undone_is_tried_again_when_it_is_retried() -> None:
    scene = promoted()
    undone = scene.stable
    scene.order(Verb.UNDO, undone).run(5)
    scene.order(Verb.RETRY, undone).run(60)
    assert scene.stable == undone
    assert scene.status.previous is not None
    assert scene.status.previous.version == "v1"


def test_undo_where_the_gateway_does_not_know_the_previous_one_names_it_first() -> None:
    scene = promoted()
    scene.accepts = False
    scene.route = Route(exists=True, weights={scene.stable: 100}, accepted=True)
    scene.order(Verb.UNDO, scene.stable).look()
    assert scene.route.shares == {scene.stable: 100}
    assert scene.route.weights[scene.candidate] == 0
    scene.run(10)
    scene.accept().settle()
    assert scene.route.shares == {scene.candidate: 100}


# refused


def running() -> Scene:
    scene = rolling(STEPS)
    scene.run(60)
    return scene


def paused() -> Scene:
    scene = running()
    scene.order(Verb.PAUSE, scene.candidate, "before").settle()
    return scene


def starting() -> Scene:
    scene = Scene()
    scene.look()
    return scene


# The scene, the order, whose name it has, and the answer.
REFUSALS = [
    (healthy, Verb.ABORT, "stable", "no rollout is running: v1 is in use already"),
    (healthy, Verb.PROMOTE, "stable", "no rollout is running: v1 is in use already"),
    (healthy, Verb.APPROVE, "fraud-v9-x", "no rollout is running"),
    (Scene, Verb.PAUSE, "fraud-v9-x", "no rollout is running"),
    (running, Verb.ABORT, "fraud-v9-x", "the candidate is v2 ({candidate}), not fraud-v9-x"),
    (running, Verb.PROMOTE, "", "the candidate is v2 ({candidate}), not nothing"),
    (running, Verb.PAUSE, "  ", "the candidate is v2 ({candidate}), not nothing"),
    (running, Verb.RESUME, "stable", "the candidate is v2 ({candidate}), not {stable}"),
    (running, Verb.RESUME, "candidate", "the rollout is not paused"),
    (running, Verb.APPROVE, "candidate", "step 1/2 waits for no approval"),
    (running, Verb.UNDO, "stable", "a rollout of v2 is running: abort it first"),
    (running, Verb.UNDO, "candidate", "v1 ({stable}) is in use, not {candidate}"),
    (running, Verb.RETRY, "candidate", "{candidate} is not among the rejected revisions"),
    (running, Verb.RETRY, "", "nothing is not among the rejected revisions"),
    (paused, Verb.PAUSE, "candidate", "the rollout stands still already: paused"),
    (starting, Verb.ABORT, "candidate", "v1 is the first version: there is none to go back to"),
    (starting, Verb.PROMOTE, "candidate", "v1 is the first version: it gets all traffic as soon as it is ready"),
    (starting, Verb.UNDO, "candidate", "nothing is in use yet, not {candidate}"),
    (starting, Verb.UNDO, "", "nothing is in use yet, not nothing"),
    (healthy, Verb.UNDO, "", "v1 ({stable}) is in use, not nothing"),
    (healthy, Verb.UNDO, "stable", "no revision before this one is known; declare the version that shall serve"),
]


@pytest.mark.parametrize(("begin", "verb", "whose", "answer"), REFUSALS)
def test_refused(begin: Callable[[], Scene], verb: Verb, whose: str, answer: str) -> None:
    scene = begin()
    roles = roles_of(scene)
    before = scene.status
    scene.order(verb, roles.get(whose, whose), "nonce").look()
    assert result(scene, verb) == ("Refused", answer.format(**roles))
    assert (before.rollout is None) or rollout(scene).paused == before.rollout.paused
    assert (scene.status.history, scene.status.rejected) == (before.history, before.rejected)


def roles_of(scene: Scene) -> dict[str, str]:
    found = {"stable": scene.status.stable, "candidate": scene.status.candidate}
    return {name: role.revision for name, role in found.items() if role is not None}


# once, together, late


def test_each_value_is_carried_out_once() -> None:
    scene = running()
    scene.order(Verb.PAUSE, scene.candidate, "1").settle()
    at = handled(scene, Verb.PAUSE).at
    scene.order(Verb.RESUME, scene.candidate, "1").run(30)
    assert (rollout(scene).paused, handled(scene, Verb.PAUSE).at) == (None, at)
    scene.order(Verb.PAUSE, scene.candidate, "2").settle()
    assert rollout(scene).paused is not None
    assert handled(scene, Verb.PAUSE).at == scene.now


@pytest.mark.parametrize(
    ("together", "phase"),
    [
        ((Verb.ABORT, Verb.PROMOTE), Phase.ROLLED_BACK),
        ((Verb.PAUSE, Verb.RESUME), Phase.PAUSED),
        ((Verb.PAUSE, Verb.PROMOTE), Phase.PAUSED),
        ((Verb.ABORT, Verb.PAUSE), Phase.ROLLED_BACK),
    ],
)
def test_of_orders_given_together_the_most_careful_one_counts(together: tuple[Verb, ...], phase: Phase) -> None:
    scene = running()
    for verb in together:
        scene.order(verb, scene.candidate)
    scene.run(60)
    assert set(scene.status.handled) == {verb.value for verb in together}
    assert scene.status.phase is phase


TOGETHER = ("Refused", "it was ordered together with abort, which counts: order it again")


def test_a_retry_that_was_given_together_with_an_abort_starts_nothing() -> None:
    """Both came while the operator was down; the abort was the last word."""
    scene = running()
    candidate = scene.candidate
    scene.order(Verb.ABORT, candidate, "1").run(60)
    scene.order(Verb.RETRY, candidate, "1").order(Verb.ABORT, candidate, "2").run(60)
    assert result(scene, Verb.ABORT) == ("Refused", "no rollout is running")
    assert result(scene, Verb.RETRY) == TOGETHER
    assert (scene.status.candidate, rejected(scene)) == (None, [("v2", Reason.ABORTED)])
    scene.order(Verb.RETRY, candidate, "2").settle()
    assert (result(scene, Verb.RETRY)[0], scene.candidate) == ("Done", candidate)


def test_an_abort_that_ends_the_rollout_is_not_made_good_by_a_retry_beside_it() -> None:
    scene = running()
    scene.order(Verb.ABORT, scene.candidate).order(Verb.RETRY, scene.candidate).run(60)
    assert result(scene, Verb.RETRY) == TOGETHER
    assert rejected(scene) == [("v2", Reason.ABORTED)]


@pytest.mark.parametrize("whose", ["fraud-v9-x", "stable"])
def test_an_abort_for_another_revision_takes_nothing_from_a_retry(whose: str) -> None:
    scene = running()
    candidate = scene.candidate
    scene.order(Verb.ABORT, candidate, "1").run(60)
    late = roles_of(scene).get(whose, whose)
    scene.order(Verb.RETRY, candidate).order(Verb.ABORT, late, "2").settle()
    assert (result(scene, Verb.RETRY)[0], scene.candidate) == ("Done", candidate)


def test_a_late_order_cannot_hit_the_wrong_version() -> None:
    scene = running()
    late = scene.candidate
    steps = {"steps": [{"weight": 10, "hold": "5m"}]}
    scene.declare(3, rollout=steps).run(60)
    scene.order(Verb.ABORT, late).order(Verb.PROMOTE, late).settle()
    assert (handled(scene, Verb.ABORT).result, handled(scene, Verb.PROMOTE).result) == ("Refused", "Refused")
    assert scene.weight == 10


def test_an_order_given_while_suspended_is_carried_out_afterwards() -> None:
    scene = running()
    steps = {"steps": [{"weight": weight, "hold": hold} for weight, hold in STEPS.items()]}
    scene.declare(2, rollout=steps, suspend=True).settle()
    scene.order(Verb.ABORT, scene.candidate).run(60)
    assert (scene.status.handled, scene.weight) == ({}, 10)
    scene.declare(2, rollout=steps).settle()
    assert (handled(scene, Verb.ABORT).result, scene.route.shares) == ("Done", {scene.stable: 100})


def test_an_order_counts_while_the_registry_has_no_answer() -> None:
    scene = running()
    scene.target = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert scene.route.shares == {scene.stable: 100}


def test_who_gave_an_order_is_told_only_where_the_command_line_wrote_it() -> None:
    for value, revision, by in (
        ("fraud-v2-x", "fraud-v2-x", None),
        (" fraud-v2-x #anna/2026-11-20T22:10:05.123Z", "fraud-v2-x", "anna"),
        ("fraud-v2-x#again", "fraud-v2-x", None),
        ("fraud-v2-x#/now", "fraud-v2-x", None),
        ("#", "", None),
    ):
        order = Order(Verb.ABORT, value)
        assert (order.revision, order.by) == (revision, by), value


def test_annotations_that_are_orders() -> None:
    annotations = {"serin.dev/abort": "a", "serin.dev/undo": "", "serin.dev/note": "b", "other.dev/abort": "c"}
    assert annotated(annotations) == {"abort": "a"}
    assert {verb.annotation for verb in Verb} == {
        f"serin.dev/{word}" for word in ("approve", "promote", "abort", "retry", "pause", "resume", "undo")
    }


def test_a_value_without_end_is_kept_short_and_refused_once() -> None:
    scene = running()
    scene.order(Verb.ABORT, "x" * 10_000).settle()
    at = handled(scene, Verb.ABORT).at
    assert len(handled(scene, Verb.ABORT).value) == 512
    scene.run(60)
    assert handled(scene, Verb.ABORT).at == at


@pytest.mark.parametrize("routed", [False, True])
def test_a_first_version_can_be_paused_and_keeps_its_replicas(*, routed: bool) -> None:
    scene = Scene(spec=spec(1, serving={"minReplicas": 4}))
    scene.accepts = False
    scene.run(10 if routed else 5)
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    assert (scene.status.phase, scene.kstatus) == (Phase.PAUSED, "InProgress")
    assert scene.status.message == "v1: waiting for somebody to resume it (paused)", "nothing else works"
    plan = scene.look().plan
    assert plan is not None
    assert [one.min_replicas for one in plan.revisions] == [4]
    scene.order(Verb.RESUME, scene.candidate).settle()
    scene.accept().settle()
    assert scene.status.phase is Phase.HEALTHY


def test_a_pause_takes_no_replicas_while_the_gateway_may_act_by_the_route_before() -> None:
    scene = rolling({25: "5m"}, serving={"minReplicas": 4})
    scene.run(60)
    scene.accepts = False
    scene.run(270)
    assert scene.weight == 100
    scene.order(Verb.PAUSE, scene.candidate).settle()
    plan = scene.look().plan
    assert plan is not None
    assert scene.weight == 25
    assert [one.min_replicas for one in plan.revisions] == [4, 4]


def test_promote_after_a_long_absence_gives_more_replicas_the_whole_startup_deadline() -> None:
    scene = rolling({25: "5m"}, serving={"minReplicas": 4, "startupDeadline": "10m"})
    scene.settle()
    scene.become_ready = False
    scene.wait(3600).order(Verb.PROMOTE, scene.candidate).settle()
    scene.run(599)
    assert rejected(scene) == [], scene.status.message
    scene.ready(scene.candidate, 4).run(10)
    assert version(scene) == "v2"


def test_undo_to_a_revision_that_is_about_to_go_takes_it_up_first() -> None:
    """Its replicas are still there and known, but they are leaving: it would be taken away while it serves."""
    scene = promoted()
    before = scene.route
    scene.accepts = False
    scene.run(600)
    assert scene.status.previous is None
    # The operator crashed before it could take it out of the route.
    scene.route = before
    (leaving,) = scene.status.retiring
    assert len(scene.pods[leaving.revision]) == 1
    scene.accepts = True
    scene.order(Verb.UNDO, scene.stable).look()
    assert result(scene, Verb.UNDO) == ("Done", "v1 gets all traffic as soon as it is ready")
    scene.run(3600)
    assert version(scene) == "v1"
    assert leaving.revision in scene.pods


@pytest.mark.parametrize(
    ("verb", "value", "handled_before", "is_ordered"),
    [
        (Verb.RETRY, "a#1", None, True),
        (Verb.RETRY, "a#1", "a#0", True),
        (Verb.RETRY, "a#1", "a#1", False),
        (Verb.RETRY, "b#1", None, False),
        (Verb.ABORT, "a#1", None, False),
    ],
)
def test_whether_a_retry_was_ordered(verb: Verb, value: str, handled_before: str | None, *, is_ordered: bool) -> None:
    before = {} if handled_before is None else {"retry": Handled(value=handled_before, at=START, result="Done")}
    assert ordered(Verb.RETRY, "a", {verb.value: value}, before) == is_ordered
