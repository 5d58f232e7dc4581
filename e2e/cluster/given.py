"""A cluster that is there already, named by its kubeconfig. It is somebody's: nothing here starts, ends or changes it.

Two things cannot be read from a kubeconfig and are told by environment variables:
SERIN_LOAD_IMAGE, how an image gets to the nodes, like "minikube image load {archive}" or "k3d image import {archive}";
SERIN_GATEWAY, host:port of the gateway's listener, where it is not port 8080 of the first node's address.
"""

import json
import os
import re
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
        """Find out whether all that has to be told was told, and whether it answers."""
        self._loading()
        self._told_gateway()
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
        argv = [word.replace("{archive}", str(archive)) for word in self._loading()]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"`{shlex.join(argv)}` (SERIN_LOAD_IMAGE) failed: {done.stderr.strip()}")

    def gateway(self) -> str:
        """SERIN_GATEWAY, or port 8080 of the first node."""
        if told := self._told_gateway():
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

    def _loading(self) -> list[str]:
        """The words of SERIN_LOAD_IMAGE."""
        told = os.environ.get("SERIN_LOAD_IMAGE", "")
        try:
            words = shlex.split(told)
        except ValueError as error:
            raise ClusterError(f"SERIN_LOAD_IMAGE={told!r} is no command: {error}") from error
        if not any("{archive}" in word for word in words):
            raise ClusterError(
                f"no way is known to bring images to the nodes of {self._file}: set SERIN_LOAD_IMAGE to a command with "
                'a place for the file, like SERIN_LOAD_IMAGE="minikube image load {archive}" or '
                'SERIN_LOAD_IMAGE="k3d image import {archive}"'
            )
        if shutil.which(words[0]) is None:
            raise ClusterError(f"`{words[0]}` of SERIN_LOAD_IMAGE={told!r} is not on PATH: install it, or name another")
        return words

    def _told_gateway(self) -> str | None:
        told = os.environ.get("SERIN_GATEWAY")
        if told and not re.fullmatch(r"[^/\s]+:\d+", told):
            raise ClusterError(f"SERIN_GATEWAY={told!r} is not host:port, like gateway.example.com:80")
        return told

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
