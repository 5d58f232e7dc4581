"""KServe as its own kustomization renders it, in Standard mode, with our images and a certificate of our own making.

The certificate takes the place of cert-manager's, and the proxy in front of KServe's metrics is left out. Nothing here
knows how models get their traffic: the tests' InferenceServices are cluster-local, KServe makes no route for them.
"""

import base64
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e import tools
from e2e.stack import certificate
from e2e.stack import gateway
from e2e.stack.component import Component
from e2e.stack.component import namespace
from e2e.stack.component import parse_manifests
from e2e.stack.component import read_manifests
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

NAMESPACE = "kserve"
_WEBHOOK_SECRET = "kserve-webhook-server-cert"  # noqa: S105 (a name)
_WEBHOOK_HOST = "kserve-webhook-server-service.kserve.svc"
# Ours: CRDs come earlier, the certificate is made here, and the Secret is an empty one that KServe does not read.
_LEFT_OUT = {"CustomResourceDefinition", "Certificate", "Issuer", "Secret"}

# KServe asks for a whole CPU and 2 GiB for each model. A small scikit-learn model takes 300 MiB and, but for its start,
# next to no CPU; no limit on the CPU, because the start is all CPU.
_MODEL_SERVER_RESOURCES = {"requests": {"cpu": "50m", "memory": "320Mi"}, "limits": {"memory": "1Gi"}}
_INITIALIZER_RESOURCES = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}


def custom_resources() -> list[Object]:
    """The CRDs of KServe, in full: the minimal ones prune nothing and so would hide mistakes."""
    folder = _config() / "crd/full"
    return read_manifests(*sorted(folder.glob("*_*.yaml")), *sorted(folder.glob("clusterstoragecontainer/*_*.yaml")))


def _config() -> Path:
    return tools.module_folder("kserve", "github.com/kserve/kserve") / "config"


def _objects(kubectl: Kubectl, references: Mapping[str, str]) -> list[Object]:
    text = kubectl.run("kustomize", str(_config() / "default"), "--load-restrictor=LoadRestrictionsNone")
    objects = [found for found in parse_manifests(text) if found["kind"] not in _LEFT_OUT]
    now = datetime.datetime.now(datetime.UTC)
    pair = certificate.ensure(kubectl.get("secret", _WEBHOOK_SECRET, NAMESPACE), _WEBHOOK_HOST, now)
    for found in objects:
        if found["kind"].endswith("WebhookConfiguration"):
            _trust(found, pair.ca)
        elif found["kind"] == "Deployment":
            _adjust_controller(found, references["kserve"])
    # The webhooks last: they refuse everything until the controller answers.
    objects.sort(key=lambda found: str(found["kind"]).endswith("WebhookConfiguration"))
    secret = pair.secret(_WEBHOOK_SECRET, NAMESPACE)
    return [namespace(NAMESPACE), secret, _config_map(references["storage-initializer"]), *objects]


def _trust(configuration: Object, ca: bytes) -> None:
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["caBundle"] = base64.b64encode(ca).decode()


def _adjust_controller(deployment: Object, image: str) -> None:
    pod = deployment["spec"]["template"]["spec"]
    manager = next(container for container in pod["containers"] if container["name"] == "manager")
    pod["containers"] = [manager]
    manager |= {"image": image, "imagePullPolicy": "IfNotPresent", "command": ["/bin/kserve-manager"]}
    manager["args"] = ["--metrics-addr=:8080", "--leader-elect"]
    manager["securityContext"]["runAsUser"] = 65534
    # A tenth of a CPU makes the start, which is one list of everything, take most of a minute.
    manager["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    manager["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 2}


def _config_map(initializer: str) -> Object:
    """KServe's own settings but for the ones a platform team has to decide on."""
    (found,) = read_manifests(_config() / "configmap/inferenceservice.yaml")
    data: dict[str, str] = found["data"]
    data.pop("_example")
    _merge(data, "deploy", {"defaultDeploymentMode": "Standard"})
    # No Istio, no Ingress: Gateway API.
    public = f"{gateway.NAMESPACE}/{gateway.GATEWAY}"
    _merge(data, "ingress", {"enableGatewayApi": True, "kserveIngressGateway": public, "disableIstioVirtualHost": True})
    requests, limits = _INITIALIZER_RESOURCES["requests"], _INITIALIZER_RESOURCES["limits"]
    resources = {"memoryRequest": requests["memory"], "cpuRequest": requests["cpu"], "memoryLimit": limits["memory"]}
    _merge(data, "storageInitializer", {"image": initializer, **resources})
    return found


def _merge(data: dict[str, str], key: str, values: dict[str, Any]) -> None:
    data[key] = json.dumps(json.loads(data[key]) | values, indent=2)


def _runtime_objects(_: Kubectl, references: Mapping[str, str]) -> list[Object]:
    (runtime,) = read_manifests(_config() / "runtimes/kserve-mlserver.yaml")
    (server,) = runtime["spec"]["containers"]
    server |= {"image": references["mlserver"], "imagePullPolicy": "IfNotPresent", "resources": _MODEL_SERVER_RESOURCES}
    (storage,) = read_manifests(_config() / "storagecontainers/default.yaml")
    storage["spec"]["container"] |= {"image": references["storage-initializer"], "resources": _INITIALIZER_RESOURCES}
    return [runtime, storage]


CONTROLLER = Component("kserve", ("kserve", "storage-initializer"), _objects)
RUNTIME = Component("model-server", ("mlserver", "storage-initializer"), _runtime_objects)
"""After CONTROLLER is ready: its webhook validates runtimes."""
