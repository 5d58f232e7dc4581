"""Where a ModelDeployment stands on its way: one phase and one reason at every point, said to people and machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.decide import decide
from serin.rollout.goal import goal_of
from serin.rollout.goal import name_of
from serin.rollout.memory import Memory
from serin.rollout.observed import Failure
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from serin.rollout.schedule import ANSWER
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
    goal = goal_of(name_of(observed, spec(1)), observed, spec(1), Memory(), scene.now)
    standing = standing_of(Memory(), observed, spec(1), goal, scene.now, waiting="")
    assert (standing.phase, standing.reason, standing.stalled) == (Phase.PENDING, Reason.PENDING, False)


def told(scene: Scene, kind: ConditionType) -> tuple[str, Reason, str]:
    return next((one.status, one.reason, one.message) for one in scene.status.conditions if one.type is kind)


def promoted() -> Scene:
    """The version before is taken off the route a minute after the promotion."""
    scene = rolling({10: "0s"}, rollout={"keepPrevious": "1m"})
    scene.run(30)
    assert scene.status.phase is Phase.HEALTHY
    return scene


def rejected() -> Scene:
    """The candidate is taken off the route, where it has nothing yet."""
    scene = rolling({0: "5m", 10: "5m"})
    scene.run(60)
    return scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "ended", at=scene.now))


@pytest.mark.parametrize(
    ("begin", "phase", "after"),
    [(promoted, Phase.HEALTHY, Phase.PROMOTING), (rejected, Phase.ROLLED_BACK, Phase.ROLLING_BACK)],
)
def test_what_moves_no_request_is_no_news(begin: Callable[[], Scene], phase: Phase, after: Phase) -> None:
    """Not while a gateway that accepted the route before may be about to answer; afterwards it is said."""
    scene = begin()
    route, scene.accepts = scene.route, False
    for _ in range(120):
        if scene.route == route:
            scene.run(1)
    assert scene.route != route
    assert (scene.route.pending, scene.route.shares) == (True, route.shares)
    asked = next(one for one in scene.status.conditions if one.type is ConditionType.TRAFFIC_ROUTED)
    assert (asked.status, asked.reason) == ("False", Reason.WAITING_FOR_GATEWAY)
    before, writes = scene.kstatus, scene.writes
    assert (scene.status.phase, before) == (phase, "Current" if phase is Phase.HEALTHY else "Failed")
    scene.run((asked.last_transition_time + ANSWER - scene.now).total_seconds() - 1)
    assert (scene.status.phase, scene.kstatus, scene.writes) == (phase, before, writes)
    scene.run(1)
    assert (scene.status.phase, scene.kstatus, scene.writes) == (after, "InProgress", writes + 1)
    scene.accept().settle()
    assert scene.status.phase is phase


def test_a_replica_that_goes_while_the_gateway_has_yet_to_answer_is_what_is_told() -> None:
    """And not the gateway in the next breath, when nothing else has happened."""
    scene = rolling({10: "0s"}, rollout={"keepPrevious": "1m"}, serving={"minReplicas": 2})
    scene.run(30)
    route, scene.accepts = scene.route, False
    while scene.route == route:
        scene.run(1)
    assert (scene.route.pending, scene.status.phase) == (True, Phase.HEALTHY)
    scene.become_ready = False
    scene.ready(scene.stable, 1).settle()
    assert scene.condition(ConditionType.READY) == ("False", Reason.WAITING_FOR_REPLICAS)
    scene.ready(scene.stable, 2).settle()
    assert scene.status.phase is Phase.HEALTHY
    scene.run(60)
    assert scene.condition(ConditionType.READY) == ("False", Reason.WAITING_FOR_GATEWAY)


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: replace(scene.route, pending=False),
        lambda scene: replace(scene.route, pending=False, refusal="no"),
        lambda scene: Route(),
    ],
)
def test_a_gateway_that_takes_its_word_back_is_waited_for(change: Callable[[Scene], Route]) -> None:
    scene = healthy()
    scene.accepts = False
    scene.route = replace(change(scene), accepted=False)
    scene.look()
    assert (scene.status.phase, scene.kstatus) == (Phase.PROMOTING, "InProgress")


def test_requests_that_were_elsewhere_are_news() -> None:
    """The gateway had accepted the route that somebody edited: until it accepts the right one, it goes by that."""
    scene = healthy()
    scene.route = replace(scene.route, weights={**scene.route.weights, "fraud-v9-0": 0, scene.stable: 50})
    scene.accepts = False
    scene.settle()
    assert scene.route.pending
    assert scene.status.phase is Phase.PROMOTING


def test_another_declaration_is_ready_when_the_gateway_has_answered_for_it() -> None:
    scene = healthy()
    scene.accepts = False
    scene.declare(1, traffic={"hostnames": ["other.example.com"]})
    before = scene.status
    assert scene.look().may_wait
    scene.status = before
    scene.look()
    assert scene.route.pending
    assert (scene.status.phase, scene.kstatus) == (Phase.PROMOTING, "InProgress")


@pytest.mark.parametrize(
    "traffic",
    [{"hostnames": ["other.example.com"]}, {"gateways": [{"name": "other", "namespace": "gateways"}]}],
    ids=lambda traffic: next(iter(traffic)),
)
def test_where_no_request_came_in_yet_it_is_not_ready(traffic: dict[str, Any]) -> None:
    """Something else is told at once: what the gateway accepted is another route still."""
    scene = healthy()
    scene.declare(1, traffic=traffic)
    scene.order(Verb.ABORT, "nothing")
    decision = scene.look()
    assert not decision.may_wait
    assert (scene.status.phase, scene.kstatus) == (Phase.PROMOTING, "InProgress")
    scene.settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.HEALTHY, "Current")


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


@pytest.mark.parametrize("end", ["abort", "revert"])
@pytest.mark.parametrize(
    "step", [{"match": {"headers": {"x-cohort": "beta"}}}, {"mirror": 50}], ids=["match", "copies"]
)
def test_requests_that_need_no_weight_are_elsewhere_as_well(step: dict[str, Any], end: str) -> None:
    """Testers and copies still reach the candidate until the gateway accepts the route without them."""
    rollout = {"steps": [{"weight": 0, "hold": "1h", **step}]}
    scene = rolling({}, rollout=rollout)
    scene.run(60)
    assert (scene.weight, scene.route.reaches(scene.candidate)) == (0, True)
    scene.accepts = False
    if end == "abort":
        scene.order(Verb.ABORT, scene.candidate)
    else:
        scene.declare(1, rollout=rollout)
    meanwhile, after = {
        "abort": ((Phase.ROLLING_BACK, "InProgress"), (Phase.ROLLED_BACK, "Failed")),
        "revert": ((Phase.PROMOTING, "InProgress"), (Phase.HEALTHY, "Current")),
    }[end]
    scene.look()
    assert (scene.status.phase, scene.kstatus) == meanwhile
    scene.settle()
    assert (scene.route.matches, scene.route.mirror, scene.route.pending) == ((), None, True)
    assert (scene.status.phase, scene.kstatus) == meanwhile
    scene.accept().settle()
    assert (scene.status.phase, scene.kstatus) == after


@pytest.mark.parametrize(
    "change",
    [
        {"matches": (Match((("x-cohort", "beta"),), "fraud-v9-0"),)},
        {"mirror": Mirror("fraud-v9-0", 10)},
    ],
    ids=["match", "copies"],
)
def test_somebody_who_sends_requests_elsewhere_by_hand_is_news(change: dict[str, Any]) -> None:
    scene = healthy()
    scene.route = replace(scene.route, **change)
    scene.look()
    assert (scene.status.phase, scene.kstatus) == (Phase.PROMOTING, "InProgress")
    scene.settle()
    assert scene.status.phase is Phase.HEALTHY


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


NO_ROOM = Failure(Reason.UNSCHEDULABLE, "pod a cannot be scheduled: insufficient memory")
DOWN = "no replica of the stable v1 is ready: pod a cannot be scheduled: insufficient memory"


def half() -> Scene:
    scene = rolling({50: "5m"})
    scene.run(60)
    return scene


def paused() -> Scene:
    scene = half()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    return scene


def baking() -> Scene:
    scene = rolling({}, rollout={"bake": "10m"})
    scene.run(60)
    assert scene.status.message.endswith("v1 is kept warm")
    return scene


@pytest.mark.parametrize(
    ("begin", "phase", "available"),
    [(half, Phase.PROGRESSING, "v2 50 %"), (paused, Phase.PAUSED, "v2 50 %"), (baking, Phase.BAKING, "v2 100 %")],
)
def test_a_stable_revision_that_dies_in_a_rollout_is_told_once(
    begin: Callable[[], Scene], phase: Phase, available: str
) -> None:
    scene = begin()
    scene.told.clear()
    ready = scene.condition(ConditionType.READY)
    scene.become_ready = False
    scene.fail(scene.stable, NO_ROOM).run(60)
    assert (scene.status.phase, scene.status.message.endswith(f"; {DOWN}")) == (phase, True), scene.status.message
    assert "warm" not in scene.status.message
    assert told(scene, ConditionType.AVAILABLE) == ("True", Reason.STABLE_UNAVAILABLE, f"{available}; {DOWN}")
    assert scene.condition(ConditionType.READY) == ready, "in a bake the declared version has all traffic"
    assert scene.told == [Reason.STABLE_UNAVAILABLE]
    scene.ready(scene.stable, 1).run(10)
    assert (DOWN in scene.status.message, scene.told) == (False, [Reason.STABLE_UNAVAILABLE])
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)


def test_a_version_in_use_that_dies_is_an_event_and_one_that_starts_is_none() -> None:
    scene = healthy()
    assert scene.told == []
    scene.become_ready = False
    scene.fail(scene.stable, NO_ROOM).settle()
    decision = scene.ready(scene.stable, 1).settle()
    assert (decision.events, scene.told) == ((), [Reason.STABLE_UNAVAILABLE])
    observed = scene.ready(scene.stable, 0).observed()
    (event,) = decide(observed, scene.now).events
    assert (event.kind, event.message) == ("Warning", DOWN)


def test_a_candidate_that_dies_in_the_bake_is_not_told_as_the_stable_one() -> None:
    scene = baking()
    scene.become_ready = scene.accepts = False
    scene.told.clear()
    scene.ready(scene.candidate, 0).settle()
    assert scene.told == []
    assert scene.condition(ConditionType.AVAILABLE) == ("False", Reason.STABLE_UNAVAILABLE), "nobody answers"


WRONG = Problem(Reason.ALIAS_NOT_FOUND, "there is no alias champion")


@pytest.mark.parametrize(
    ("weight", "alive", "words"),
    [
        (50, True, "; serving v1 50 %, v2 50 %"),
        (1, True, "; serving v1 99 %, v2 1 %"),
        (0, True, "; serving v1"),
        (50, False, f"; {DOWN}; traffic: v1 50 %, v2 50 %"),
        (0, False, f"; {DOWN}"),
    ],
)
def test_a_problem_tells_who_serves_meanwhile(weight: int, *, alive: bool, words: str) -> None:
    """Also in a shadow, whose candidate is in the traffic without a share."""
    scene = rolling({}, rollout={"steps": [{"weight": weight, "mirror": 20, "hold": "5m"}]})
    scene.run(60)
    assert len(scene.status.traffic) == 2
    scene.become_ready = False
    if not alive:
        scene.fail(scene.stable, NO_ROOM)
    scene.target = WRONG
    scene.settle()
    assert scene.status.message == WRONG.message + words


def test_a_step_whose_share_is_not_what_the_gateway_gives_says_so() -> None:
    scene = rolling({25: "5m"})
    scene.run(60)
    assert "step 1/1: 25 % to v2, waiting for" in scene.status.message
    scene.become_ready = False
    scene.ready(scene.candidate, 0).settle()
    assert "step 1/1: 25 % to v2, which the gateway gives 0 %, waiting for" in scene.status.message


@pytest.mark.parametrize("spec_of", [spec(2, suspend=True), Problem(Reason.INVALID_SPEC, "spec.novel: unknown")])
def test_shares_are_told_as_the_gateway_has_them_also_where_nothing_is_done(
    spec_of: ModelDeploymentSpec | Problem,
) -> None:
    scene = half()
    scene.spec = spec_of
    scene.route = replace(scene.route, weights={scene.stable: 80, scene.candidate: 20})
    scene.settle()
    assert [(one.version, one.weight) for one in scene.status.traffic] == [("v1", 80), ("v2", 20)]
    assert scene.status.message.endswith("serving v1 80 %, v2 20 %")


@pytest.mark.parametrize("spec_of", [spec(2, suspend=True), Problem(Reason.INVALID_SPEC, "spec.novel: unknown")])
def test_a_version_in_use_that_dies_is_an_event_also_where_nothing_is_done(
    spec_of: ModelDeploymentSpec | Problem,
) -> None:
    scene = half()
    scene.spec = spec_of
    scene.settle()
    scene.ready(scene.stable, 0).settle()
    assert scene.told[-1] == Reason.STABLE_UNAVAILABLE
