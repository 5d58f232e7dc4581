"""Replicas change in place: no rollout, no other pod than the one that comes or goes, and no request lost."""

import time

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]


@pytest.mark.starting(version=GOOD)
def test_one_replica_more_and_one_less(ping: Deployment) -> None:
    (first,) = _names(ping)
    with ping.traffic() as traffic:
        grown = time.time()
        ping.edit(minReplicas=2)
        ping.until("two are ready", lambda seen: _ready(seen.status) == (2, 2) and seen.settled("v1"), since=grown)
        both = _names(ping)
        assert first in both
        assert len(both) == 2
        shrunk = time.time()
        ping.edit(minReplicas=1)
        ping.until("one is ready", lambda seen: _ready(seen.status) == (1, 1) and seen.settled("v1"), since=shrunk)
        wait_until("the other pod is gone for good", lambda: len(_all(ping)) == 1, 60)
        assert set(_names(ping)) < set(both)
    assert traffic.failures == []
    assert [entry["version"] for entry in ping.watch.latest.status["history"]] == ["v1"]  # type: ignore[union-attr]


def _ready(status: dict[str, dict[str, int]]) -> tuple[int, int]:
    stable = status.get("stable") or {}
    return stable.get("replicas", 0), stable.get("ready", 0)


def _names(ping: Deployment) -> list[str]:
    return [pod["metadata"]["name"] for pod in ping.pods()]


def _all(ping: Deployment) -> list[str]:
    """With those that are going."""
    selector = f"serin.dev/modeldeployment={ping.name}"
    pods = ping.world.kubectl.list_all("pods", ping.namespace, "-l", selector)
    return [pod["metadata"]["name"] for pod in pods]
