"""A Kubernetes from source in a network namespace of its own: no Docker, no downloaded binary, no address in use.

`up` is one straight line of steps of which each looks at what is there and does what is missing, so it works as well
from nothing as over a run that was killed half-way or a cluster of which programs died. What outlived a reboot is not
continued: etcd runs without fsync.
"""

import shutil
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from e2e import tools
from e2e.cluster import layout as at
from e2e.cluster import programs
from e2e.cluster.api import Api
from e2e.cluster.api import unhealthy
from e2e.cluster.audit import AuditLog
from e2e.cluster.cgroup import Cgroup
from e2e.cluster.dns import offer_dns
from e2e.cluster.files import locked
from e2e.cluster.files import write
from e2e.cluster.interface import ClusterError
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.layout import Layout
from e2e.cluster.layout import Link
from e2e.cluster.namespaces import Namespaces
from e2e.cluster.namespaces import free_link
from e2e.cluster.pki import write_pki
from e2e.cluster.preflight import preflight
from e2e.cluster.progress import say
from e2e.cluster.progress import wait_for
from e2e.cluster.proxies import go_around
from e2e.cluster.runtime import Runtime
from e2e.cluster.services import allow_services
from e2e.cluster.supervise import Supervisor

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Survive `down`: images, and the logs for whoever wants to know.
_KEPT = ("containerd", "log", "lock")
_TOOLS = ("kubernetes", "etcd", "coredns", "pause")
_CLIENTS = ("controller-manager", "scheduler", "kubelet", "proxy", "coredns")
_SECONDS = 90.0
_AFRESH = "Logs are in {log}. If `up` again does not help, `python -m e2e.cluster down` and `up` start from nothing."


class LocalCluster:
    """One local cluster; several with different names can run side by side."""

    given = False

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self._layout = Layout(name)
        self._cgroup = Cgroup(self._layout.cgroup)
        self._namespaces = Namespaces(self._layout)
        self._supervisor = Supervisor(self._cgroup, self._namespaces, self._layout.run, self._layout.log)
        self._runtime = Runtime(self._layout, self._cgroup)

    def preflight(self) -> None:
        """Install what is missing on this machine, and try whether it can carry a cluster.

        Raises:
            ClusterError: it cannot; with what is missing and the other ways.
        """
        preflight(self._layout.state)

    def up(self) -> None:
        """Bring it up, or back up, until its node is Ready."""
        start = time.monotonic()
        self.preflight()
        for tool in _TOOLS:
            tools.build(tool)
        with self._locked():
            link = self._foundation()
            self._write_files(link)
            started = self._start(link)
        if started:
            say(f"{self.name}: node Ready after {time.monotonic() - start:.0f} s; started {', '.join(started)}")
        else:
            say(f"{self.name}: up already")

    def down(self, *, purge: bool = False) -> None:
        """Take it away: processes, mounts, namespaces, interface, firewall rules, cgroups, state.

        Args:
            purge: the imported images and the logs, too.
        """
        allow_services()
        if not self._layout.state.exists():
            self._refuse_others()
            return
        with self._locked():
            self._clear()
            if purge:
                shutil.rmtree(self._layout.state)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; works from the machine and from inside."""
        self._link()
        return self._layout.kubeconfig

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive into containerd."""
        self._runtime.load(archive)

    def gateway(self) -> str:
        """The node's address: Envoy listens on a port of the node."""
        return f"{self._link().node}:{at.GATEWAY_PORT}"

    def audit(self) -> AuditLog:
        """Every request to the API server since it was brought up first, at level Metadata."""
        self._link()
        return AuditLog(self._layout.audit_log)

    def status(self) -> str:
        """The node, and each program."""
        if not self._namespaces.exist():
            return f"{self.name}: down"
        link = self._link()
        node = self._node_not_ready(self._api(link)) or "Ready"
        names = [program.name for program in self._programs(link)]
        lines = [f"{name}: {'running' if self._supervisor.running(name) else 'not running'}" for name in names]
        return "\n".join([f"{self.name}: node {node}", *lines])

    def command(self, argv: list[str]) -> list[str]:
        """`argv` in the cluster's network, where pods and Services can be reached."""
        self._link()
        return self._namespaces.enter_network(argv)

    # -- steps of up

    def _foundation(self) -> Link:
        """Namespaces and the link to them; from scratch after a reboot or a half-done set-up."""
        layout = self._layout
        self._claim_name()
        boot, this_boot = layout.state / "boot-id", _BOOT_ID.read_text()
        if boot.is_file() and boot.read_text() == this_boot and self._namespaces.exist():
            link = self._link()
            if link.exists():
                return link
        self._clear()
        layout.run.mkdir()
        self._claim_name()
        with self._locked(at.state_home() / "slots.lock"):
            link = free_link({int(file.read_text()) for file in at.state_home().glob("*/slot")})
            write(layout.slot, str(link.slot))
        write(boot, this_boot)
        self._namespaces.create(link)
        return link

    def _claim_name(self) -> None:
        """Have the name for ourselves, once there is a run folder."""
        self._refuse_others()
        if self._layout.run.is_dir() and not self._layout.claim.is_file():
            write(self._layout.claim, str(self._layout.state))

    def _refuse_others(self) -> None:
        """Refuse to touch the cluster of the same name of another state folder: cgroup and sockets would be one.

        One that has ended without `down` is nobody's any more: what is left of it goes.
        """
        claim = self._layout.claim
        if claim.is_file() and (other := claim.read_text()) != str(self._layout.state):
            if self._cgroup.processes():
                raise ClusterError(
                    f"there is a local cluster {self.name!r} whose state is in {other}: take another name "
                    "(SERIN_CLUSTER=local:NAME), or the same XDG_STATE_HOME"
                )
            self._namespaces.destroy()
            self._cgroup.remove()
            shutil.rmtree(self._layout.run)

    def _write_files(self, link: Link) -> None:
        layout = self._layout
        write_pki(layout.pki, at.NODE, ["127.0.0.1", at.SERVICE_FIRST, link.node])
        layout.log.mkdir(exist_ok=True)
        (layout.config / "cni").mkdir(parents=True, exist_ok=True)
        for file, content in programs.configuration(layout, link).items():
            write(file, content)
        server = f"https://{link.node}:{at.API_PORT}"
        for client in _CLIENTS:
            write_kubeconfig(layout.config / f"{client}.kubeconfig", server, layout.pki, client)
        write_kubeconfig(layout.kubeconfig, server, layout.pki, "admin", f"serin-{self.name}")

    def _start(self, link: Link) -> list[str]:
        """Start what does not run and wait until the node is Ready. Gives the names of what was started."""
        api = self._api(link)
        started: list[str] = []
        expected: list[str] = []

        def ensure(*wanted: programs.Program) -> None:
            started.extend(program.name for program in wanted if self._supervisor.start(program))
            expected.extend(program.name for program in wanted)

        def wait(what: str, check: Callable[[], str | None]) -> None:
            self._wait(what, check, expected)

        etcd, apiserver, *others = programs.control_plane(self._layout, link)
        containerd = programs.containerd(self._layout)
        ensure(containerd, etcd, apiserver)
        wait("containerd", self._runtime.not_ready)
        self._empty(containerd)
        self._runtime.provide_pause_image()
        wait("the API server", api.ready)
        clients = [*others, *programs.node(self._layout, link)]
        if not {etcd.name, apiserver.name}.isdisjoint(started):
            # Who has gone on without it asks ever more rarely, and would hear of nothing for up to a minute; a
            # scheduler that then finds another pod under the name of one it has placed ends itself.
            for client in clients:
                self._supervisor.stop(client.name)
        # Not earlier: the controller manager gives up when no API server answers it within 10 s.
        ensure(*clients)
        offer_dns(api, link)
        wait("the kubelet", lambda: unhealthy(link.node, at.KUBELET_HEALTH_PORT, "/healthz"))
        wait("the node", lambda: self._node_not_ready(api))
        wait("kube-proxy", lambda: unhealthy(link.node, at.PROXY_HEALTH_PORT, "/healthz"))
        wait("CoreDNS", lambda: unhealthy(link.node, at.DNS_READY_PORT, "/ready"))
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait("the default service account", lambda: api.missing(account))
        return started

    def _empty(self, containerd: programs.Program) -> None:
        """Once after containerd's first start: put out the containers of a time before this one."""
        emptied = self._layout.run / "containerd-emptied"
        if emptied.exists():
            return
        if self._runtime.end_containers():
            self._supervisor.stop(containerd.name)
            self._supervisor.start(containerd)
            self._wait("containerd", self._runtime.not_ready, [containerd.name])
        emptied.touch()

    def _wait(self, what: str, check: Callable[[], str | None], expected: Sequence[str]) -> None:
        """Wait until `check` gives None, but not when one of the `expected` programs has ended."""

        def reason() -> str | None:
            if (missing := check()) is not None:
                self._supervisor.check(expected)
            return missing

        try:
            wait_for(f"{what} of cluster {self.name}", reason, _SECONDS)
        except ClusterError as error:
            raise ClusterError(f"{error}\n{_AFRESH.format(log=self._layout.log)}") from error

    def _clear(self) -> None:
        """Undo everything but what `_KEPT` names. In this order, or something is left or waits for what is gone."""
        self._claim_name()
        self._supervisor.stop("kubelet")  # or it would start again what is ended now
        self._runtime.end_containers()
        for name in ("coredns", "proxy", "scheduler", "controller-manager", "containerd"):
            self._supervisor.stop(name)
        # An API server that lost its etcd hangs for a minute: first the one, then the other.
        for name in ("apiserver", "etcd"):
            self._supervisor.stop(name)
        self._cgroup.kill()
        self._namespaces.destroy()
        self._cgroup.remove()
        if self._layout.run.exists():
            shutil.rmtree(self._layout.run)
        for entry in self._layout.state.iterdir():
            if entry.name not in _KEPT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # -- parts

    def _programs(self, link: Link) -> list[programs.Program]:
        layout = self._layout
        return [programs.containerd(layout), *programs.control_plane(layout, link), *programs.node(layout, link)]

    def _slot(self) -> Link | None:
        return Link(int(self._layout.slot.read_text())) if self._layout.slot.is_file() else None

    def _link(self) -> Link:
        link = self._slot()
        if link is None or not self._namespaces.exist():
            raise ClusterError(f"cluster {self.name} is not up: `python -m e2e.cluster up`")
        go_around([link.node, at.POD_CIDR, at.SERVICE_CIDR])
        return link

    def _api(self, link: Link) -> Api:
        return Api(link.node, at.API_PORT, self._layout.pki)

    @staticmethod
    def _node_not_ready(api: Api) -> str | None:
        path = f"/api/v1/nodes/{at.NODE}"
        if (missing := api.missing(path)) is not None:
            return missing
        for condition in api.get(path)["status"].get("conditions", []):
            if condition["type"] == "Ready":
                return None if condition["status"] == "True" else str(condition["message"])
        return "the kubelet has not reported yet"

    @contextmanager
    def _locked(self, path: Path | None = None) -> Iterator[None]:
        """One command at a time. The lock of a killed one is free at once."""
        with locked(path or self._layout.state / "lock"):
            yield
