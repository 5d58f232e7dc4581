"""Prometheus is away: nothing can be measured, so nothing moves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.scenarios.judging import ERRORS
from e2e.scenarios.judging import judged
from e2e.scenarios.judging import verdicts
from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import World
from e2e.scenarios.world import wait_until
from e2e.stack import monitoring

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900, func_only=True)]


@pytest.mark.starting(alias=GOOD, steps=[(30, "15s")], rollout=judged(ERRORS))
def test_prometheus_goes_and_comes_back_empty(ping: Deployment, room: Room) -> None:
    """Nothing moves while nothing can be measured; afterwards it goes on, with what is counted from then on."""
    with ping.traffic() as traffic:
        with without_prometheus(room.world):
            moved = time.time()
            ping.move_alias(BETTER)
            begun = ping.step(1, since=moved)
            blind = ping.until("it cannot measure", lambda seen: verdicts(seen).get("errors") == "Error", since=moved)
            assert blind.condition("AnalysisPassing")["reason"] == "AnalysisError"
            wait_until("the hold is over", lambda: time.time() > begun.at + 20, 40)
            assert ping.watch.latest is not None
            assert ping.watch.latest.rollout["step"] == 1
            assert "Prometheus" in ping.watch.latest.message
        ping.settled(BETTER, since=moved)
    assert traffic.failures == []


@contextmanager
def without_prometheus(world: World) -> Iterator[None]:
    """Nothing of it for a while, and afterwards one that has forgotten everything."""
    scale = ("scale", "deployment/prometheus", "-n", monitoring.NAMESPACE)
    world.kubectl.run(*scale, "--replicas=0")
    try:
        yield
    finally:
        world.kubectl.run(*scale, "--replicas=1")
        world.kubectl.run("rollout", "status", "deployment/prometheus", "-n", monitoring.NAMESPACE, "--timeout=90s")
