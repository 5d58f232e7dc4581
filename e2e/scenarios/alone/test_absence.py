"""Somebody is away: the registry, the operator, or the gateway's controller.

What serves keeps serving, and what was missed is made up for.
"""

import time

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.stack import gateway
from e2e.stack import registry
from e2e.traffic import by_version
from e2e.watching import unix

_ACCEPT = "the gateway to accept the route with 80 %"

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900, func_only=True)]


@pytest.mark.starting(alias=GOOD, steps=[(50, "5s")])
def test_operator_is_away_while_the_alias_moves(ping: Deployment, room: Room) -> None:
    with ping.traffic(20) as traffic:
        room.world.scale_operator(0)
        try:
            moved = time.time()
            ping.move_alias(BETTER)
            (pod,) = ping.pods("v1")
            wait_until("a second of requests", lambda: len(traffic.answers(moved)) > 20, 20)
            assert not ping.pods("v2")
        finally:
            room.world.scale_operator(1)
        ping.settled(BETTER, since=moved)
    assert traffic.failures == []
    assert [(step.version, step.weight) for step in ping.watch.steps(moved)] == [("v2", 50)]
    assert pod["metadata"]["labels"]["serin.dev/version"] == "v1"


@pytest.mark.nothing_ahead
@pytest.mark.starting(alias=GOOD, steps=[(20, "30s"), (60, "8s")])
def test_registry_is_away_during_a_rollout(ping: Deployment, room: Room) -> None:
    with ping.traffic(20) as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        first = ping.step(1, since=moved)
        with registry.unreachable(room.world.kubectl):
            held = ping.until(
                "it holds and says why",
                lambda seen: time.time() > unix(first.rollout["nextAt"]) and _names_registry(seen.message),
                since=first.at,
            )
            assert held.rollout["step"] == 1
            assert held.weights == {"v1": 80, "v2": 20}
            # A restart of what serves needs no registry, and changes no version.
            (pod,) = ping.pods("v1")
            ping.edit(minReplicas=2)
            ping.until("a second replica", lambda seen: seen.status["stable"]["ready"] == 2, since=held.at)
            ping.delete("pod", pod["metadata"]["name"], "--wait=false")
            ping.until("both again", lambda seen: seen.status["stable"]["ready"] == 1, since=time.time() - 1)
            back = ping.until("both again", lambda seen: seen.status["stable"]["ready"] == 2, since=time.time())
            assert back.rollout["step"] == 1
            until_then = time.time()
        ping.settled(BETTER, since=until_then)
    assert traffic.failures == []
    assert [(step.version, step.weight) for step in ping.watch.steps(moved)] == [("v2", 20), ("v2", 60)]
    assert {answer.version for answer in traffic.answers()} == {"v1", "v2"}


@pytest.mark.nothing_ahead
@pytest.mark.starting(alias=GOOD, steps=[(20, "5s"), (80, "5s")])
def test_gateways_controller_is_away_during_a_rollout(ping: Deployment, room: Room) -> None:
    """A step begins when the gateway acts by it, however long the route has been written by then."""
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        first = ping.step(1, since=moved)
        with gateway.without_controller(room.world.kubectl):
            gone = time.time()
            held = ping.until("it waits for the gateway", lambda seen: _ACCEPT in seen.message, since=first.at)
            wait_until("the next step would be over", lambda: time.time() > max(held.at, gone) + 10, 20)
            seen = ping.watch.latest
            assert seen is not None
            assert seen.weights == {"v1": 80, "v2": 20}
            assert seen.condition("TrafficRouted")["status"] == "False"
            assert "stepStartedAt" not in seen.rollout or seen.rollout["step"] == 1
            back = time.time()
        ping.settled(BETTER, since=back)
    assert traffic.failures == []
    steps = ping.watch.steps(moved)
    assert [(step.version, step.weight) for step in steps] == [("v2", 20), ("v2", 80)]
    assert steps[1].start > back
    meanwhile = by_version(traffic.answers(first.at + 0.5, back))
    assert meanwhile["v2"] < meanwhile["v1"]


def _names_registry(message: str) -> bool:
    return "registry" in message.lower() or "mlflow" in message.lower()
