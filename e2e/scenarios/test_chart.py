"""The chart as its users meet it: install, upgrade, wait, and a namespace that allows nothing special."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from e2e import serin
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import BROKEN
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import World
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]


def test_operator_runs_where_pod_security_is_restricted(world: World) -> None:
    namespace = world.kubectl.get("namespace", serin.NAMESPACE)
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (name,) = world.operator_pods()
    pod = world.kubectl.get("pod", name, serin.NAMESPACE)
    assert pod is not None
    assert pod["status"]["phase"] == "Running"


def test_upgrade_brings_changed_crds(world: World, tmp_path: Path) -> None:
    """A newer chart, whose CRD has one more column; and back to what it was."""
    newer = tmp_path / "serin"
    shutil.copytree(serin.CHART, newer)
    file = newer / "files" / "crds" / "serin.dev_modeldeployments.yaml"
    crd = yaml.safe_load(file.read_text())
    column = {"name": "Newer", "type": "string", "jsonPath": ".metadata.uid"}
    crd["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
    file.write_text(yaml.safe_dump(crd))
    before = _columns(world)
    try:
        serin.install(world.cluster, chart=newer)
        assert _columns(world) == [*before, "Newer"]
    finally:
        serin.install(world.cluster)
    assert _columns(world) == before


def _columns(world: World) -> list[str]:
    crd = world.kubectl.get("crd", "modeldeployments.serin.dev")
    assert crd is not None
    return [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]


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


def test_release_is_what_helm_says(world: World) -> None:
    (release,) = json.loads(serin.helm(world.cluster, "list", "--output=json"))
    assert (release["name"], release["status"]) == (serin.RELEASE, "deployed")
