"""A cluster by kind, where Docker runs: https://kind.sigs.k8s.io. Speaks to the `kind` and `docker` on PATH."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.audit import AuditLog
from e2e.cluster.files import locked
from e2e.cluster.files import write
from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import GATEWAY_PORT
from e2e.cluster.layout import state_home
from e2e.cluster.progress import say
from e2e.cluster.progress import wait_for

# kind chooses the port of this machine, and the node keeps it for life; Envoy listens on the node.
_PORT = {"containerPort": GATEWAY_PORT, "hostPort": 0, "listenAddress": "127.0.0.1", "protocol": "TCP"}
_CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    "nodes": [{"role": "control-plane", "extraPortMappings": [_PORT]}],
}
# pkg/cluster/internal/providers/docker/constants.go
_LABEL = "io.x-k8s.kind.cluster"
# pkg/internal/cli/status.go: how each step begins, where nobody sees it spin
_STEP = " • "
_LINES = 25
# Of RFC 3339: Docker tells nanoseconds, Kubernetes none.
_TO_SECONDS = len("2026-11-28T22:14:05")
_SECONDS = 180.0
_CREATION_SECONDS = 30.0
_EVERY = 1.0
_OTHER_WAYS = (
    "or take the cluster from source (SERIN_CLUSTER=local) or one that is there already "
    "(SERIN_CLUSTER=/path/to/kubeconfig)"
)


@dataclass(frozen=True)
class _Node:
    """A node's container."""

    name: str
    running: bool
    started: str
    """When, last: RFC 3339, in UTC."""
    mapped: bool
    """Whether the gateway's port was given one of this machine."""
    address: str | None
    """Which that is, while it runs."""


class KindCluster:
    """One kind cluster with one node."""

    given = False

    def __init__(self, name: str = "serin") -> None:
        self.name = name

    @property
    def spec(self) -> str:
        """What SERIN_CLUSTER is for it."""
        return "kind" if self.name == "serin" else f"kind:{self.name}"

    def preflight(self) -> None:
        """Find out whether there are kind and Docker, and whether one of that name would be ours.

        Raises:
            ClusterError: it is not so; with the remedy.
        """
        self._ours()

    def up(self) -> None:
        """Create it, or start it again where Docker has stopped it; until its node is Ready."""
        # Otherwise one that comes meanwhile would take what kind is creating for what was interrupted.
        with locked(self._lock()):
            self._up()

    def _up(self) -> None:
        nodes = self._ours()
        if nodes and self._begun().exists():
            say(f"{self.name}: its creation did not come to its end, so it begins afresh")
            self._delete()
            nodes = []
        if not nodes:
            self._create()
        elif stopped := [node.name for node in nodes if not node.running]:
            say(f"{self.name}: starting what was stopped: {', '.join(stopped)}")
            self._run("docker", "start", *stopped)
        try:
            self._kubeconfig()
            wait_for(f"the node of the kind cluster {self.name}", self._not_ready, _SECONDS, _EVERY)
        except ClusterError as error:
            raise ClusterError(
                f"{error}\nIf that stays so, `SERIN_CLUSTER={self.spec} make down` takes it away, and then it can be "
                "made afresh"
            ) from error

    def down(self, *, purge: bool = False) -> None:
        """Delete it. Nothing outlives that, so `purge` has nothing to add."""
        with locked(self._lock()):
            if self._ours():
                self._delete()
            for file in (self._file(), self._begun(), self._lock()):
                file.unlink(missing_ok=True)

    def kubeconfig(self) -> Path:
        """One of its own; the user's ~/.kube/config and its current context stay as they are."""
        self._running()
        return self._kubeconfig()

    def load_image(self, archive: Path) -> None:
        """By `kind load`."""
        self._running()
        self._run("kind", "load", "image-archive", str(archive), f"--name={self.name}")

    def gateway(self) -> str:
        """The port of this machine that the node's was given."""
        return next(node.address for node in self._running() if node.address)

    def audit(self) -> AuditLog:
        """kind keeps none."""
        raise ClusterError("a kind cluster has no audit log: use the local one (SERIN_CLUSTER=local)")

    def status(self) -> str:
        """Whether there is one, and why its node is not Ready."""
        return f"{self.name} (kind): {(self._not_ready() or 'up') if self._ours() else 'down'}"

    def command(self, argv: list[str]) -> list[str]:
        """`argv` as it is: the network of the node is Docker's."""
        return argv

    def _create(self) -> None:
        say(f"kind creates {self.name} (a minute, longer the first time)")
        file, begun = self._file(), self._begun()
        begun.parent.mkdir(parents=True, exist_ok=True)
        begun.touch()
        file.unlink(missing_ok=True)
        options = [f"--name={self.name}", f"--kubeconfig={file}", "--wait=5m", "--config=-"]
        self._tell("kind", "create", "cluster", *options, given=json.dumps(_CONFIG))
        begun.unlink()

    def _delete(self) -> None:
        self._run("kind", "delete", "cluster", f"--name={self.name}", f"--kubeconfig={self._file()}")

    def _ours(self) -> list[_Node]:
        """Its nodes, if there are any.

        Raises:
            ClusterError: somebody else made it, for something else.
        """
        nodes = self._nodes()
        if nodes and not any(node.mapped for node in nodes):
            raise ClusterError(
                f"there is a kind cluster {self.name} that was not made here: port {GATEWAY_PORT} of its node has none "
                "of this machine, and what runs on it may be somebody's. Take another name (SERIN_CLUSTER=kind:NAME), "
                f"or delete it: `kind delete cluster --name={self.name}`"
            )
        return nodes

    def _running(self) -> list[_Node]:
        nodes = self._ours()
        remedy = f"`SERIN_CLUSTER={self.spec} python -m e2e.cluster up`"
        if not nodes:
            raise ClusterError(f"there is no kind cluster {self.name}: {remedy}")
        if not all(node.running for node in nodes):
            raise ClusterError(f"the kind cluster {self.name} is stopped: {remedy} starts it again")
        return nodes

    def _nodes(self) -> list[_Node]:
        for program in ("kind", "docker"):
            if shutil.which(program) is None:
                raise ClusterError(f"`{program}` is not on PATH: install kind and Docker, {_OTHER_WAYS}")
        found: list[_Node] = []

        def look() -> str | None:
            containers = self._containers()
            try:
                told = self._run("docker", "inspect", *containers) if containers else "[]"
            except ClusterError as error:
                return str(error)
            found.extend(_node(one) for one in json.loads(told))
            return None

        # Docker lists a container some seconds before it can be inspected: copying what is in its volume takes those.
        wait_for(f"what Docker says of {self.name}", look, _CREATION_SECONDS, _EVERY)
        return found

    def _containers(self) -> list[str]:
        listing = ["docker", "ps", "--all", "--quiet", f"--filter=label={_LABEL}={self.name}"]
        done = subprocess.run(listing, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(
                f"Docker does not answer: {done.stderr.strip()}\nStart its engine, see to it that this user may use it "
                f"(group docker), {_OTHER_WAYS}"
            )
        return done.stdout.split()

    def _not_ready(self) -> str | None:
        """None when every node is Ready, otherwise why not.

        What a node said before its container was started counts for nothing: the API server still tells it.
        """
        nodes = self._nodes()
        for node in nodes:
            if not node.running:
                return f"{node.name} is stopped"
        kubectl = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s"]
        inside = ["docker", "exec", f"{self.name}-control-plane", *kubectl]
        try:
            listed = json.loads(self._run(*inside, "get", "nodes", "--output=json"))
        except ClusterError as error:
            return str(error)
        conditions = {one["metadata"]["name"]: _ready(one) for one in listed["items"]}
        for node in nodes:
            ready = conditions.get(node.name)
            if ready is None or ready["lastHeartbeatTime"][:_TO_SECONDS] < node.started[:_TO_SECONDS]:
                return f"the kubelet of {node.name} has not reported yet"
            if ready["status"] != "True":
                return f"{node.name} is not Ready: {ready['message']}"
        return None

    def _kubeconfig(self) -> Path:
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, self._run("kind", "get", "kubeconfig", f"--name={self.name}"), mode=0o600)
        return file

    def _file(self) -> Path:
        return state_home() / f"kind-{self.name}.kubeconfig"

    def _lock(self) -> Path:
        """Held by the command that brings it up or takes it away."""
        return state_home() / f"kind-{self.name}.lock"

    def _begun(self) -> Path:
        """There while kind creates it: where it is found later, that was interrupted."""
        return state_home() / f"kind-{self.name}.begun"

    @staticmethod
    def _run(*argv: str) -> str:
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise _failed(argv, done.stderr)
        return done.stdout

    @staticmethod
    def _tell(*argv: str, given: str) -> None:
        """Run it and tell each step that it begins: the first may download for minutes."""
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(argv, text=True, stdin=pipe, stdout=nowhere, stderr=pipe) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(given)
            process.stdin.close()
            said = []
            try:
                for line in process.stderr:
                    said.append(line)
                    if line.startswith(_STEP):
                        say(f"kind: {line.removeprefix(_STEP).rstrip().rstrip('. ')}")
            except KeyboardInterrupt:
                process.kill()
                raise
        if process.returncode != 0:
            raise _failed(argv, "".join(said[-_LINES:]))


def _failed(argv: Sequence[str], said: str) -> ClusterError:
    return ClusterError(f"`{' '.join(argv)}` failed: {said.strip()}")


def _node(container: dict[str, Any]) -> _Node:
    """From what `docker inspect` tells. A container that is stopped tells its bindings, but no addresses."""
    state = container["State"]
    published = f"{GATEWAY_PORT}/tcp"
    given = (container["NetworkSettings"]["Ports"] or {}).get(published) or []
    return _Node(
        container["Name"].removeprefix("/"),
        state["Running"],
        state["StartedAt"],
        published in (container["HostConfig"]["PortBindings"] or {}),
        next((f"{one['HostIp']}:{one['HostPort']}" for one in given), None),
    )


def _ready(node: dict[str, Any]) -> dict[str, Any] | None:
    return next((one for one in node["status"].get("conditions", []) if one["type"] == "Ready"), None)
