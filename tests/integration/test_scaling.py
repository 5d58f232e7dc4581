"""What changes in place, and what is a new revision."""

from __future__ import annotations

import pytest

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from tests.integration.kube import Json
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")


def workload(scene: Scene, deployed: Deployed) -> Json:
    """The Deployment that KServe made of the stable revision."""
    name = f"{deployed.status['stable']['revision']}-predictor"
    body = scene.kube.get(WORKLOAD, scene.namespace, name)
    assert body is not None, f"{name} is gone"
    return body


def replicas(scene: Scene, deployed: Deployed, number: int) -> None:
    eventually(lambda: workload(scene, deployed)["spec"]["replicas"] == number, f"{number} replicas")
    eventually(lambda: scene.ready_pods() == number, f"{number} ready pods")


def test_replicas_and_scaling_change_in_place(scene: Scene) -> None:
    """Same revision, same pod template, same ReplicaSet: no pod is restarted for a number."""
    deployed = scene.healthy()
    before, history = workload(scene, deployed)["spec"]["template"], deployed.status["history"]
    sets = scene.names(REPLICA_SET)
    assert len(sets) == 1

    def unchanged() -> None:
        assert workload(scene, deployed)["spec"]["template"] == before
        assert scene.names(REPLICA_SET) == sets
        assert len(scene.revisions()) == 1
        assert deployed.status["history"] == history

    deployed.patch({"serving": {"minReplicas": 3}})
    replicas(scene, deployed, 3)
    deployed.healthy(1)
    unchanged()

    deployed.patch({"serving": {"minReplicas": 1}})
    replicas(scene, deployed, 1)
    unchanged()

    deployed.patch({"serving": {"minReplicas": 2, "maxReplicas": 5, "scaling": {"metric": "CPU", "target": 70}}})
    replicas(scene, deployed, 2)
    assert autoscaler(scene, deployed) == (2, 5, "cpu", 70)
    unchanged()

    deployed.patch({"serving": {"maxReplicas": 6, "scaling": {"metric": "Memory", "target": 60}}})
    eventually(lambda: autoscaler(scene, deployed) == (2, 6, "memory", 60), "the autoscaler follows")
    unchanged()

    deployed.patch({"serving": {"maxReplicas": None, "scaling": None}})
    eventually(lambda: scene.names(AUTOSCALER) == [], "the autoscaler is gone")
    replicas(scene, deployed, 2)
    deployed.healthy(1)
    unchanged()


def autoscaler(scene: Scene, deployed: Deployed) -> tuple[int, int, str, int] | None:
    """Least, most, metric and target."""
    body = scene.kube.get(AUTOSCALER, scene.namespace, deployed.status["stable"]["revision"])
    if body is None:
        return None
    spec = body["spec"]
    resource = spec["metrics"][0]["resource"]
    return spec["minReplicas"], spec["maxReplicas"], resource["name"], resource["target"]["averageUtilization"]


@pytest.mark.parametrize(
    "serving",
    [
        {"resources": {"limits": {"memory": "3Gi"}}},
        {"env": [{"name": "OMP_NUM_THREADS", "value": "1"}]},
        {"workers": 2},
        {"overrides": {"nodeSelector": {"disk": "ssd"}}},
    ],
    ids=["resources", "env", "workers", "overrides"],
)
def test_what_changes_a_pod_is_a_rollout(scene: Scene, serving: Json) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "1s"}]})
    first = deployed.status["stable"]["revision"]
    deployed.patch({"serving": serving})
    # The incumbent keeps its pods as they are while the newcomer is tried.
    deployed.until(lambda now: now.get("rollout", {}).get("step") == 1, "step 1")
    assert sorted(deployed.weights().values()) == [10, 90]
    status = deployed.healthy(1)
    assert status["stable"]["revision"] != first
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]


def test_candidate_has_the_replicas_of_its_weight(scene: Scene) -> None:
    """First the capacity, then the traffic."""
    steps = [{"weight": 25, "hold": "2s"}, {"weight": 50, "hold": "2s"}]
    deployed = scene.healthy(serving={"minReplicas": 4}, rollout={"steps": steps})
    deployed.declare(2)
    seen: dict[int, int] = {}

    def watched(now: Json) -> object:
        if now.get("rollout"):
            seen.setdefault(now["rollout"]["weight"], now["candidate"]["ready"])
        return now["phase"] == "Healthy" and now["stable"]["version"] == "v2"

    deployed.until(watched, "Healthy with v2")
    assert seen[25] >= 1
    assert seen[50] >= 2
    assert workload(scene, deployed)["spec"]["replicas"] == 4
