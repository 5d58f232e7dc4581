"""A cluster by kind, where Docker runs: https://kind.sigs.k8s.io. Speaks to the `kind` and `docker` on PATH."""

import json
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.audit import AuditLog
from e2e.cluster.files import write
from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import GATEWAY_PORT
from e2e.cluster.layout import state_home
from e2e.cluster.progress import say

# Docker chooses the port of this machine; Envoy listens on the node.
_PORT = {"containerPort": GATEWAY_PORT, "hostPort": 0, "listenAddress": "127.0.0.1", "protocol": "TCP"}
_CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane", "extraPortMappings": [_PORT]}],
}


class KindCluster:
    """One kind cluster with one node."""

    def __init__(self, name: str = "serin") -> None:
        self.name = name

    def up(self) -> None:
        """Create it, unless there is one of that name."""
        if not self._exists():
            say(f"kind creates {self.name} (a minute, longer the first time)")
            self._run("kind", "create", "cluster", f"--name={self.name}", "--wait=5m", "--config=-", given=_CONFIG)
        self._kubeconfig()

    def down(self, *, purge: bool = False) -> None:
        """Delete it. Nothing outlives that, so `purge` has nothing to add."""
        if self._exists():
            self._run("kind", "delete", "cluster", f"--name={self.name}")
        self._file().unlink(missing_ok=True)

    def kubeconfig(self) -> Path:
        """One of its own; the user's ~/.kube/config is kind's business."""
        self._expect()
        return self._kubeconfig()

    def load_image(self, archive: Path) -> None:
        """By `kind load`."""
        self._expect()
        self._run("kind", "load", "image-archive", str(archive), f"--name={self.name}")

    def gateway(self) -> str:
        """The port of this machine that Docker gave the node's."""
        self._expect()
        answer = self._run("docker", "port", f"{self.name}-control-plane", f"{GATEWAY_PORT}/tcp")
        return answer.splitlines()[0]

    def audit(self) -> AuditLog:
        """kind keeps none."""
        raise ClusterError("a kind cluster has no audit log: use the local one (SERIN_CLUSTER=local)")

    def status(self) -> str:
        """Whether there is one."""
        return f"{self.name} (kind): {'up' if self._exists() else 'down'}"

    def command(self, argv: list[str]) -> list[str]:
        """`argv` as it is: the network of the node is Docker's."""
        return argv

    def _exists(self) -> bool:
        return self.name in self._run("kind", "get", "clusters").split()

    def _expect(self) -> None:
        if not self._exists():
            raise ClusterError(f"there is no kind cluster {self.name}: `SERIN_CLUSTER=kind python -m e2e.cluster up`")

    def _kubeconfig(self) -> Path:
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, self._run("kind", "get", "kubeconfig", f"--name={self.name}"), mode=0o600)
        return file

    def _file(self) -> Path:
        return state_home() / f"kind-{self.name}.kubeconfig"

    @staticmethod
    def _run(*argv: str, given: object = None) -> str:
        if shutil.which(argv[0]) is None:
            raise ClusterError(
                f"`{argv[0]}` is not on PATH: install kind and Docker, or take the cluster from source "
                "(SERIN_CLUSTER=local) or one that is there already (SERIN_CLUSTER=/path/to/kubeconfig)"
            )
        text = "" if given is None else json.dumps(given)
        done = subprocess.run(argv, input=text, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
        return done.stdout
