"""The deadline of a rollout: what was declared for one that takes too long, and when its clock stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serin.analysis.checks import Measurement
from serin.analysis.checks import Number
from serin.analysis.checks import Unknown
from serin.api.analysis import Verdict
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import seconds

DOWN = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
LATE = "not promoted within 1h: waiting for the registry to answer (no answer)"


def stuck(on: str, length: float = 3599, steps: Any = None, weight: int = 10, **settings: Any) -> Scene:
    """A rollout with a deadline of an hour that the registry keeps in its first step."""
    return held_up(length, steps, weight, deadline="1h", onInconclusive=on, **settings)


def held_up(length: float, steps: Any = None, weight: int = 10, **settings: Any) -> Scene:
    """A rollout that the registry keeps in its first step."""
    rollout = {"steps": steps or [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "5m"}], **settings}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    scene.run(60)
    assert scene.weight == weight
    scene.down = DOWN
    scene.run(length - 60)
    return scene


def stable_version(scene: Scene) -> str:
    assert scene.status.stable is not None
    return scene.status.stable.version


def rejected(scene: Scene) -> list[tuple[str, Reason]]:
    return [(one.version, one.reason) for one in scene.status.rejected]


def test_hold_keeps_the_weight_and_waits_for_a_person() -> None:
    scene = stuck("Hold")
    assert scene.status.phase is Phase.PROGRESSING
    scene.run(1)
    assert (scene.status.phase, scene.kstatus, scene.weight) == (Phase.PAUSED, "Failed", 10)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.DEADLINE_EXCEEDED)
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.DEADLINE_EXCEEDED)
    assert LATE in scene.status.message
    scene.down = None
    assert scene.run(86400).look_again_at is None
    assert scene.weight == 10
    scene.order(Verb.RESUME, scene.candidate).settle()
    assert scene.status.rollout is not None
    assert (scene.weight, scene.status.rollout.deadline_at) == (50, None), "it is not late twice"
    scene.run(300)
    assert stable_version(scene) == "v2"


def test_rollback_takes_the_candidate_back() -> None:
    scene = stuck("Rollback")
    scene.run(1)
    assert scene.route.shares == {scene.stable: 100}
    assert [(one.version, one.reason, one.message) for one in scene.status.rejected] == [
        ("v2", Reason.DEADLINE_EXCEEDED, LATE)
    ]


def test_promote_gives_it_everything() -> None:
    scene = stuck("Promote")
    assert scene.weight == 10
    scene.down = None
    scene.wait(1).settle()
    assert stable_version(scene) == "v2"


def first_percent() -> Scene:
    """Late in the step with the smallest share, which it has held."""
    scene = stuck("Promote", steps=[{"weight": 1, "hold": "5m"}], weight=1)
    scene.down = None
    return scene


def registry_down() -> Scene:
    scene = first_percent()
    scene.down = DOWN
    return scene


def nobody_declares_it() -> Scene:
    scene = first_percent()
    scene.target = Problem(Reason.VERSION_NOT_FOUND, "there is no version 99")
    return scene


def stable_down() -> Scene:
    scene = first_percent()
    scene.become_ready = False
    scene.ready(scene.stable, 0)
    return scene


def never_had_a_request() -> Scene:
    rollout = {"deadline": "1h", "onInconclusive": "Promote"}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    scene.down = DOWN
    scene.run(3599)
    scene.down = None
    return scene


@pytest.mark.parametrize("begin", [registry_down, nobody_declares_it, stable_down, never_had_a_request])
def test_promote_overrides_nothing_that_is_for_a_person_to_override(begin: Callable[[], Scene]) -> None:
    scene = begin()
    share = scene.weight
    scene.wait(1).settle()
    assert (scene.weight, stable_version(scene)) == (share, "v1")
    assert scene.condition(ConditionType.PAUSED) == ("True", Reason.DEADLINE_EXCEEDED)
    scene.order(Verb.PROMOTE, scene.candidate).run(10)
    assert stable_version(scene) == "v2", "a person may"


def test_promote_at_the_deadline_gives_everything_from_the_smallest_share() -> None:
    scene = first_percent()
    scene.wait(1).settle()
    assert stable_version(scene) == "v2"


def growing(**settings: Any) -> Scene:
    """Past its deadline, waiting for the replicas of all the traffic."""
    rollout = {"steps": [{"weight": 25, "hold": "2h"}], "deadline": "1h", "onInconclusive": "Promote", **settings}
    sections: dict[str, Any] = {"rollout": rollout, "serving": {"minReplicas": 4, "startupDeadline": "3h"}}
    scene = healthy(1, **sections).declare(2, **sections)
    scene.run(60)
    scene.become_ready = False
    scene.run(3600)
    assert scene.status.phase is Phase.PROMOTING
    return scene


def test_what_was_given_at_the_deadline_waits_for_its_replicas_and_can_be_paused() -> None:
    scene = growing()
    scene.order(Verb.PAUSE, scene.candidate).run(600)
    assert (scene.weight, scene.status.phase) == (25, Phase.PAUSED)
    scene.order(Verb.RESUME, scene.candidate).settle()
    scene.ready(scene.candidate, 4).run(10)
    assert stable_version(scene) == "v2"


def test_it_is_not_given_any_more_when_something_comes_in_the_way_before_the_replicas_are_there() -> None:
    scene = growing()
    scene.target = Problem(Reason.VERSION_NOT_FOUND, "there is no version 99")
    scene.settle()
    scene.ready(scene.candidate, 4).run(60)
    assert (scene.weight, stable_version(scene)) == (25, "v1")
    assert scene.status.rollout is not None
    assert scene.status.rollout.paused is not None
    assert scene.status.rollout.paused.reason is Reason.DEADLINE_EXCEEDED
    assert not scene.status.rollout.skip


ANALYSIS = {"every": "30s", "checks": [{"name": "drift", "query": "drift", "atMost": "1"}]}


def test_what_was_given_at_the_deadline_is_judged_until_it_has_everything() -> None:
    """It was late for too little evidence; evidence against it is another thing."""
    scene = growing(analysis=ANALYSIS)
    candidate = scene.candidate
    scene.measured["drift"] = Number(2.0)
    scene.run(30)
    scene.ready(candidate, 4).run(10)
    assert (scene.route.shares, rejected(scene)) == ({scene.stable: 100}, [("v2", Reason.ANALYSIS_FAILED)])


@pytest.mark.parametrize(("measured", "verdict"), [(Number(0.0), Verdict.PASS), (Unknown("no answer"), Verdict.ERROR)])
def test_no_other_look_after_the_deadline_takes_anything_back(measured: Measurement, verdict: Verdict) -> None:
    scene = growing(analysis=ANALYSIS)
    scene.accepts = False
    scene.ready(scene.candidate, 4).run(10)
    assert scene.weight == 100
    scene.measured["drift"] = measured
    for _ in range(30):
        scene.wait(1).look()
        assert scene.weight == 100
    assert scene.status.rollout is not None
    assert scene.status.rollout.verdict is verdict
    scene.accept().settle()
    assert stable_version(scene) == "v2"


def test_who_was_ordered_to_get_everything_is_judged_no_more() -> None:
    """Also not once the deadline is over: whoever orders it has been told what the checks say."""
    scene = growing(analysis=ANALYSIS)
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    scene.measured["drift"] = Number(2.0)
    scene.run(60)
    scene.ready(scene.candidate, 4).run(10)
    assert stable_version(scene) == "v2"


@pytest.mark.parametrize("asks", [0, 1])
def test_promote_does_not_pass_a_step_that_asks_for_approval(asks: int) -> None:
    steps = [{"weight": weight, "hold": "5m", "approval": number == asks} for number, weight in enumerate((10, 50))]
    scene = stuck("Promote", steps=steps)
    scene.down = None
    scene.run(1)
    if asks:
        assert scene.weight == 50, "it moves on as soon as it can, and then it is late"
    assert (scene.status.phase, scene.status.rollout and scene.status.rollout.skip) == (Phase.PAUSED, False)
    scene.order(Verb.PROMOTE, scene.candidate).run(10)
    assert stable_version(scene) == "v2"


def test_promote_does_not_pass_a_later_step_that_asks_for_approval_either() -> None:
    steps = [{"weight": weight, "hold": "5m", "approval": weight == 50} for weight in (10, 50, 80)]
    scene = stuck("Promote", steps=steps)
    scene.down = None
    scene.wait(1).settle()
    assert (scene.status.phase, scene.weight) == (Phase.PAUSED, 10)


def test_promote_passes_a_step_that_is_approved() -> None:
    steps = [{"weight": 10, "hold": "5m", "approval": True}, {"weight": 50, "hold": "5m"}]
    scene = stuck("Promote", steps=steps)
    scene.down = None
    scene.wait(1).order(Verb.APPROVE, scene.candidate).settle()
    assert stable_version(scene) == "v2"


def test_its_clock_stands_still_in_a_pause() -> None:
    scene = stuck("Rollback", 1000)
    scene.order(Verb.PAUSE, scene.candidate).run(86400)
    assert scene.status.phase is Phase.PAUSED
    scene.order(Verb.RESUME, scene.candidate).run(2599)
    assert scene.status.rejected == ()
    scene.run(1)
    assert len(scene.status.rejected) == 1


def test_a_candidate_that_never_became_ready_is_late_too() -> None:
    rollout = {"steps": [], "deadline": "5m", "onInconclusive": "Rollback"}
    scene = healthy(1, rollout=rollout)
    scene.become_ready = False
    scene.declare(2, rollout=rollout).run(299)
    assert rejected(scene) == []
    scene.run(1)
    assert rejected(scene) == [("v2", Reason.DEADLINE_EXCEEDED)]


def test_who_bakes_was_in_time() -> None:
    rollout = {"bake": "2h", "deadline": "1h", "onInconclusive": "Rollback"}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    began = scene.now
    decision = scene.run(60)
    assert scene.status.rollout is not None
    assert (scene.status.phase, scene.status.rollout.deadline_at) == (Phase.BAKING, None)
    assert decision.look_again_at == began + seconds(10 + 7200)
    scene.run(7200)
    assert stable_version(scene) == "v2"


@pytest.mark.parametrize("on", ["Hold", "Rollback", "Promote"])
def test_whoever_has_all_traffic_in_a_step_was_in_time(on: str) -> None:
    steps = [{"weight": 50, "hold": "10m"}, {"weight": 100, "hold": "2h"}]
    rollout = {"steps": steps, "deadline": "1h", "onInconclusive": on}
    scene = healthy(1, rollout=rollout).declare(2, rollout=rollout)
    began = scene.now
    scene.run(620)
    assert scene.status.rollout is not None
    assert (scene.weight, scene.status.rollout.deadline_at) == (100, None)
    scene.run(5400)
    assert (scene.status.phase, scene.weight, rejected(scene)) == (Phase.PROGRESSING, 100, [])
    assert scene.settle().look_again_at == began + seconds(10 + 600 + 7200)
    scene.run(7200)
    assert stable_version(scene) == "v2"


def test_a_rollout_without_a_deadline_is_never_late() -> None:
    scene = held_up(86400 * 30)
    assert (scene.weight, scene.status.rejected) == (10, ())


def test_the_end_of_the_deadline_is_a_moment_to_look() -> None:
    scene = stuck("Rollback", 600)
    assert scene.status.rollout is not None
    assert scene.settle().look_again_at == scene.status.rollout.deadline_at
    assert "until" not in scene.status.message.split("waiting for")[1].split(";")[0]


def test_who_was_ordered_to_get_everything_is_not_late() -> None:
    rollout = {"steps": [{"weight": 10, "hold": "2h"}], "deadline": "1h", "onInconclusive": "Rollback"}
    scene = healthy(1, rollout=rollout, serving={"minReplicas": 2}).declare(
        2, rollout=rollout, serving={"minReplicas": 2, "startupDeadline": "3h"}
    )
    scene.run(60)
    scene.become_ready = False
    scene.order(Verb.PROMOTE, scene.candidate).run(7200)
    assert scene.status.rejected == ()
    scene.ready(scene.candidate, 2).run(10)
    assert stable_version(scene) == "v2"
