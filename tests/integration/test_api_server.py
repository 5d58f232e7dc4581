"""The API server goes away in the middle of a rollout and comes back: the operator lives, and goes on."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_for
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def test_api_server_that_is_restarted_in_a_rollout(plane: ControlPlane, scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "1h"}]})
    deployed.declare(2)
    before = deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")["rollout"]
    restart(plane)
    # The watches live again: what changes now is seen and carried out.
    deployed.patch({"serving": {"minReplicas": 2}})
    eventually(lambda: scene.ready_pods() == 3, "two of the stable one, one of the candidate", 90)
    after = deployed.until(lambda now: now["rollout"]["step"] == 1, "still step 1")["rollout"]
    for clock in ("startedAt", "stepStartedAt", "nextAt"):
        assert after[clock] == before[clock]
    assert sorted(deployed.weights().values()) == [10, 90]
    deployed.declare(3)
    deployed.until(lambda now: now["history"][0]["outcome"] == "Superseded", "v2 is superseded", 90)
    assert scene.operator.running
    assert scene.operator.get("/healthz")[0] == 200


def restart(plane: ControlPlane) -> None:
    """Kill the API server, and start another one on the same data."""
    process = plane.leash.pid("kube-apiserver")
    argv = Path(f"/proc/{process}/cmdline").read_text().split("\0")[1:-1]
    os.kill(process, signal.SIGKILL)
    eventually(lambda: not listening(plane.url), "its port is free")
    plane.start("kube-apiserver", argv)

    def not_ready() -> str | None:
        plane.leash.check()
        return plane.api.ready()

    wait_for("the API server", not_ready, 120)


def listening(url: str) -> bool:
    """Whether somebody listens at the address."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(address.hostname), int(address.port or 0))) == 0
