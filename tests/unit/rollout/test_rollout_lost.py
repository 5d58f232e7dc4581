"""A status that was emptied: nothing is moved by what nobody remembers, and there is a way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.goal import name_of
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from serin.rollout.revision import version_in
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import seconds
from tests.unit.rollout.scene import spec

STEPS = {"steps": [{"weight": 10, "hold": "5m"}, {"weight": 80, "hold": "5m"}], "bake": "5m"}


def rolling(length: float) -> Scene:
    """v2 beside v1 so long after it was declared: by steps of 10 and of 80 %, and a bake."""
    scene = healthy(1, rollout=STEPS).declare(2, rollout=STEPS)
    scene.run(length)
    return scene


def aborted() -> Scene:
    scene = rolling(60)
    scene.order(Verb.ABORT, scene.candidate).run(60)
    return scene


def lose(scene: Scene) -> Scene:
    scene.status = ModelDeploymentStatus()
    scene.told.clear()
    return scene


def first_step() -> Scene:
    return rolling(60)


def second_step() -> Scene:
    return rolling(400)


@pytest.mark.parametrize("begin", [first_step, second_step, aborted])
def test_what_nobody_remembers_is_left_as_it_is(begin: Callable[[], Scene]) -> None:
    scene = begin()
    stable, route, pods = scene.stable, scene.route, dict(scene.pods)
    rolled = sorted(set(pods) | {stable}, key=lambda name: name != stable)
    decision = lose(scene).outlast(86400)
    assert decision.plan is None
    assert decision.look_again_at is not None
    assert (scene.route, scene.pods) == (route, pods)
    assert (scene.status.stable, scene.status.candidate, scene.status.history) == (None, None, ())
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.told == [Reason.STATUS_LOST]
    assert f"v1 is in use ({stable}): nothing is changed until that is declared" in scene.status.message
    assert {one.version for one in scene.status.traffic} == {version_in(name) for name in rolled}


@pytest.mark.parametrize("begin", [first_step, second_step, aborted])
def test_the_version_in_use_is_taken_up_where_it_is_declared_and_the_other_one_rolls_anew(
    begin: Callable[[], Scene],
) -> None:
    scene = begin()
    stable = scene.stable
    others = set(scene.pods) - {stable}
    lose(scene).settle()
    scene.become_ready = False
    scene.declare(1, rollout=STEPS).run(29)
    assert (scene.stable, scene.route.shares, scene.status.phase) == (stable, {stable: 100}, Phase.HEALTHY)
    assert others <= set(scene.pods), "its last requests are answered"
    scene.run(10)
    assert set(scene.pods) == {stable}
    scene.become_ready = True
    scene.declare(2, rollout=STEPS).run(60)
    assert (scene.weight, scene.stable) == (10, stable)


def test_the_version_in_use_gets_everything_only_with_its_replicas() -> None:
    scene = first_step()
    stable, shares = scene.stable, scene.route.shares
    scene.become_ready = False
    lose(scene).settle()
    scene.ready(stable, 0)
    scene.declare(1, rollout=STEPS).run(3600)
    assert scene.route.shares == shares
    scene.ready(stable, 1).run(10)
    assert (scene.stable, scene.route.shares) == (stable, {stable: 100})


def test_what_has_everything_goes_on_where_it_is_declared() -> None:
    scene = rolling(700)
    assert scene.status.phase is Phase.BAKING
    baked, before = scene.candidate, scene.stable
    lose(scene).settle()
    assert (scene.stable, scene.route.shares) == (baked, {baked: 100})
    scene.run(29)
    assert before in scene.pods, "a header may have reached it"
    scene.run(1)
    assert before not in scene.pods


def test_whom_the_header_for_the_stable_one_reaches_can_be_gone_back_to_from_a_bake() -> None:
    scene = rolling(700)
    before = scene.stable
    lose(scene)
    scene.declare(1, rollout=STEPS).run(10)
    assert (scene.stable, scene.route.shares) == (before, {before: 100})


def test_a_third_version_is_not_taken_for_the_one_in_use_either() -> None:
    scene = rolling(700)
    served = scene.candidate
    lose(scene).declare(3, rollout=STEPS).settle()
    assert scene.route.shares == {served: 100}
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST)


def test_without_headers_who_gets_most_is_the_one_in_use() -> None:
    scene = first_step()
    stable = scene.stable
    lose(scene)
    scene.route = replace(scene.route, matches=())
    scene.settle()
    assert f"v1 is in use ({stable})" in scene.status.message


JUDGED = {"analysis": {"checks": [{"name": "errors", "measure": "ErrorRate", "atMost": "5%"}]}}


def edit(scene: Scene, **fields: Any) -> Scene:
    """Somebody changes the status by hand."""
    scene.status = scene.status.model_copy(update=fields)
    scene.told.clear()
    return scene


def edit_rollout(scene: Scene, **fields: Any) -> Scene:
    assert scene.status.rollout is not None
    return edit(scene, rollout=scene.status.rollout.model_copy(update=fields))


@pytest.mark.parametrize(
    ("length", "also"),
    [
        *((length, also) for length in (5, 60, 400, 700) for also in ({}, {"history": ()})),
        *((length, {"rollout": None}) for length in (5, 60, 400)),
    ],
)
def test_a_candidate_beside_which_nobody_remembers_what_is_in_use_gets_nothing_more(
    length: float, also: dict[str, Any]
) -> None:
    """Before its first step, in either, and in the bake."""
    scene = rolling(length)
    stable, route, pods = scene.stable, scene.route, dict(scene.pods)
    decision = edit(scene, stable=None, **also).outlast(86400)
    assert decision.plan is None
    assert (scene.route, scene.pods) == (route, pods)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST)
    assert f"v1 is in use ({stable}): nothing is changed until that is declared" in scene.status.message
    assert scene.status.rollout is None or scene.status.rollout.waiting_for == "the version in use to be declared"
    scene.declare(1, rollout=STEPS).run(3600)
    assert (scene.stable, scene.route.shares, scene.status.phase) == (stable, {stable: 100}, Phase.HEALTHY)
    assert set(scene.pods) == {stable}
    scene.declare(2, rollout=STEPS).run(60)
    assert (scene.weight, scene.stable) == (10, stable)


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.PROMOTE])
def test_nobody_is_told_that_such_a_candidate_is_the_first_version(verb: Verb) -> None:
    scene = rolling(400)
    stable, shares = scene.stable, scene.route.shares
    edit(scene, stable=None, history=())
    scene.order(verb, scene.candidate).settle()
    handled = scene.status.handled[verb.value]
    assert (handled.result, scene.route.shares) == ("Refused", shares)
    assert handled.message == f"the status was lost, and by the route v1 is in use ({stable}): declare what shall serve"
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST)


@pytest.mark.parametrize("rollout", [{}, JUDGED, {"bake": "5m"}])
def test_that_holds_for_what_gets_everything_at_once(rollout: dict[str, Any]) -> None:
    scene = healthy(1, rollout=rollout)
    scene.become_ready = False
    scene.declare(2, rollout=rollout).settle()
    stable, shares = scene.stable, scene.route.shares
    edit(scene, stable=None)
    scene.become_ready = True
    scene.run(3600)
    assert (scene.route.shares, set(scene.pods) >= {stable}) == (shares, True)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST)


def test_that_holds_for_what_a_person_went_back_to() -> None:
    scene = healthy(1).declare(2)
    scene.run(3600)
    bad, shares = scene.stable, scene.route.shares
    scene.become_ready = False
    scene.order(Verb.UNDO, bad).settle()
    assert scene.status.rollout is not None
    assert scene.status.rollout.undo
    edit(scene, stable=None).run(60)
    assert (scene.route.shares, bad in scene.pods) == (shares, True)
    assert scene.status.phase is Phase.HEALTHY, "that is what is declared, and is taken up with what it has"


@pytest.mark.parametrize("begin", [first_step, second_step, lambda: rolling(700)])
def test_while_the_registry_is_silent_nothing_of_it_goes_on_either(begin: Callable[[], Scene]) -> None:
    scene = begin()
    route, pods = scene.route, dict(scene.pods)
    edit(scene, stable=None)
    scene.target = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    assert scene.run(7200).plan is None
    assert (scene.route, scene.pods, scene.status.message) == (route, pods, "no answer")


@pytest.mark.parametrize("length", [60, 700])
def test_what_was_lost_can_be_put_back_by_hand(length: float) -> None:
    scene = rolling(length)
    stable = scene.status.stable
    edit(scene, stable=None).run(60)
    edit(scene, stable=stable).run(3600)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_without_a_route_the_declared_version_is_a_first_one() -> None:
    scene = first_step()
    edit(scene, stable=None)
    scene.route = Route()
    scene.run(60)
    assert (scene.stable, scene.status.phase) == (next(name for name in scene.pods if "-v2-" in name), Phase.HEALTHY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": 9},
        {"step": -1},
        {"step": 0},
        {"step": 2},
        {"step": 3},
        {"weight": 70},
        {"step": 0, "step_started_at": None},
        {"step": 0, "weight": 0},
        {"step": 9, "step_started_at": None},
    ],
)
def test_a_rollout_that_is_nowhere_on_its_course_begins_anew(wrong: dict[str, Any]) -> None:
    scene = first_step()
    stable, shares = scene.stable, scene.route.shares
    edit_rollout(scene, **wrong).settle()
    assert scene.told == [Reason.STATUS_LOST]
    assert (scene.stable, scene.route.shares) == (stable, shares)
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step, scene.status.rollout.progress, scene.status.rollout.weight) == (1, "1/2", 10)
    scene.run(299)
    assert scene.weight == 10, "its hold begins anew, too"
    scene.run(20)
    assert scene.weight == 80


def test_what_it_had_beyond_its_first_step_it_loses() -> None:
    scene = second_step()
    assert scene.weight == 80
    edit_rollout(scene, step=9).settle()
    assert scene.weight == 10


def test_one_that_stood_still_stands_still_without_requests() -> None:
    scene = second_step()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    edit_rollout(scene, step=9).run(3600)
    assert (scene.weight, scene.status.phase) == (0, Phase.PAUSED)
    scene.order(Verb.RESUME, scene.candidate).run(299)
    assert scene.weight == 10


@pytest.mark.parametrize("part", ["rollout", "candidate", "course"])
def test_a_rollout_of_which_a_part_was_lost_begins_anew_by_what_is_declared(part: str) -> None:
    scene = second_step()
    stable = scene.stable
    if part == "course":
        assert scene.status.rollout is not None
        edit_rollout(scene, course=scene.status.rollout.course.model_copy(update={"steps": ()}))
    else:
        edit(scene, **{part: None})
    scene.settle()
    assert (scene.stable, scene.weight) == (stable, 10)
    assert scene.told.count(Reason.STATUS_LOST) == (0 if part == "candidate" else 1)
    scene.run(3600)
    assert scene.outcomes()[0] == ("v2", "Promoted")


def test_nothing_goes_while_it_is_not_known_what_is_declared() -> None:
    scene = first_step()
    lose(scene)
    scene.target = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    assert scene.settle().plan is None
    assert scene.status.message == "no answer"


def test_orders_of_before_are_not_carried_out_again() -> None:
    scene = first_step()
    scene.order(Verb.PROMOTE, scene.candidate, "late")
    lose(scene).settle()
    scene.declare(1, rollout=STEPS).run(60)
    scene.declare(2, rollout=STEPS).run(60)
    assert (scene.weight, scene.status.handled["promote"].result) == (10, "Refused")


def test_a_status_that_remembers_who_serves_is_not_lost() -> None:
    """Only the route was edited by hand: it is put back."""
    scene = healthy(1, rollout=STEPS)
    stable = scene.stable
    scene.route = Route(exists=True, weights={"fraud-v9-00000000": 100}, accepted=True)
    scene.settle()
    assert scene.route.shares == {stable: 100}


def test_a_first_version_is_remembered_before_it_gets_requests() -> None:
    """An operator that crashed had made it, and could not say so: a route beside that would be one of nobody."""
    scene = Scene()
    scene.settle()
    candidate = scene.candidate
    scene.run(9)
    lose(scene).wait(1)
    decision = scene.look()
    assert decision.look_again_at == scene.now
    assert (scene.candidate, scene.route.exists) == (candidate, False)
    scene.settle()
    assert scene.status.phase is Phase.HEALTHY


def test_that_holds_for_another_first_version_too() -> None:
    scene = Scene()
    scene.become_ready = False
    scene.settle()
    first = scene.candidate
    scene.declare(2)
    scene.ready(revision(scene, 2), 1).wait(10).look()
    assert (scene.candidate != first, scene.route.exists) == (True, False)
    scene.settle()
    assert scene.status.phase is Phase.HEALTHY


def revision(scene: Scene, number: int) -> str:
    name = name_of(scene.observed(), spec(number))
    assert isinstance(name, str)
    return name


def test_a_first_version_without_replicas_is_not_looked_at_again_at_once() -> None:
    scene = Scene()
    assert scene.look().look_again_at == scene.now + seconds(600)


def test_a_warm_revision_beside_one_in_use_is_not_held_up() -> None:
    scene = healthy(1)
    warm = scene.stable
    scene.declare(2).run(60)
    scene.declare(1, rollout=STEPS).look()
    assert (scene.candidate, scene.weight) == (warm, 10)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("fraud-v2-80027acb", "v2"),
        ("a-v1-b-v12-80027acb", "v12"),
        ("fraud-v2-80027acb-old", "?"),
        ("fraud-2-80027acb", "?"),
        ("theirs", "?"),
    ],
)
def test_which_version_a_name_tells(name: str, version: str) -> None:
    assert version_in(name) == version


def test_the_message_names_what_is_declared_with_its_revision() -> None:
    sections: dict[str, Any] = {"rollout": STEPS, "serving": {"workers": 4}}
    scene = first_step()
    lose(scene).declare(1, **sections).settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.STATUS_LOST), "another revision of that version"
    assert "v1 (fraud-v1-" in scene.status.message.partition(";")[2]
