"""Ready, as scripts wait for it, tells the truth during and after a rollout."""

import subprocess
import time

import pytest

from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import BROKEN
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]


def test_waiting_for_ready_tells_the_truth(room: Room) -> None:
    ping = room.deployment(alias=GOOD, steps=[(50, "6s")])
    assert _wait_for_ready(room, 90), "the first version"
    assert ping.settled(GOOD)

    moved = time.time()
    ping.move_alias(BETTER)
    ping.step(1, since=moved)
    assert not _wait_for_ready(room, 1), "Ready in the middle of a rollout"
    assert _wait_for_ready(room, 90), "after the rollout"
    # Ready means what it says: not one answer of the old version.
    with ping.traffic(20) as traffic:
        wait_until("twenty requests", lambda: len(traffic.answers()) >= 20, 30)
    assert {answer.version for answer in traffic.answers()} == {"v2"}
    assert traffic.failures == []

    moved = time.time()
    ping.move_alias(BROKEN)
    ping.rolled_back(since=moved)
    assert not _wait_for_ready(room, 2), "Ready although the declared version was rejected"


def _wait_for_ready(room: Room, seconds: int) -> bool:
    """What scripts do."""
    kind = "modeldeployments.serin.dev/ping"
    wait = room.world.kubectl.command(
        "wait", "--for=condition=Ready", kind, "-n", room.namespace, f"--timeout={seconds}s"
    )
    return subprocess.run(wait, check=False, capture_output=True).returncode == 0
