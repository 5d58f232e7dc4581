"""The stack on a real cluster: SERIN_CLUSTER says which one; the local one is brought up."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from e2e.cluster import Cluster
from e2e.cluster import open_cluster
from e2e.cluster.progress import wait_for
from e2e.stack import gateway
from e2e.stack import images
from e2e.stack import models
from e2e.stack import monitoring
from e2e.stack import registry
from e2e.stack.install import install
from e2e.stack.kubectl import Kubectl
from e2e.turns import Turns

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

NAMESPACE = "stack-test"
HOST = "stack-test.example.com"


@dataclass(frozen=True)
class Stack:
    """A cluster with the stack on it."""

    cluster: Cluster
    kubectl: Kubectl


@pytest.fixture(scope="module", name="stack")
def _stack(turns: Turns) -> Iterator[Stack]:
    """Alone: installing again puts back what others have changed, and a scenario may have changed it."""
    cluster = open_cluster()
    with turns.taken(alone=True):
        cluster.up()
        install(cluster)
        kubectl = Kubectl(cluster.kubeconfig())
        registry.model_namespace(kubectl, NAMESPACE)
        yield Stack(cluster, kubectl)
    kubectl.run("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module", name="versions")
def _versions(stack: Stack) -> list[int]:
    return models.register(
        stack.kubectl, images.build("mlflow").reference, "stack-test", [models.GOOD, models.BETTER, models.BROKEN]
    )


def test_installing_again_changes_nothing_but_what_was_changed_by_others(stack: Stack) -> None:
    assert [one.name for one in install(stack.cluster) if one.changed] == []

    patch = ["patch", "configmap", "contour", "-n", gateway.NAMESPACE, "--type=merge", "-p"]
    stack.kubectl.run(*patch, '{"data":{"contour.yaml":"{}"}}')
    assert [one.name for one in install(stack.cluster) if one.changed] == [f"ConfigMap/{gateway.NAMESPACE}/contour"]

    assert [one.name for one in install(stack.cluster) if one.changed] == []


def test_prometheus_answers(stack: Stack) -> None:
    (one,) = monitoring.query(stack.kubectl, "vector(1)")
    assert one["value"][1] == "1"


def test_registered_models_answer_through_the_gateway(stack: Stack, versions: list[int]) -> None:
    good, better, _ = versions
    for version in (good, better):
        serve(stack, version)
    for version, factor in ((good, 1.0), (better, 2.0)):
        stack.kubectl.run("wait", f"isvc/v{version}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=180s")
        route(stack, version)
        wait_for(f"an answer of version {version}", partial(answer_is, stack, 2.0 * factor), 30.0)


def test_a_model_that_does_not_load_says_why(stack: Stack, versions: list[int]) -> None:
    broken = versions[2]
    serve(stack, broken)

    def ended() -> str | None:
        containers = [
            container
            for pod in stack.kubectl.list_all("pods", NAMESPACE, "-l", f"serving.kserve.io/inferenceservice=v{broken}")
            for container in pod["status"].get("containerStatuses", [])
        ]
        terminated = [
            container["state"].get("terminated") or container["lastState"].get("terminated") for container in containers
        ]
        if not any(terminated):
            return f"no container has ended: {containers}"
        (last,) = terminated
        assert last["exitCode"] == 1
        assert last["message"].startswith("JSONDecodeError: Expecting ',' delimiter")
        return None

    wait_for("the end of the model server", ended, 180.0)


def serve(stack: Stack, version: int) -> None:
    """An InferenceService for a version, with no route of its own."""
    uri = download_uri(stack, version).replace("mlflow-artifacts:/", registry.ARTIFACTS)
    model = {
        "modelFormat": {"name": "mlflow"},
        "runtime": "kserve-mlserver",
        "protocolVersion": "v2",
        "storageUri": uri,
        "readinessProbe": {"httpGet": {"path": f"/v2/models/v{version}/ready", "port": 8080}, "periodSeconds": 1},
    }
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": f"v{version}",
            "namespace": NAMESPACE,
            "labels": {"networking.kserve.io/visibility": "cluster-local"},
            "annotations": {"serving.kserve.io/autoscalerClass": "external"},
        },
        "spec": {"predictor": {"serviceAccountName": registry.SERVICE_ACCOUNT, "model": model}},
    }
    stack.kubectl.apply([service])


def download_uri(stack: Stack, version: int) -> str:
    """Where the registry says the files of a version are, asked from inside the cluster as the operator will."""
    script = (
        "import sys, mlflow; client = mlflow.MlflowClient(sys.argv[1]);"
        "print(client.get_model_version_download_uri(sys.argv[2], sys.argv[3]))"
    )
    ask = ["exec", "-n", registry.NAMESPACE, "deploy/mlflow", "-c", "mlflow", "--", "python3", "-c", script]
    return stack.kubectl.run(*ask, registry.URL, "stack-test", str(version)).splitlines()[-1]


def route(stack: Stack, version: int) -> None:
    """All traffic of the host to one version."""
    stack.kubectl.apply(
        [
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": "stack-test", "namespace": NAMESPACE},
                "spec": {
                    "parentRefs": [{"name": gateway.GATEWAY, "namespace": gateway.NAMESPACE}],
                    "hostnames": [HOST],
                    "rules": [{"backendRefs": [{"name": f"v{version}-predictor", "port": 80}]}],
                },
            }
        ]
    )


def answer_is(stack: Stack, wanted: float) -> str | None:
    """None when the gateway answers `wanted` to the input 2."""
    body: dict[str, Any] = {"instances": [[2.0]]}
    request = urllib.request.Request(
        f"http://{stack.cluster.gateway()}/invocations",
        json.dumps(body).encode(),
        {"Host": HOST, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            answer = json.load(response)["predictions"][0][0]
    except urllib.error.URLError as error:
        return str(error)
    # A regression learns its factor to the last bits but a few.
    return None if answer == pytest.approx(wanted) else f"the answer was {answer}"
