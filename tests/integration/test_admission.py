"""What the real API server refuses and accepts: schema and CEL rules of both kinds, as users meet them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from copy import deepcopy

import pytest

from e2e import tools
from e2e.cluster.controlplane import ControlPlane
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import Kind
from serin.serving.compare import merge
from tests.integration import kstatus
from tests.integration.kube import Json
from tests.integration.kube import Kube
from tests.integration.kube import RefusedError
from tests.unit.api.manifests import ACCEPTED_DEPLOYMENTS
from tests.unit.api.manifests import DEPLOYMENT
from tests.unit.api.manifests import REFUSED_DEPLOYMENTS

pytestmark = pytest.mark.integration

REGISTRY: Json = {"metadata": {"name": "default"}, "spec": {"url": "https://mlflow.example.com"}}


REFUSED_REGISTRIES: dict[str, tuple[Json, tuple[str, ...]]] = {
    "no url": ({"spec": {"url": None}}, ("spec.url", "Required value")),
    "url of another scheme": ({"spec": {"url": "ftp://mlflow"}}, ("spec.url", "should match")),
    "url with a password": ({"spec": {"url": "https://user:pw@mlflow"}}, ("spec.url", "should match")),
    "poll without a pause": (
        {"spec": {"pollInterval": "0s"}},
        ("spec.pollInterval must be at least 1s and at most 1h",),
    ),
    "poll every day": ({"spec": {"pollInterval": "24h"}}, ("spec.pollInterval must be at least 1s and at most 1h",)),
    "CA without TLS": (
        {"spec": {"url": "http://mlflow", "tls": {"caSecretName": "ca"}}},
        ("spec.tls needs a spec.url that begins with https://",),
    ),
    "In without values": (
        {"spec": {"allowedNamespaces": {"matchExpressions": [{"key": "team", "operator": "In"}]}}},
        ("values must be set for In and NotIn",),
    ),
    "Exists with values": (
        {"spec": {"allowedNamespaces": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}}},
        ("must not be set for Exists and DoesNotExist",),
    ),
    "unknown operator": (
        {"spec": {"allowedNamespaces": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}},
        ("spec.allowedNamespaces.matchExpressions[0].operator", "supported values"),
    ),
    "password in the spec": ({"spec": {"auth": {"password": "x"}}}, ('unknown field "spec.auth.password"',)),
}

ACCEPTED_REGISTRIES: dict[str, Json] = {
    "the shortest": {},
    "everything": {
        "spec": {
            "url": "https://mlflow.example.com:8443/prefix",
            "auth": {"secretName": "mlflow-login"},
            "tls": {"caSecretName": "mlflow-ca"},
            "pollInterval": "1m30s",
            "allowedNamespaces": {
                "matchLabels": {"team": "payments"},
                "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["test"]}],
            },
            "artifacts": {
                "allowed": ["s3://models/", "gs://ml-"],
                "rewrite": [{"from": "mlflow-artifacts:/", "to": "s3://models/mlflow/"}],
            },
        }
    },
}


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    name = "admission"
    kube.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    kube.request("DELETE", f"/api/v1/namespaces/{name}")


def tried(kube: Kube, kind: Kind, namespace: str, body: Json, change: Json) -> Json:
    """Create it as a dry run: everything but the storing."""
    whole = {"apiVersion": kind.api_version, "kind": kind.kind, **merge(deepcopy(body), change)}
    return kube.request("POST", kind.path(namespace), whole, query={"fieldValidation": "Strict", "dryRun": "All"})


@pytest.mark.parametrize(("change", "words"), REFUSED_DEPLOYMENTS.values(), ids=REFUSED_DEPLOYMENTS)
def test_bad_modeldeployment_is_refused(kube: Kube, namespace: str, change: Json, words: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        tried(kube, MODEL_DEPLOYMENT, namespace, DEPLOYMENT, change)
    assert refused.value.code in (400, 422)
    for word in words:
        assert word in refused.value.message


@pytest.mark.parametrize(("change", "words"), REFUSED_REGISTRIES.values(), ids=REFUSED_REGISTRIES)
def test_bad_modelregistry_is_refused(kube: Kube, namespace: str, change: Json, words: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError) as refused:
        tried(kube, MODEL_REGISTRY, namespace, REGISTRY, change)
    assert refused.value.code in (400, 422)
    for word in words:
        assert word in refused.value.message


@pytest.mark.parametrize("change", ACCEPTED_DEPLOYMENTS.values(), ids=ACCEPTED_DEPLOYMENTS)
def test_good_modeldeployment_is_accepted(kube: Kube, namespace: str, change: Json) -> None:
    stored = tried(kube, MODEL_DEPLOYMENT, namespace, DEPLOYMENT, change)
    # Before the operator has seen it, Flux and Helm must not take it for ready.
    assert stored["status"]["observedGeneration"] == -1
    assert kstatus.evaluate(stored) == "InProgress"


@pytest.mark.parametrize("change", ACCEPTED_REGISTRIES.values(), ids=ACCEPTED_REGISTRIES)
def test_good_modelregistry_is_accepted(kube: Kube, namespace: str, change: Json) -> None:
    stored = tried(kube, MODEL_REGISTRY, namespace, REGISTRY, change)
    assert kstatus.evaluate(stored) == "InProgress"


def test_a_bad_change_is_refused_too(kube: Kube, namespace: str) -> None:
    """Rules hold for updates, not only for creations."""
    kube.create(MODEL_DEPLOYMENT, namespace, {"metadata": {"name": "changed"}, "spec": DEPLOYMENT["spec"]})
    with pytest.raises(RefusedError, match="exactly one of"):
        kube.patch(MODEL_DEPLOYMENT, namespace, "changed", {"spec": {"model": {"alias": "champion"}}})
    unchanged = kube.get(MODEL_DEPLOYMENT, namespace, "changed")
    assert unchanged is not None
    assert unchanged["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    "path", ["modeldeployment.spec.rollout.steps", "modeldeployment.status", "modelregistry.spec", "rolloutpolicy.spec"]
)
def test_every_field_is_explained(plane: ControlPlane, kube: Kube, path: str) -> None:
    """kubectl explain has a sentence for every field, read from the API server."""
    kubectl = str(tools.binary("kubectl"))
    command = [kubectl, f"--kubeconfig={plane.kubeconfig}", "explain", path]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    fields = told.partition("FIELDS:")[2]
    assert "<" in fields
    assert "<no description>" not in told


def test_the_columns_say_what_serves(kube: Kube, namespace: str) -> None:
    """kubectl get modeldeployments, as the API server makes the table."""
    path = MODEL_DEPLOYMENT.path(namespace)
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    table = kube.request("GET", path, accept=accept)
    names = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert names == ["Name", "Model", "Stable", "Candidate", "Weight", "Step", "Phase", "Ready", "Age"]
    wide = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 1]
    assert wide == ["Alias", "Backend", "URL", "Message"]
