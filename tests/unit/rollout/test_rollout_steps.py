"""A rollout that goes well: capacity before traffic, clocks that the gateway starts, nothing faster than declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.decision import Decision
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds


def replicas(decision: Decision, revision: str) -> int:
    assert decision.plan is not None
    return next(one.min_replicas for one in decision.plan.revisions if one.revision == revision)


def test_every_step_gets_its_weight_for_its_hold() -> None:
    scene = rolling({10: "5m", 50: "10m"})
    start, stable, seen = scene.now, scene.stable, []
    while scene.status.phase is not Phase.HEALTHY or scene.stable == stable:
        decision = scene.settle()
        weight = scene.weight if scene.status.candidate else 100
        seen.append(((scene.now - start).total_seconds(), weight, scene.status.phase))
        assert decision.look_again_at is not None
        if weight < 100:
            scene.now = decision.look_again_at
    assert seen == [
        (0, 0, Phase.DEPLOYING),
        (10, 10, Phase.PROGRESSING),
        (310, 50, Phase.PROGRESSING),
        (910, 100, Phase.HEALTHY),
    ]
    assert scene.outcomes()[0] == ("v2", "Promoted")
    assert scene.told == [Reason.DEPLOYING, Reason.PROMOTED]


def test_capacity_comes_before_traffic() -> None:
    """4 replicas, steps of 10 and 50 percent: 1, 2 and 4 replicas, each before the route moves."""
    scene = rolling({10: "5m", 50: "5m"}, serving={"minReplicas": 4}, rollout={"readiness": {"stableFor": "0s"}})
    scene.become_ready = False
    for count, weight in ((1, 10), (2, 50), (4, 100)):
        decision = scene.settle()
        candidate, before = scene.candidate, scene.weight
        assert replicas(decision, candidate) == count
        assert scene.condition(ConditionType.CANDIDATE_READY) == ("False", Reason.WAITING_FOR_REPLICAS)
        scene.ready(candidate, count - 1).settle()
        assert scene.weight == before, "traffic moved before the capacity was there"
        scene.ready(candidate, count).settle()
        assert scene.route.weights[candidate] == weight
        if weight < 100:
            scene.wait(300)
    assert scene.stable == candidate


def test_the_incumbent_keeps_its_replicas_throughout() -> None:
    scene = rolling({50: "5m"}, serving={"minReplicas": 4})
    stable = scene.stable
    for _ in range(8):
        decision = scene.settle()
        assert replicas(decision, stable) == 4
        scene.wait(60)
    assert scene.status.previous is not None
    assert scene.status.previous.revision == stable


@pytest.mark.parametrize("stable_for", ["0s", "10s", "2m"])
def test_ready_without_a_break(stable_for: str) -> None:
    scene = rolling({10: "5m"}, rollout={"readiness": {"stableFor": stable_for}})
    scene.become_ready = False
    scene.settle()
    length = {"0s": 0, "10s": 10, "2m": 120}[stable_for]
    scene.ready(scene.candidate, 1).run(max(0, length - 1))
    assert scene.weight == (0 if length else 10)
    # A break: the time counts from the pod's own last change.
    scene.ready(scene.candidate, 0).run(1)
    scene.ready(scene.candidate, 1).run(max(0, length - 1))
    assert scene.weight == (0 if length else 10)
    scene.run(1)
    assert scene.weight == 10


def test_a_steps_clock_starts_when_the_gateway_accepted_this_very_generation() -> None:
    scene = rolling({10: "5m"})
    scene.accepts = False
    scene.run(600)
    assert scene.candidate in scene.route.weights
    assert scene.weight == 0, "the gateway does not know it yet"
    assert "waiting for the gateway to know v2; stable v1" in scene.status.message
    scene.accept().settle()
    assert (scene.weight, scene.status.rollout and scene.status.rollout.step) == (10, 0)
    assert scene.status.traffic[0].weight == 100, "the status tells traffic that the gateway does not have"
    scene.accept().settle()
    accepted = scene.now
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at == accepted
    assert scene.status.rollout.next_at == accepted + seconds(300)
    assert scene.condition(ConditionType.TRAFFIC_ROUTED) == ("True", Reason.ROUTED)


def test_other_weights_that_the_gateway_accepted_start_no_clock() -> None:
    scene = rolling({10: "5m"})
    scene.run(5)
    # Somebody gave the candidate more by hand, and the gateway liked it.
    scene.route = Route(exists=True, weights={scene.stable: 20, scene.candidate: 80}, accepted=True)
    scene.accepts = False
    scene.run(0)
    assert scene.route.shares == {scene.stable: 100}
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at is None


def test_a_candidate_that_was_taken_out_of_the_route_begins_its_step_anew() -> None:
    """By a hand, or by an operator that crashed before it could say why: what the gateway did not send was not held."""
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(250)
    assert scene.weight == 10
    scene.route = Route(exists=True, weights={scene.stable: 100}, accepted=True)
    scene.settle()
    assert (scene.weight, scene.status.rollout and scene.status.rollout.step_started_at) == (10, scene.now)
    scene.run(299)
    assert scene.weight == 10
    scene.run(20)
    assert scene.weight == 50


def test_a_refused_route_is_told_in_the_gateways_words() -> None:
    scene = rolling({10: "5m"})
    scene.accepts = False
    scene.run(20)
    scene.route = replace(scene.route, refusal="gateway gateways/public: NotAllowedByListeners: no")
    scene.settle()
    assert "NotAllowedByListeners" in scene.status.message
    assert scene.condition(ConditionType.TRAFFIC_ROUTED) == ("False", Reason.ROUTE_REFUSED)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)


WORDS = "gateway gateways/public: NotAllowedByListeners: no"


def stands(scene: Scene) -> tuple[str, object, bool]:
    """What machines wait by, and whether the gateway's own words are told."""
    return scene.kstatus, scene.condition(ConditionType.STALLED), WORDS in scene.status.message


def test_a_refusal_that_stands_for_a_minute_needs_somebody() -> None:
    scene = rolling({10: "5m"})
    scene.accepts = False
    scene.run(20)
    scene.route = replace(scene.route, refusal=WORDS, since=scene.now)
    scene.told.clear()
    scene.run(59)
    assert (stands(scene), scene.told) == (("InProgress", None, True), [])
    scene.run(1)
    refused = ("True", Reason.ROUTE_REFUSED)
    assert (stands(scene), scene.told) == (("Failed", refused, True), [Reason.ROUTE_REFUSED])
    assert scene.condition(ConditionType.READY) == ("False", Reason.ROUTE_REFUSED)
    scene.run(3600)
    assert (stands(scene), scene.told) == (("Failed", refused, True), [Reason.ROUTE_REFUSED]), "once"
    scene.accepts = True
    scene.accept().settle()
    assert (stands(scene), scene.weight) == (("InProgress", None, False), 10)


@pytest.mark.parametrize("since", [True, False])
def test_a_route_that_is_refused_later_needs_somebody_whatever_else_is_waited_for(since: bool) -> None:
    """Somebody took the listener away, in a pause: the gateway's answer comes first."""
    scene = rolling({10: "5m"})
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).settle()
    assert stands(scene)[:2] == ("InProgress", None)
    scene.accepts = False
    scene.route = replace(scene.route, accepted=False, refusal=WORDS, since=scene.now if since else None)
    scene.settle()
    assert stands(scene)[:2] == ("InProgress", None)
    scene.run(61)
    assert stands(scene) == ("Failed", ("True", Reason.ROUTE_REFUSED), True)
    assert scene.status.phase is Phase.PAUSED


@pytest.mark.parametrize(
    ("steps", "weights"),
    [
        ({}, [100]),
        ({0: "5m"}, [0, 100]),
        ({1: "0s", 50: "0s"}, [1, 50, 100]),
        ({100: "5m"}, [100]),
    ],
)
def test_other_plans(steps: dict[int, str], weights: list[int]) -> None:
    scene = rolling(steps)
    candidate = ""
    seen: list[int] = []
    scene.accepts = False
    for _ in range(60):
        scene.settle()
        if scene.status.candidate is not None:
            candidate = scene.candidate
        if scene.route.weights.get(candidate, 0) not in seen[-1:]:
            seen.append(scene.route.weights.get(candidate, 0))
        scene.accept().wait(30)
    assert [weight for weight in seen if weight or 0 in weights] == weights
    assert scene.stable == candidate


def test_equal_weights_need_no_write_of_the_route() -> None:
    steps = [{"weight": 10, "hold": "5m"}, {"weight": 10, "hold": "5m"}]
    scene = healthy(1, rollout={"steps": steps}).declare(2, rollout={"steps": steps})
    scene.run(10)
    route = scene.route
    scene.run(300)
    assert scene.route is route
    assert scene.status.rollout is not None
    assert (scene.status.rollout.progress, scene.status.phase) == ("2/2", Phase.PROGRESSING)


def test_a_rollout_goes_on_by_the_steps_it_started_with() -> None:
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(60)
    scene.declare(2, rollout={"steps": [{"weight": 90, "hold": "1s"}]}).run(400)
    assert scene.weight == 50
    assert scene.status.rollout is not None
    assert "spec.rollout changed" in scene.status.rollout.waiting_for


def test_more_replicas_are_needed_at_once_when_they_are_declared_in_a_rollout() -> None:
    scene = rolling({50: "5m"}, serving={"minReplicas": 2})
    scene.run(60)
    candidate = scene.candidate
    decision = scene.declare(2, serving={"minReplicas": 8}, rollout={"steps": [{"weight": 50, "hold": "5m"}]}).settle()
    assert scene.candidate == candidate, "replicas are no new revision"
    assert replicas(decision, candidate) == 4
    assert scene.weight == 50


def test_what_is_declared_again_keeps_its_replicas_until_the_gateway_takes_its_requests_away() -> None:
    """v2 has everything when v1 is declared, and v2 again before the gateway has noticed."""
    rollout = {"steps": [{"weight": 10, "hold": "1m"}], "bake": "1h"}
    scene = healthy(1, rollout=rollout, serving={"minReplicas": 4})
    scene.declare(2, rollout=rollout, serving={"minReplicas": 4}).run(120)
    candidate = scene.candidate
    assert scene.weight == 100
    scene.accepts = False
    scene.declare(1, rollout=rollout, serving={"minReplicas": 4}).look()
    decision = scene.declare(2, rollout=rollout, serving={"minReplicas": 4}).settle()
    assert (scene.candidate, scene.weight, replicas(decision, candidate)) == (candidate, 0, 4)
    scene.become_ready = False
    assert replicas(scene.ready(candidate, 3).settle(), candidate) == 4, "one of them fell out"
    scene.accepts = scene.become_ready = True
    decision = scene.accept().settle()
    assert (scene.weight, replicas(decision, candidate)) == (10, 1)


def test_the_previous_revision_stays_warm_then_goes() -> None:
    scene = rolling({}, rollout={"keepPrevious": "10m"}, serving={"minReplicas": 2})
    old = scene.stable
    scene.run(10)
    assert scene.stable != old
    promoted = scene.now
    assert (scene.status.phase, scene.kstatus) == (Phase.HEALTHY, "Current")
    decision = scene.run(599)
    assert decision.look_again_at == promoted + seconds(600)
    assert len(scene.pods[old]) == 2
    scene.run(1)
    assert (scene.status.previous, old in scene.pods) == (None, False)


def test_the_previous_revision_stays_while_the_one_in_use_cannot_serve() -> None:
    """It is all that there is to go back to at once."""
    scene = rolling({}, rollout={"keepPrevious": "10m"}, serving={"minReplicas": 2})
    old = scene.stable
    scene.run(10)
    scene.become_ready = False
    scene.ready(scene.stable, 0).run(3600)
    assert len(scene.pods[old]) == 2
    scene.ready(scene.stable, 1).settle()
    assert (scene.status.previous, old in scene.pods) == (None, False)


@pytest.mark.parametrize(("timeout", "lag"), [("2m", 0), ("2m", 60), ("1s", 120)])
def test_previous_is_kept_at_least_until_no_proxy_sends_it_requests_and_its_last_are_answered(
    timeout: str, lag: int
) -> None:
    scene = rolling({}, rollout={"keepPrevious": "0s"}, traffic={"timeout": timeout})
    scene.platform = replace(scene.platform, proxy_lag=seconds(lag))
    old = scene.stable
    scene.run(10)
    scene.run(119)
    assert old in scene.pods
    scene.run(1)
    assert old not in scene.pods


def test_previous_is_kept_through_its_last_requests_also_when_the_next_is_promoted() -> None:
    """v1 lost its traffic when v2 was promoted; v3 follows at once, and v1's requests may take two minutes."""
    scene = rolling({}, traffic={"timeout": "2m"}, rollout={"readiness": {"stableFor": "0s"}})
    old = scene.stable
    scene.settle()
    scene.wait(1).declare(3, traffic={"timeout": "2m"}, rollout={"readiness": {"stableFor": "0s"}}).settle()
    assert (scene.status.stable and scene.status.stable.version) == "v3"
    scene.run(119)
    assert old in scene.pods, "requests of the version before the previous one were cut"
    scene.run(1)
    assert old not in scene.pods


def test_the_previous_version_declared_again_is_warm_already() -> None:
    scene = rolling({10: "5m"})
    old = scene.stable
    scene.run(400)
    assert scene.status.previous is not None
    scene.declare(1, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).settle()
    assert (scene.candidate, scene.weight) == (old, 10)
    assert scene.status.previous is None
    scene.run(300)
    assert scene.stable == old
    assert scene.outcomes()[0] == ("v1", "Promoted")


def test_a_registry_that_is_down_stops_what_moves_and_nothing_else() -> None:
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(60)
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "registry default does not answer since 12:00")
    scene.run(3600)
    assert scene.weight == 10
    assert "does not answer" in scene.status.message
    assert scene.condition(ConditionType.MODEL_RESOLVED) == ("Unknown", Reason.REGISTRY_UNAVAILABLE)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.kstatus == "InProgress"
    scene.down = None
    scene.settle()
    assert scene.weight == 50


def test_a_pause_of_the_operator_restarts_no_clock() -> None:
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(60)
    assert scene.status.rollout is not None
    ends = scene.status.rollout.next_at
    scene.wait(100).settle()
    assert scene.status.rollout is not None
    assert (scene.status.rollout.next_at, scene.weight) == (ends, 10)
    scene.wait(1000).settle()
    assert scene.weight == 50


@pytest.mark.parametrize("away", [60, 700, 100_000])
def test_a_candidate_that_became_ready_while_nobody_looked_is_not_late(away: float) -> None:
    scene = rolling({10: "5m"}, serving={"startupDeadline": "10m"})
    scene.become_ready = False
    scene.settle()
    scene.wait(30).ready(scene.candidate, 1).wait(away).settle()
    assert scene.status.rejected == ()
    assert scene.weight == 10


@pytest.mark.parametrize("away", [0, 700, 100_000])
def test_the_deadline_of_more_replicas_counts_from_when_they_were_asked_for(away: float) -> None:
    scene = rolling({10: "5m", 100: "5m"}, serving={"minReplicas": 2, "startupDeadline": "10m"})
    scene.run(60)
    scene.become_ready = False
    # The hold ends while the operator is away.
    scene.wait(300 + away).settle()
    scene.wait(599).settle()
    assert scene.status.rejected == (), scene.status.message
    scene.ready(scene.candidate, 2).run(10)
    assert scene.weight == 100


def test_a_replica_lost_after_a_long_outage_of_the_registry_has_the_whole_deadline() -> None:
    scene = rolling({50: "5m"}, serving={"minReplicas": 2})
    scene.run(60)
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.run(7200)
    scene.become_ready = False
    scene.ready(scene.candidate, 1).run(60)
    assert scene.status.rejected == (), scene.status.message


def scene_at_rest() -> Scene:
    scene = healthy()
    scene.run(86400)
    return scene


def test_nothing_is_written_at_rest() -> None:
    scene = scene_at_rest()
    scene.writes = 0
    decision = scene.run(86400 * 30)
    assert (scene.writes, decision.look_again_at) == (0, None)


def test_only_a_first_version_waits_for_the_proxies() -> None:
    """They know the route of a later one: it is the same, with other weights."""
    scene = rolling({})
    scene.settle()
    candidate = scene.candidate
    scene.accepts = False
    scene.run(10)
    assert scene.weight == 100
    scene.route = replace(scene.route, accepted=True, since=scene.now)
    scene.settle()
    assert scene.stable == candidate


@pytest.mark.parametrize("trouble", ["the registry goes", "the stable revision breaks", "a replica of several goes"])
def test_what_comes_after_the_route_was_written_takes_nothing_back(trouble: str) -> None:
    """A weight that falls back and comes again is two needless moves of everybody's requests."""
    scene = rolling({10: "5m", 50: "5m"}, serving={"minReplicas": 4})
    scene.run(60)
    scene.accepts = False
    scene.run(300)
    assert (scene.weight, scene.route.accepted) == (50, False)
    if trouble == "the registry goes":
        scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "it does not answer")
    elif trouble == "the stable revision breaks":
        scene.ready(scene.stable, 0)
    else:
        scene.become_ready = False
        scene.ready(scene.candidate, 1)
    scene.settle()
    assert scene.weight == 50
    assert scene.status.rollout is not None
    assert scene.status.rollout.step == 1, "nothing moved forward either"


def test_a_status_that_only_tells_what_is_waited_for_may_wait() -> None:
    """Only so a step costs one write of the route and one of the status."""
    scene = rolling({10: "5m"})
    scene.run(9)
    scene.accepts = False
    scene.wait(1)
    decision = scene.look()
    assert (scene.weight, decision.may_wait) == (10, True)
    scene.accept()
    assert not scene.look().may_wait, "the step that began must be remembered"


def test_a_step_costs_one_status_that_cannot_wait() -> None:
    scene = rolling({10: "1m", 30: "1m", 60: "1m"}, rollout={"keepPrevious": "1h"})
    scene.accepts = False
    for _ in range(40):
        scene.look()
        scene.look()
        scene.accept().wait(10)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.urgent == 1 + 3 + 1, "its start, its steps and its promotion"


def test_that_a_candidate_had_requests_cannot_wait_when_they_are_taken_away() -> None:
    """It drains for as long as a request may take; the route does not tell any more that it got any."""
    scene = rolling({10: "5m"})
    scene.run(8)
    scene.accepts = False
    while scene.weight == 0:
        scene.look()
        scene.now += seconds(1)
    scene.ready(scene.candidate, 0)
    scene.become_ready = False
    decision = scene.look()
    assert (scene.weight, decision.may_wait) == (0, False)
    assert decision.status.rollout is not None
    assert decision.status.rollout.had_traffic


def test_everything_for_a_candidate_that_is_not_ready_for_it_is_put_back_where_a_hand_wrote_it() -> None:
    scene = rolling({}, serving={"minReplicas": 2})
    scene.become_ready = False
    scene.settle()
    candidate = scene.candidate
    scene.ready(candidate, 1)
    scene.route = Route(exists=True, weights={candidate: 100}, accepted=True)
    scene.settle()
    assert scene.route.shares == {scene.stable: 100}


def crashing(scene: Scene) -> list[dict[str, int]]:
    """Every decision is made twice: the status of the first is lost, as when the operator crashes before it is written.
    Gives the shares as they followed on each other."""
    seen = [scene.route.shares]
    for _ in range(60):
        before, route, pods = scene.status, scene.route, dict(scene.pods)
        scene.look()
        seen.append(scene.route.shares)
        if (before, route, pods) == (scene.status, scene.route, scene.pods):
            return [one for one, last in zip(seen[1:], seen[:-1], strict=True) if one != last]
        scene.status = before
        scene.look()
        seen.append(scene.route.shares)
    raise AssertionError(f"never comes to rest: {scene.status.message}")


def test_no_weight_falls_back_when_the_operator_crashes_between_two_steps_without_a_hold() -> None:
    scene = rolling({10: "0s", 30: "0s", 60: "0s"}, rollout={"readiness": {"stableFor": "0s"}})
    stable = scene.stable
    seen = crashing(scene)
    candidate = scene.stable
    assert seen == [{stable: 100 - weight, candidate: weight} for weight in (10, 30, 60)] + [{candidate: 100}]


def test_what_was_superseded_gets_nothing_again_while_it_is_not_known_what_is_declared() -> None:
    """An operator that crashed had taken its weight back, and could not say so."""
    scene = rolling({30: "1h"})
    scene.run(60)
    stable, candidate, status = scene.stable, scene.candidate, scene.status
    scene.declare(3, rollout={"steps": [{"weight": 30, "hold": "1h"}]}).look()
    assert scene.route.shares == {stable: 100}
    scene.status, scene.target = status, Problem(Reason.RESOLVING, "MLflow is asked")
    for accepted in (False, True):
        scene.route = replace(scene.route, accepted=accepted)
        scene.look()
        assert scene.route.shares == {stable: 100}
    scene.target = resolved(3)
    scene.run(60)
    assert scene.outcomes()[0] == ("v2", "Superseded")
    assert candidate not in scene.route.weights
