"""A cluster without KServe, and one without the Gateway API: said in the status, and mended by installing them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_gateway_api
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from tests.integration.backstage import Backstage
from tests.integration.conftest import CRD
from tests.integration.conftest import furnish
from tests.integration.operator_process import Operator
from tests.integration.played import Played
from tests.integration.rbac import OPERATOR
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def bare_plane() -> Iterator[ControlPlane]:
    """A control plane with nothing on it."""
    with ControlPlane() as plane:
        yield plane


@pytest.fixture
def bare(bare_plane: ControlPlane, backstage: Backstage, tmp_path: Path) -> Iterator[Scene]:
    """Our CRDs and nothing else, and an operator beside them."""
    kube = furnish(bare_plane)
    operator = Operator(bare_plane.user(OPERATOR), tmp_path)
    operator.start()
    stage = Played(bare_plane.url, bare_plane.pki)
    backstage.run(stage.start())
    scene = Scene(kube, stage, backstage, operator, "bare")
    scene.open()
    yield scene
    backstage.run(scene.models.stop())
    backstage.run(stage.stop())
    operator.stop()


def test_neither_kserve_nor_gateway_api(bare_plane: ControlPlane, bare: Scene) -> None:
    plane, scene = bare_plane, bare
    deployed = scene.deploy(version=1)
    ready = deployed.reason("BackendNotInstalled")
    assert "install KServe" in ready["message"]
    assert deployed.condition("Stalled")["reason"] == "BackendNotInstalled"

    # KServe comes, as far as a revision is concerned: its kind, and a pod.
    scene.kube.create(CRD, None, inference_services())
    eventually(lambda: plane.api.missing(INFERENCE_SERVICE.path(None)) is None, "InferenceServices are served")
    hurry(deployed)
    revision = eventually(lambda: scene.revisions(), "the InferenceService is made")[0]
    make_pod(scene, deployed, revision)
    missing_gateway_api(deployed)

    add_gateway_api(plane)
    hurry(deployed)
    deployed.healthy(1, seconds=90)

    # Somebody takes it away, with every route, and puts it back: whatever that does to watches, they go on.
    scene.kube.delete(CRD, None, f"{HTTP_ROUTE.plural}.{HTTP_ROUTE.group}")
    eventually(lambda: plane.api.missing(HTTP_ROUTE.path(None)) is not None, "HTTPRoutes are not served any more")
    hurry(deployed)
    missing_gateway_api(deployed)
    add_gateway_api(plane)
    hurry(deployed)
    deployed.healthy(1, seconds=90)
    assert deployed.weights() == {f"{revision}-predictor": 100}
    assert scene.operator.running


def missing_gateway_api(deployed: Deployed) -> None:
    ready = deployed.reason("GatewayApiNotInstalled")
    assert "install the Gateway API's custom resources" in ready["message"]
    assert deployed.condition("Available")["status"] == "False"


def hurry(deployed: Deployed) -> None:
    """What was refused is tried again after a minute, or when something changes: let something change."""
    timeout = deployed.body["spec"]["traffic"]["timeout"]
    deployed.patch({"traffic": {"timeout": f"{int(timeout[:-1]) + 1}s"}})


def inference_services() -> dict[str, object]:
    """The kind, as loosely as it can be."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": INFERENCE_SERVICE.version, "served": True, "storage": True, "subresources": {"status": {}}}
    names = {
        "kind": INFERENCE_SERVICE.kind,
        "listKind": f"{INFERENCE_SERVICE.kind}List",
        "plural": INFERENCE_SERVICE.plural,
        "singular": "inferenceservice",
    }
    return {
        "metadata": {"name": f"{INFERENCE_SERVICE.plural}.{INFERENCE_SERVICE.group}"},
        "spec": {
            "group": INFERENCE_SERVICE.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{**version, "schema": {"openAPIV3Schema": anything}}],
        },
    }


def make_pod(scene: Scene, deployed: Deployed, revision: str) -> None:
    """A pod of the revision, which the stage then calls ready."""
    labels = {DEPLOYMENT_LABEL: deployed.name, REVISION_LABEL: revision}
    container = {"name": "kserve-container", "image": "model-server"}
    body = {"metadata": {"name": f"{revision}-pod", "labels": labels}, "spec": {"containers": [container]}}
    eventually(lambda: scene.kube.request("GET", f"/api/v1/namespaces/{scene.namespace}/serviceaccounts/default"), "SA")
    scene.kube.create(POD, scene.namespace, body)
