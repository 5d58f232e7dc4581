"""Whose an object is: nothing of others is touched, nothing of the past is carried over, and no deletion hangs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import NAMESPACE as NAMESPACE_KIND
from serin.api.kinds import WORKLOAD
from tests.integration.kube import Json
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import always
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

FOREIGN_ROUTE: Json = {
    "parentRefs": [{"name": "private", "namespace": "gateways"}],
    "rules": [{"backendRefs": [{"name": "somebody", "port": 80}]}],
}
FOREIGN_SERVICE: Json = {
    "predictor": {"model": {"modelFormat": {"name": "mlflow"}, "storageUri": "s3://theirs/1", "protocolVersion": "v2"}}
}


def hurry(deployed: Deployed) -> None:
    """A refused write is tried again after a minute, or when something changes: let something change."""
    deployed.patch({"traffic": {"timeout": "2s"}})


def deleted(scene: Scene, deployed: Deployed) -> None:
    """Delete a ModelDeployment and wait for its children to go."""
    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, deployed.name)
    eventually(lambda: not scene.names(INFERENCE_SERVICE) and not scene.names(HTTP_ROUTE), "the children are gone", 60)


def test_route_of_somebody_else(scene: Scene) -> None:
    """The model is deployed, and the route of that name stays what it was to the byte."""
    theirs = scene.kube.create(HTTP_ROUTE, scene.namespace, {"metadata": {"name": "fraud"}, "spec": FOREIGN_ROUTE})
    deployed = scene.deploy(version=1)
    ready = deployed.reason("NameConflict")
    assert "HTTPRoute fraud exists" in ready["message"]
    assert "delete it, or give the ModelDeployment another name" in ready["message"]
    assert deployed.condition("Stalled")["reason"] == "NameConflict"
    always(lambda: scene.kube.get(HTTP_ROUTE, scene.namespace, "fraud") == theirs, "the route is theirs", 1.0)

    scene.kube.delete(HTTP_ROUTE, scene.namespace, "fraud")
    hurry(deployed)
    deployed.healthy(1)


def test_inference_service_of_somebody_else(scene: Scene) -> None:
    first = scene.healthy()
    name = first.status["stable"]["revision"]
    deleted(scene, first)
    scene.kube.create(INFERENCE_SERVICE, scene.namespace, {"metadata": {"name": name}, "spec": FOREIGN_SERVICE})
    deployed = scene.deploy(version=1)
    ready = deployed.reason("NameConflict")
    assert f"InferenceService {name} exists and was made by somebody else" in ready["message"]
    theirs = scene.kube.get(INFERENCE_SERVICE, scene.namespace, name)
    assert theirs is not None
    # KServe writes its status, so the resourceVersion tells nothing here.
    assert theirs["metadata"]["generation"] == 1
    assert "ownerReferences" not in theirs["metadata"]
    assert DEPLOYMENT_LABEL not in theirs["metadata"].get("labels", {})
    assert theirs["spec"]["predictor"]["model"]["storageUri"] == "s3://theirs/1"
    assert "serin" not in {entry["manager"] for entry in theirs["metadata"]["managedFields"]}

    scene.kube.delete(INFERENCE_SERVICE, scene.namespace, name)

    def gone() -> bool:
        # Ours may take the name within milliseconds.
        now = scene.kube.get(INFERENCE_SERVICE, scene.namespace, name)
        return now is None or now["metadata"]["uid"] != theirs["metadata"]["uid"]

    eventually(gone, "theirs is gone")
    hurry(deployed)
    deployed.healthy(1)


def test_children_that_were_left_behind(scene: Scene) -> None:
    """Deleted with --cascade=orphan: they belong to nobody now, so not to the next one of the name either."""
    # The garbage collector learns of new kinds twice a minute: what it does not know it does not leave behind.
    deleted(scene, scene.healthy("before"))
    first = scene.healthy()
    name = first.status["stable"]["revision"]
    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, "fraud", propagation="Orphan")
    eventually(lambda: scene.kube.get(MODEL_DEPLOYMENT, scene.namespace, "fraud") is None, "the parent is gone")
    assert scene.names(INFERENCE_SERVICE) == [name]

    deployed = scene.deploy(version=1)
    deployed.reason("NameConflict")
    left = scene.kube.get(INFERENCE_SERVICE, scene.namespace, name)
    assert left is not None
    assert "ownerReferences" not in left["metadata"]

    scene.kube.delete(INFERENCE_SERVICE, scene.namespace, name)
    scene.kube.delete(HTTP_ROUTE, scene.namespace, "fraud")
    deployed.healthy(1)


def test_same_name_in_two_namespaces(scenes: Callable[..., Scene]) -> None:
    one, other = scenes(), scenes()
    first, second = one.deploy(version=1), other.deploy(version=2)
    first.healthy(1)
    second.healthy(2)
    deleted(one, first)
    assert second.status["phase"] == "Healthy"
    assert len(other.revisions()) == 1
    assert other.names(HTTP_ROUTE) == ["fraud"]


def test_deleted_and_made_again_in_one_breath(scene: Scene) -> None:
    """A new object: another uid, and neither the rejections nor the history of the old one."""
    deployed = scene.healthy()
    deployed.declare(2)
    before = deployed.healthy(2)
    assert len(before["history"]) == 2
    old = deployed.body["metadata"]["uid"]

    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, "fraud")
    again = scene.deploy(version=2)
    status = again.healthy(2)
    assert again.body["metadata"]["uid"] != old
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted"]
    assert status["history"][0]["startedAt"] >= again.body["metadata"]["creationTimestamp"].removesuffix("Z")
    for kind in (INFERENCE_SERVICE, HTTP_ROUTE):
        owners = {
            one["metadata"]["ownerReferences"][0]["uid"]
            for one in scene.kube.list(kind, scene.namespace)
            if "deletionTimestamp" not in one["metadata"]
        }
        assert owners == {again.body["metadata"]["uid"]}


def test_a_revision_waits_for_what_its_former_self_left(scene: Scene) -> None:
    """The garbage collector is slow: the old Deployment and its ready pods have the names and labels of the new ones.

    Counted as the new one's, they would get traffic and then go.
    """
    deployed = scene.healthy(rollout={"keepPrevious": "0s"})
    first = deployed.status["stable"]["revision"]
    workload = f"{first}-predictor"
    lingers = {"metadata": {"finalizers": ["example.com/lingers"]}}
    scene.kube.patch(WORKLOAD, scene.namespace, workload, lingers)
    deployed.declare(2)
    second = deployed.healthy(2)["stable"]["revision"]

    def doomed() -> bool:
        left = scene.kube.get(WORKLOAD, scene.namespace, workload)
        return left is not None and "deletionTimestamp" in left["metadata"]

    eventually(doomed, "the garbage collector has come for the Deployment")
    assert scene.ready_pods() == 2, "both are ready, one is about to go"
    deployed.declare(1)
    deployed.until(lambda now: now["candidate"]["revision"] == first, "version 1 is the candidate")
    always(lambda: scene.revisions() == [second], "the first revision is not made again", 1.0)
    assert set(deployed.weights()) == {f"{second}-predictor"}

    scene.kube.patch(WORKLOAD, scene.namespace, workload, {"metadata": {"finalizers": None}})
    assert deployed.healthy(1)["stable"]["revision"] == first


def test_deleted_in_the_middle_of_a_rollout(scene: Scene) -> None:
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "10m"}]})
    deployed.declare(2)
    deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    deleted(scene, deployed)


def test_namespace_is_deleted_while_the_operator_is_down(scene: Scene) -> None:
    """No finalizer of ours: a deletion waits for nobody."""
    deployed = scene.healthy()
    assert "finalizers" not in deployed.body["metadata"]
    scene.operator.kill()
    scene.kube.delete(NAMESPACE_KIND, None, scene.namespace)
    eventually(lambda: scene.kube.get(NAMESPACE_KIND, None, scene.namespace) is None, "the namespace is gone", 90)


def test_nothing_is_written_on_the_object_itself(scene: Scene) -> None:
    """spec, labels and annotations belong to who wrote them: GitOps sees no difference."""
    manifest = scene.manifest("fraud", version=1)
    manifest["metadata"]["labels"] = {"app.kubernetes.io/instance": "argo"}
    manifest["metadata"]["annotations"] = {"note": "mine"}
    created = scene.kube.create(MODEL_DEPLOYMENT, scene.namespace, manifest)
    deployed = Deployed(scene, "fraud")
    deployed.healthy(1)
    after = deployed.body
    assert after["spec"] == created["spec"]
    for part in ("labels", "annotations", "generation"):
        assert after["metadata"][part] == created["metadata"][part]
    for child in (*scene.kube.list(INFERENCE_SERVICE, scene.namespace), *scene.kube.list(HTTP_ROUTE, scene.namespace)):
        assert "app.kubernetes.io/instance" not in child["metadata"]["labels"], "Argo CD would prune it"
