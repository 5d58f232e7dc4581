"""At rest nothing is written, and a registry is asked once a poll, however many follow it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from e2e.cluster.audit import Request
from e2e.cluster.controlplane import ControlPlane
from tests.integration.operator_process import NAMESPACE
from tests.integration.rbac import OPERATOR
from tests.integration.scene import MODEL
from tests.integration.scene import Scene
from tests.integration.waiting import always

LONG = os.environ.get("SERIN_LONG") == "1"

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DEPLOYMENTS = 20
WINDOW_SECONDS = 300.0 if LONG else 60.0
RESTART_SECONDS = 10.0
POLL_SECONDS = 2.0
# What KServe's webhook, which reads and writes objects anew, leaves out or writes otherwise.
ODD = {
    "env": [{"name": "NOTHING", "value": ""}],
    "resources": {"limits": {"cpu": "2000m", "memory": "2048Mi"}},
    "overrides": {
        "nodeSelector": {},
        "tolerations": [],
        "hostNetwork": False,
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}}],
        "model": {"readinessProbe": {"initialDelaySeconds": 0}},
    },
}


def writes(plane: ControlPlane, scene: Scene, since: int = 0) -> list[Request]:
    """Every write of the operator that concerns the scene, but for the first ``since``."""
    return [
        request
        for request in plane.audit.writes(OPERATOR)
        if request.namespace == scene.namespace
        or (request.namespace == NAMESPACE and request.name in ("", scene.namespace))
    ][since:]


def test_nothing_is_written_at_rest(plane: ControlPlane, scenes: Callable[..., Scene]) -> None:
    scene = scenes(pollInterval=f"{POLL_SECONDS:.0f}s")
    scene.models.point(MODEL, "champion", 1)
    deployed = [scene.deploy(f"model-{number}", alias="champion") for number in range(DEPLOYMENTS - 1)]
    deployed.append(scene.deploy("model-odd", alias="champion", serving=ODD))
    for one in deployed:
        one.healthy(1, seconds=180)
    # The registry's own status tells how many follow it, a moment after they do.
    always(lambda: True, "what is gathered is told", POLL_SECONDS)

    before, asked, polls = len(writes(plane, scene)), len(scene.models.requests), scene.models.polls
    assert before >= DEPLOYMENTS, "the operator's writes must be told from those of others"
    began = time.monotonic()
    always(lambda: not writes(plane, scene, before), "nothing is written", WINDOW_SECONDS, every=5.0)
    assert writes(plane, scene, before) == []
    polled, seconds = scene.models.polls - polls, time.monotonic() - began
    assert seconds >= WINDOW_SECONDS
    # Polls are moved by up to 10 % by chance, and a crowded machine delays them.
    assert seconds / (POLL_SECONDS * 1.5) <= polled <= seconds / (POLL_SECONDS * 0.9) + 1
    assert len(scene.models.requests) - asked == polled, "nothing but polls is asked"

    scene.operator.kill()
    scene.operator.start()
    always(lambda: not writes(plane, scene, before), "nothing is written after a restart", RESTART_SECONDS, every=1.0)
    assert {one.status["phase"] for one in deployed} == {"Healthy"}
