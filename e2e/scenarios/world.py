"""The cluster that all scenarios share, and the model whose versions they roll out. Brought up once a run."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from e2e import scientist
from e2e import serin
from e2e.cluster import open_cluster
from e2e.cluster.interface import Cluster
from e2e.demo.scene import MANIFESTS
from e2e.stack import images
from e2e.stack import models
from e2e.stack.component import read_manifests
from e2e.stack.kubectl import Kubectl
from e2e.stack.models import Misbehaviour
from e2e.stack.models import Version
from e2e.up import up

MODEL = "ping pong"
"""Version n answers 1 with n. A name with a space, because MLflow allows it."""
POISON = -1.0
_VERSIONS = (
    models.GOOD,
    models.BETTER,
    models.BROKEN,
    Version(factor=4.0, misbehaviour=Misbehaviour(crash_on=POISON)),
    Version(factor=5.0, misbehaviour=Misbehaviour(error_every=4)),
    Version(factor=6.0, misbehaviour=Misbehaviour(error_every=4)),
    Version(factor=7.0, misbehaviour=Misbehaviour(predict_seconds=0.3)),
    Version(factor=8.0, misbehaviour=Misbehaviour(error_every=3, good_calls=600)),
    Version(factor=9.0, dtype="float32"),
    Version(factor=10.0, named=True, metrics={"f1": 0.9}),
    Version(factor=11.0, named=True, columns=2),
    Version(factor=12.0, named=True, metrics={"f1": 0.7}),
)
GOOD, BETTER, BROKEN, FRAGILE, FAILING, AS_BAD, SLOW, LATE, RETYPED, TABLE, WIDER, POOR = range(1, 13)
MARK = "serin.dev/scenario"
"""Label of every namespace that a scenario made."""
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class World:
    """A cluster with Serin, and a registered model."""

    cluster: Cluster
    kubectl: Kubectl

    def operator_pods(self) -> list[str]:
        """Names of the operator's pods."""
        pods = self.kubectl.list_all("pods", serin.NAMESPACE, "-l", "app.kubernetes.io/name=serin")
        return [pod["metadata"]["name"] for pod in pods]

    def kill_operator(self) -> None:
        """Without a chance to end anything: SIGKILL, as when its node dies."""
        for pod in self.operator_pods():
            # Another may have been faster, or the Deployment.
            self.kubectl.run(
                "delete", "pod", pod, "-n", serin.NAMESPACE, "--force", "--grace-period=0", "--ignore-not-found"
            )

    def scale_operator(self, replicas: int) -> None:
        """Stop the operator (0) or start it (1); returns when it is so."""
        deployment = f"deployment/{serin.RELEASE}"
        self.kubectl.run("scale", deployment, "-n", serin.NAMESPACE, f"--replicas={replicas}")
        if replicas:
            self.kubectl.run("rollout", "status", deployment, "-n", serin.NAMESPACE, "--timeout=90s")
        else:
            wait_until("the operator is gone", lambda: not self.operator_pods(), 60)

    def namespace_goes(self, name: str, seconds: float) -> None:
        """Wait until it is gone; the namespace controller says what is left of it."""

        def left() -> str:
            conditions = (self.kubectl.get("namespace", name) or {}).get("status", {}).get("conditions", [])
            return "; ".join(one["message"] for one in conditions if one["status"] == "True")

        wait_until("the namespace is gone", lambda: self.kubectl.get("namespace", name) is None, seconds, left)

    def operator_log(self) -> str:
        """The end of the operator's log."""
        log = self.kubectl.command("logs", f"deployment/{serin.RELEASE}", "-n", serin.NAMESPACE, "--tail=80")
        return subprocess.run(log, check=False, capture_output=True, text=True).stdout


def make_world() -> None:
    """Bring everything up, register the model, clear away what a killed run left."""
    cluster = open_cluster()
    up(cluster)
    kubectl = Kubectl(cluster.kubeconfig())
    kubectl.run("delete", "namespaces", "-l", MARK, "--wait=false")
    kubectl.apply(read_manifests(MANIFESTS / "modelregistry.yaml"))
    _register(kubectl)


def open_world() -> World:
    """What :func:`make_world` has made, in this process or another."""
    cluster = open_cluster()
    return World(cluster, Kubectl(cluster.kubeconfig()))


def _register(kubectl: Kubectl) -> None:
    """Afresh, so that version numbers and answers are the same."""
    scientist.forget(kubectl, MODEL)
    numbers = models.register(kubectl, images.build("mlflow").reference, MODEL, _VERSIONS)
    assert numbers == list(range(1, len(_VERSIONS) + 1)), f"the registry numbered the versions {numbers}"


def wait_until(what: str, check: Callable[[], object], seconds: float, why: Callable[[], str] | None = None) -> float:
    """Wait until `check` gives something true; how many seconds that took. `why` says what it did not come to."""
    start = time.monotonic()
    while not check():
        if time.monotonic() - start > seconds:
            told = f": {why()}" if why else ""
            raise AssertionError(f"{what}: not within {seconds:.0f} s{told}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - start
