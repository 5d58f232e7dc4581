"""The real KServe on a control plane without nodes: CRDs, admission and controller, as one more child process.

For integration tests: what KServe's schema, defaulting and validation make of our objects, with the version that is
pinned in e2e/tools/kserve. The stack half installs KServe as users do; this must stay what a test needs.
"""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from e2e import tools
from e2e.cluster.api import unhealthy
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.pki import Authority
from e2e.cluster.ports import free_ports
from e2e.cluster.progress import wait_for

_KSERVE = "github.com/kserve/kserve"
_GATEWAY_API = "sigs.k8s.io/gateway-api"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ADDRESS = "127.0.0.1"
# A machine that does other things, too, may take ten times as long as an idle one.
_READY_SECONDS = 120.0
# Without pods there is nothing for it to do, and it wants settings of images we have not.
_UNUSED_WEBHOOK = "inferenceservice.kserve-webhook-server.pod-mutator"

# Quantities are parsed at start and at every admission; a missing key switches built-in defaults off.
_QUANTITIES = {"memoryRequest": "1Mi", "memoryLimit": "1Mi", "cpuRequest": "1m", "cpuLimit": "1m"}
_SETTINGS: dict[str, dict[str, Any]] = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {
        "enableGatewayApi": True,
        "kserveIngressGateway": "kserve/kserve-ingress-gateway",
        "ingressGateway": "unused/unused",
        "ingressDomain": "example.com",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": False,
    },
    "storageInitializer": {"image": "localhost/none:0", **_QUANTITIES},
    "inferenceService": {},
    "credentials": {},
    "logger": {"image": "localhost/none:0", "defaultUrl": "http://default-broker", **_QUANTITIES},
    "batcher": {"image": "localhost/none:0", "maxBatchSize": "32", "maxLatency": "5000", **_QUANTITIES},
    "agent": {"image": "localhost/none:0", **_QUANTITIES},
}


def add_gateway_api(plane: ControlPlane) -> None:
    """The CRDs of the Gateway API, experimental channel, as pinned in e2e/tools/gateway-api."""
    _apply(plane, _manifests(tools.module_folder("gateway-api", _GATEWAY_API) / "config/crd/experimental"))


def add_kserve(plane: ControlPlane) -> None:
    """KServe and the Gateway API on `plane`: its admission answers and its controller runs when this returns.

    Raises:
        ClusterError: something was refused, or the controller ended.
    """
    source = tools.module_folder("kserve", _KSERVE)
    # All CRDs first: the controller ends when one that it watches goes away, and looks for the optional ones once.
    add_gateway_api(plane)
    crds = source / "config/crd/full"
    _apply(plane, [*_manifests(crds), *_manifests(crds / "clusterstoragecontainer")])
    plane.api.apply("/api/v1/namespaces/kserve", _object("v1", "Namespace", "kserve"))
    settings = _object("v1", "ConfigMap", "inferenceservice-config", "kserve")
    settings["data"] = {key: json.dumps(value) for key, value in _SETTINGS.items()}
    plane.api.apply("/api/v1/namespaces/kserve/configmaps/inferenceservice-config", settings)
    webhook_port = _start_manager(plane)
    runtime = yaml.safe_load((source / "config/runtimes/kserve-mlserver.yaml").read_text())
    plane.api.apply("/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/kserve-mlserver", runtime)
    _register_webhooks(plane, source / "config/webhook/manifests.yaml", webhook_port)


def _start_manager(plane: ControlPlane) -> int:
    """Start the controller and wait until it serves admission; gives the port."""
    webhook, probes, metrics = free_ports(3)
    # It has no option for its certificate: it looks into TMPDIR.
    certificates = plane.folder / "kserve" / "k8s-webhook-server" / "serving-certs"
    certificates.mkdir(parents=True)
    Authority.of(plane.pki).server("kserve-webhook", [_ADDRESS])
    for end in ("crt", "key"):
        (certificates / f"tls.{end}").write_bytes((plane.pki / f"kserve-webhook.{end}").read_bytes())
    plane.start(
        "kserve-manager",
        [
            f"--webhook-port={webhook}",
            f"--health-probe-addr={_ADDRESS}:{probes}",
            f"--metrics-addr={_ADDRESS}:{metrics}",
        ],
        {"POD_NAMESPACE": "kserve", "TMPDIR": str(plane.folder / "kserve")},
    )

    def not_ready() -> str | None:
        plane.leash.check()
        return unhealthy(_ADDRESS, probes, "/readyz")

    wait_for("kserve-manager", not_ready, _READY_SECONDS)
    return webhook


def _register_webhooks(plane: ControlPlane, manifests: Path, port: int) -> None:
    """KServe's own configurations, led to our process by URL instead of to a Service."""
    authority = base64.b64encode((plane.pki / "ca.crt").read_bytes()).decode()
    for configuration in yaml.safe_load_all(manifests.read_text()):
        webhooks = [w for w in configuration["webhooks"] if w["name"] != _UNUSED_WEBHOOK]
        for webhook in webhooks:
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://{_ADDRESS}:{port}{path}", "caBundle": authority}
        configuration["webhooks"] = webhooks
        del configuration["metadata"]["creationTimestamp"]
        kind = f"{configuration['kind'].lower()}s"
        name = configuration["metadata"]["name"]
        plane.api.apply(f"/apis/admissionregistration.k8s.io/v1/{kind}/{name}", configuration)


def _apply(plane: ControlPlane, files: list[Path]) -> None:
    """Apply CRDs and wait until they are served."""
    # The parser in C, and no kubectl: it takes twice as long for the two megabytes of InferenceService.
    definitions = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files]
    for definition in definitions:
        plane.api.apply(f"{_DEFINITIONS}/{definition['metadata']['name']}", definition)
    for definition in definitions:
        spec = definition["spec"]
        for version in [v for v in spec["versions"] if v["served"]]:
            # By discovery, and not by the condition Established: reading that definition back takes a while itself.
            path = f"/apis/{spec['group']}/{version['name']}"
            wait_for(path, partial(_not_served, plane, path, spec["names"]["plural"]), _READY_SECONDS)


def _not_served(plane: ControlPlane, path: str, resource: str) -> str | None:
    if (missing := plane.api.missing(path)) is not None:
        return missing
    served = [entry["name"] for entry in plane.api.get(path)["resources"]]
    return None if resource in served else f"{resource} is not among {served}"


def _manifests(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.yaml") if file.name != "kustomization.yaml")


def _object(version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
