"""The status as machines read it: kstatus (Flux, Helm), kubectl wait, and every state that was ever to be seen."""

from __future__ import annotations

import subprocess

import pytest

from e2e import tools
from e2e.cluster.controlplane import ControlPlane
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.reasons import Reason
from serin.api.status import Phase
from tests.integration import kstatus
from tests.integration.kube import Json
from tests.integration.pods import crash_looping
from tests.integration.scene import Deployed
from tests.integration.scene import Scene

pytestmark = pytest.mark.integration


def states(deployed: Deployed, since: str) -> list[Json]:
    """Every state of the object since then, one after the other."""
    found = deployed.scene.kube.history(MODEL_DEPLOYMENT, deployed.scene.namespace, since)
    return [state for state in found if state["metadata"]["name"] == deployed.name]


def assert_well_formed(state: Json) -> None:
    """Whatever it says, it says it in the form that tools rely on."""
    status = state["status"]
    assert isinstance(status["observedGeneration"], int)
    assert status["observedGeneration"] <= state["metadata"]["generation"]
    assert status["phase"] in set(Phase)
    for condition in status.get("conditions") or []:
        assert condition["observedGeneration"] == status["observedGeneration"]
        assert condition["reason"] in set(Reason)
        assert condition["lastTransitionTime"]
    kinds = [condition["type"] for condition in status.get("conditions") or []]
    assert len(kinds) == len(set(kinds))
    assert not {"Reconciling", "Stalled"} <= set(kinds)
    shares = status.get("traffic") or []
    assert sum(share["weight"] for share in shares) in (0, 100)


def verdicts(found: list[Json]) -> list[str]:
    """kstatus of each state, without repetitions."""
    told: list[str] = []
    for state in found:
        assert_well_formed(state)
        verdict = kstatus.evaluate(state)
        if not told or told[-1] != verdict:
            told.append(verdict)
    return told


def test_from_creation_through_a_rollout(scene: Scene) -> None:
    """InProgress until the declared version has all traffic, and never Failed on the way."""
    created = scene.kube.create(MODEL_DEPLOYMENT, scene.namespace, scene.manifest("fraud", version=1))
    assert created["status"]["observedGeneration"] == -1
    assert kstatus.evaluate(created) == "InProgress"
    deployed = Deployed(scene, "fraud")
    deployed.healthy(1)
    assert verdicts(states(deployed, created["metadata"]["resourceVersion"])) == ["InProgress", "Current"]

    changed = deployed.patch({"model": {"version": 2}})
    deployed.healthy(2)
    seen = [changed, *states(deployed, changed["metadata"]["resourceVersion"])]
    assert verdicts(seen) == ["InProgress", "Current"]
    weights = [state["status"]["rollout"]["weight"] for state in seen if state["status"].get("rollout")]
    assert weights == sorted(weights)
    assert {0, 10, 50} <= set(weights)
    current = [state for state in seen if kstatus.evaluate(state) == "Current"]
    assert all(state["status"]["stable"]["version"] == "v2" for state in current)


def test_through_a_rollback(scene: Scene) -> None:
    """Failed at the end, so that nobody waits in vain; never Current with a version that was not declared."""
    deployed = scene.healthy()
    scene.stage.pods(scene.namespace, "fraud-v2", crash_looping("ValueError: no"))
    changed = deployed.patch({"model": {"version": 2}})
    deployed.phase("RolledBack")
    seen = [changed, *states(deployed, changed["metadata"]["resourceVersion"])]
    assert verdicts(seen) == ["InProgress", "Failed"]
    for state in seen:
        available = [one for one in state["status"]["conditions"] if one["type"] == "Available"]
        assert available[0]["status"] == "True"


def test_kubectl_wait_waits_for_the_declared_version(plane: ControlPlane, scene: Scene) -> None:
    """Started right after the change, while the old status still says Ready=True of the generation before."""
    deployed = scene.healthy()
    deployed.declare(2)
    command = [
        str(tools.binary("kubectl")),
        f"--kubeconfig={plane.kubeconfig}",
        f"--namespace={scene.namespace}",
        "wait",
        "--for=condition=Ready",
        "--timeout=90s",
        "mdep/fraud",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    status = deployed.status
    assert (status["phase"], status["stable"]["version"]) == ("Healthy", "v2")
    assert list(deployed.weights().values()) == [100]


def test_suspended_changes_nothing_and_says_so(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"suspend": True, "model": {"version": 2}})
    status = deployed.phase("Suspended")
    assert status["stable"]["version"] == "v1"
    assert len(scene.revisions()) == 1
    deployed.patch({"suspend": False})
    deployed.healthy(2)


def test_a_status_that_was_lost_is_written_anew(scene: Scene) -> None:
    """As after a restore from a backup, which has no status: what serves goes on serving."""
    deployed = scene.healthy()
    revision = deployed.status["stable"]["revision"]
    scene.kube.patch(MODEL_DEPLOYMENT, scene.namespace, deployed.name, {"status": None}, "status")
    status = deployed.healthy(1)
    assert status["stable"]["revision"] == revision
    assert scene.revisions() == [revision]
    assert list(deployed.weights().values()) == [100]
