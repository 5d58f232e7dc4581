"""A cluster that is there already, named by its kubeconfig. It is somebody's: nothing here starts, ends or changes it.

Two things cannot be read from a kubeconfig and are told by environment variables:
SERIN_LOAD_IMAGE, how an image gets to the nodes, like "minikube image load {archive}" or "k3d image import {archive}";
SERIN_GATEWAY, host:port of the gateway's listener, where it is not port 8080 of the first node's address.
"""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from e2e import tools
from e2e.cluster.audit import AuditLog
from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import GATEWAY_PORT
from e2e.cluster.progress import say


class GivenCluster:
    """The cluster of a kubeconfig's current context."""

    given = True

    def __init__(self, kubeconfig: Path) -> None:
        self.name = kubeconfig.name
        self._file = kubeconfig

    def preflight(self) -> None:
        """The same: nothing is started here."""
        self.up()

    def up(self) -> None:
        """Make sure that it answers and has a Ready node."""
        if not any(_is_ready(node) for node in self._nodes()):
            raise ClusterError(f"the cluster of {self._file} has no Ready node: bring it up, or name another")

    def down(self, *, purge: bool = False) -> None:
        """Leave it as it is, whatever `purge` says: it is not ours."""
        say(f"the cluster of {self._file} was given, so it stays")

    def kubeconfig(self) -> Path:
        """The one that was given."""
        return self._file

    def load_image(self, archive: Path) -> None:
        """By the command of SERIN_LOAD_IMAGE."""
        template = os.environ.get("SERIN_LOAD_IMAGE", "")
        if "{archive}" not in template:
            raise ClusterError(
                f"no way is known to bring {archive.name} to the nodes of {self._file}: set SERIN_LOAD_IMAGE to a "
                'command, like "minikube image load {archive}" or "k3d image import {archive}"'
            )
        argv = [word.replace("{archive}", str(archive)) for word in shlex.split(template)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"`{shlex.join(argv)}` (SERIN_LOAD_IMAGE) failed: {done.stderr.strip()}")

    def gateway(self) -> str:
        """SERIN_GATEWAY, or port 8080 of the first node."""
        if told := os.environ.get("SERIN_GATEWAY"):
            return told
        addresses = {entry["type"]: entry["address"] for entry in self._nodes()[0]["status"]["addresses"]}
        for kind in ("ExternalIP", "InternalIP"):
            if kind in addresses:
                return f"{addresses[kind]}:{GATEWAY_PORT}"
        raise ClusterError(f"the first node of {self._file} has no address: set SERIN_GATEWAY to host:port")

    def audit(self) -> AuditLog:
        """Not within reach."""
        raise ClusterError(f"the audit log of {self._file} cannot be read: use the local cluster (SERIN_CLUSTER=local)")

    def status(self) -> str:
        """Its nodes."""
        nodes = self._nodes()
        lines = [f"{node['metadata']['name']}: {'Ready' if _is_ready(node) else 'not Ready'}" for node in nodes]
        return "\n".join([f"{self._file}: {len(nodes)} nodes", *lines])

    def command(self, argv: list[str]) -> list[str]:
        """`argv` as it is: its network is not known."""
        return argv

    def _nodes(self) -> list[dict[str, Any]]:
        kubectl = shutil.which("kubectl") or str(tools.binary("kubectl"))  # only then built, for minutes
        argv = [kubectl, f"--kubeconfig={self._file}", "get", "nodes", "--output=json"]
        done = subprocess.run([*argv, "--request-timeout=15s"], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"the cluster of {self._file} does not answer: {done.stderr.strip()}")
        nodes: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        if not nodes:
            raise ClusterError(f"the cluster of {self._file} has no node")
        return nodes


def _is_ready(node: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))
