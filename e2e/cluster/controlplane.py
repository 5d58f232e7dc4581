"""A control plane alone: etcd, API server and controller manager as child processes on loopback.

No node, no container, no root, no namespace: what integration tests and the benchmark need, ready in a few seconds.
Everything lies in a temporary folder; several can run side by side.
"""

import fcntl
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from e2e import tools
from e2e.cluster import programs
from e2e.cluster.api import Api
from e2e.cluster.audit import AuditLog
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.layout import SERVICE_FIRST
from e2e.cluster.leash import Leash
from e2e.cluster.pki import Authority
from e2e.cluster.pki import write_pki
from e2e.cluster.ports import free_ports
from e2e.cluster.progress import wait_for

_PREFIX = "serin-control-plane-"
# A machine that does other things, too, may take ten times as long as an idle one.
_READY_SECONDS = 120.0
_ADDRESS = "127.0.0.1"


class ControlPlane:
    """A context manager: ready inside the block, gone after it, and gone when the process is killed."""

    def __init__(self) -> None:
        for tool in ("etcd", "kubernetes"):
            tools.build(tool)
        self._exit = ExitStack()

    def __enter__(self) -> "ControlPlane":
        with ExitStack() as undo:
            self.folder = _own_folder(undo)
            self.pki = self.folder / "pki"
            write_pki(self.pki, None, [_ADDRESS, SERVICE_FIRST])
            self.leash = Leash(self.folder)
            undo.callback(self.leash.stop)
            self._etcd_port, self._etcd_peer_port, self._port = free_ports(3)
            self.url = f"https://{_ADDRESS}:{self._port}"
            self.api = Api(_ADDRESS, self._port, self.pki)
            self.kubeconfig = self._kubeconfig("admin")
            commands = self._commands()
            # The controller manager not earlier: it gives up when no API server answers it within 10 s.
            controller_manager = commands.popitem()
            for name, arguments in commands.items():
                self.start(name, arguments)
            wait_for("the API server", self._not_ready, _READY_SECONDS)
            self.start(*controller_manager)
            wait_for("the controller manager", self._no_service_account, _READY_SECONDS)
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def start(self, binary: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
        """Start one more program that belongs to this control plane and ends with it.

        It gets an administrator's KUBECONFIG, and of the caller's environment nothing, so that no proxy named there
        stands before the API server.
        """
        argv = [str(tools.binary(binary)), *arguments]
        self.leash.start(binary, argv, {**self._environment(), **(environment or {})})

    def end(self, binary: str) -> None:
        """End one of the programs: nothing is to react to what comes."""
        self.leash.end(binary)

    @property
    def audit(self) -> AuditLog:
        """Every request that was made, at level Metadata."""
        return AuditLog(self.folder / "audit.log")

    def kubectl(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run kubectl as an administrator, or whom `--kubeconfig` names, to its end, whatever that is."""
        argv = [str(tools.binary("kubectl")), *arguments]
        return subprocess.run(argv, env=self._environment(), check=False, capture_output=True, text=True)

    def user(self, name: str, *groups: str) -> Path:
        """A kubeconfig of a user of that name: authenticated, and allowed what RBAC allows it."""
        file = f"user-{name}".replace(":", "-").replace("/", "-")
        Authority.of(self.pki).client(file, name, groups)
        return self._kubeconfig(file)

    def _environment(self) -> dict[str, str]:
        home = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "KUBECONFIG": str(self.kubeconfig)}
        return {**home, **programs.GO}

    def _kubeconfig(self, client: str) -> Path:
        return write_kubeconfig(self.folder / f"{client}.kubeconfig", self.url, self.pki, client)

    def _commands(self) -> dict[str, list[str]]:
        """Names and arguments of the programs, in the order of their start."""
        folder, pki = self.folder, self.pki
        etcd = f"http://{_ADDRESS}:{self._etcd_port}"
        policy = folder / "audit.json"
        policy.write_text(json.dumps(programs.AUDIT_POLICY))
        return {
            "etcd": [
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://{_ADDRESS}:{self._etcd_peer_port}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd}",
                f"--bind-address={_ADDRESS}",
                f"--secure-port={self._port}",
                # Without a node nobody comes by it, and it may not be a loopback address.
                "--endpoint-reconciler-type=none",
                *programs.apiserver_arguments(pki, policy, folder / "audit.log"),
            ],
            "kube-controller-manager": [
                f"--kubeconfig={self._kubeconfig('controller-manager')}",
                "--secure-port=0",
                # Its own throttle must not be what a benchmark measures.
                "--kube-api-qps=1000",
                "--kube-api-burst=1000",
                *programs.controller_manager_arguments(pki),
            ],
        }

    def _not_ready(self) -> str | None:
        self.leash.check()
        return self.api.ready()

    def _no_service_account(self) -> str | None:
        self.leash.check()
        return self.api.missing("/api/v1/namespaces/default/serviceaccounts/default")


def _own_folder(undo: ExitStack) -> Path:
    """A temporary folder that is removed on `undo`, or by a later run when this one is killed."""
    for abandoned in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/lock"):
        with abandoned.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its owner lives
                continue
            shutil.rmtree(abandoned.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    fcntl.flock(undo.enter_context((folder / "lock").open("w")), fcntl.LOCK_EX)
    return folder
