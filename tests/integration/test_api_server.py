"""The API server goes away in the middle of a rollout and comes back: the operator lives, and goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_for
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def test_api_server_that_is_restarted_in_a_rollout(plane: ControlPlane, scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "5s"}, {"weight": 50, "hold": "1s"}]})
    deployed.declare(2)
    before = deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")["rollout"]
    restart(plane)
    assert deployed.status["rollout"]["stepStartedAt"] == before["stepStartedAt"]
    status = deployed.healthy(2, seconds=120)
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]
    assert scene.operator.running
    assert scene.operator.get("/healthz")[0] == 200
    # The watches live, too: what changes now is seen.
    deployed.patch({"serving": {"minReplicas": 2}})
    eventually(lambda: scene.ready_pods() >= 2, "the change is carried out", 60)


def restart(plane: ControlPlane) -> None:
    """Kill the API server, and start another one on the same data."""
    process = plane.leash.pid("kube-apiserver")
    argv = Path(f"/proc/{process}/cmdline").read_text().split("\0")[1:-1]
    os.kill(process, signal.SIGKILL)
    plane.start("kube-apiserver", argv)
    wait_for("the API server", plane.api.ready, 120)
