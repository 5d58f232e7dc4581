"""A Kubernetes from source in a network namespace of its own: no Docker, no downloaded binary, no address in use.

`up` is one straight line of steps of which each looks at what is there and does what is missing, so it works as well
from nothing as over a run that was killed half-way or a cluster of which programs died. What outlived a reboot is not
continued: etcd runs without fsync.
"""

import fcntl
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from e2e import tools
from e2e.cluster import layout as at
from e2e.cluster import programs
from e2e.cluster.api import Api
from e2e.cluster.api import ApiError
from e2e.cluster.cgroup import Cgroup
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
from e2e.cluster.runtime import Runtime
from e2e.cluster.supervise import Supervisor

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Survive `down`: images, and the logs for whoever wants to know.
_KEPT = ("containerd", "log", "lock")
_CONTROL_PLANE_SECONDS = 60.0
_NODE_SECONDS = 90.0


class LocalCluster:
    """One local cluster; several with different names can run side by side."""

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self._layout = Layout(name)
        self._cgroup = Cgroup(self._layout.cgroup)
        self._namespaces = Namespaces(self._layout)
        self._supervisor = Supervisor(self._cgroup, self._namespaces, self._layout.run, self._layout.log)

    def up(self) -> None:
        """Bring it up, or back up, until its node is Ready."""
        start = time.monotonic()
        preflight(self._layout.state)
        for tool in ("kubernetes", "etcd", "coredns", "pause"):
            tools.build(tool)
        with self._locked():
            link = self._foundation()
            self._write_files(link)
            started = self._start(link)
        if started:
            say(f"{self.name}: node Ready after {time.monotonic() - start:.0f} s (started {', '.join(started)})")
        else:
            say(f"{self.name}: up already")

    def down(self, *, purge: bool = False) -> None:
        """Take it away: processes, mounts, namespaces, interface, firewall rules, cgroups, state.

        Args:
            purge: the imported images and the logs, too.
        """
        if not self._layout.state.exists():
            return
        with self._locked():
            self._clear()
        if purge:
            shutil.rmtree(self._layout.state)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; works from the machine and from inside."""
        if not self._layout.kubeconfig.exists():
            raise ClusterError(f"cluster {self.name} is not up: `python -m e2e.cluster up`")
        return self._layout.kubeconfig

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive into containerd."""
        self._runtime.load(archive)

    def gateway(self) -> str:
        """The node's address: Envoy listens on a port of the node."""
        return f"{self._link().node}:{at.GATEWAY_PORT}"

    def status(self) -> str:
        """Each program, and whether the node is Ready."""
        if not self._namespaces.exist():
            return f"{self.name}: down"
        link = self._link()
        expected = [program.name for program in self._programs(link)]
        lines = [f"{name}: {'running' if self._supervisor.running(name) else 'not running'}" for name in expected]
        return "\n".join([f"{self.name}: node {self._node_not_ready(self._api(link)) or 'Ready'}", *lines])

    def command(self, argv: list[str]) -> list[str]:
        """`argv` in the cluster's network, where pods and Services can be reached."""
        if not self._namespaces.exist():
            raise ClusterError(f"cluster {self.name} is not up: `python -m e2e.cluster up`")
        return self._namespaces.enter_network(argv)

    # -- steps of up

    def _foundation(self) -> Link:
        """Namespaces and the link to them; from scratch after a reboot or a half-done set-up."""
        boot = self._layout.state / "boot-id"
        this_boot = _BOOT_ID.read_text()
        if boot.exists() and boot.read_text() == this_boot and self._namespaces.exist():
            return self._link()
        self._clear()
        self._layout.run.mkdir()
        self._layout.state.joinpath("slot").unlink(missing_ok=True)
        with self._locked(at.state_home() / "slots.lock"):
            slots = {int(file.read_text()) for file in at.state_home().glob("*/slot")}
            link = free_link(slots)
            write(self._layout.state / "slot", str(link.slot))
        write(boot, this_boot)
        self._namespaces.create(link)
        return link

    def _write_files(self, link: Link) -> None:
        layout = self._layout
        write_pki(layout.pki, at.NODE, ["127.0.0.1", at.SERVICE_FIRST, link.node])
        layout.log.mkdir(exist_ok=True)
        (layout.config / "cni").mkdir(parents=True, exist_ok=True)
        for file, content in programs.configuration(layout, link).items():
            write(file, content)
        server = f"https://{link.node}:{at.API_PORT}"
        for client in ("controller-manager", "scheduler", "kubelet", "proxy", "coredns"):
            write_kubeconfig(layout.config / f"{client}.kubeconfig", server, layout.pki, client)
        write_kubeconfig(layout.kubeconfig, server, layout.pki, "admin", f"serin-{self.name}")

    def _start(self, link: Link) -> list[str]:
        """Start what does not run and wait until the node is Ready. Gives the names of what was started."""
        api = self._api(link)
        start = self._supervisor.start
        started = [p.name for p in (programs.containerd(self._layout), *self._control_plane(link)) if start(p)]
        self._runtime.wait()
        self._runtime.provide_pause_image()
        wait_for("the API server", api.ready, _CONTROL_PLANE_SECONDS)
        started += [program.name for program in programs.node(self._layout, link) if start(program)]
        self._offer_dns(api, link)
        wait_for("the node", lambda: self._node_not_ready(api), _NODE_SECONDS)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        wait_for("the default service account", lambda: api.missing(account), _CONTROL_PLANE_SECONDS)
        self._supervisor.check(*(program.name for program in self._programs(link)))
        return started

    def _clear(self) -> None:
        """Undo everything but what `_KEPT` names. In this order, or something is left or waits for what is gone."""
        self._supervisor.stop("kubelet")  # or it would start again what is ended now
        self._runtime.forget_containers()
        for name in ("coredns", "proxy", "scheduler", "controller-manager", "containerd"):
            self._supervisor.stop(name)
        # An API server that lost its etcd hangs for a minute: first the one, then the other.
        for name in ("apiserver", "etcd"):
            self._supervisor.stop(name)
        self._cgroup.kill()
        self._namespaces.destroy(self._link())
        self._cgroup.remove()
        shutil.rmtree(self._layout.run, ignore_errors=True)
        for entry in self._layout.state.iterdir():
            if entry.name not in _KEPT:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # -- parts

    @cached_property
    def _runtime(self) -> Runtime:
        return Runtime(self._layout, self._supervisor, self._cgroup)

    def _programs(self, link: Link) -> list[programs.Program]:
        return [programs.containerd(self._layout), *self._control_plane(link), *programs.node(self._layout, link)]

    def _control_plane(self, link: Link) -> Iterator[programs.Program]:
        return programs.control_plane(self._layout, link)

    def _link(self) -> Link:
        slot = self._layout.state / "slot"
        return Link(int(slot.read_text()) if slot.is_file() and slot.read_text() else 0)

    def _api(self, link: Link) -> Api:
        return Api(link.node, at.API_PORT, self._layout.pki)

    @staticmethod
    def _node_not_ready(api: Api) -> str | None:
        try:
            node = api.get(f"/api/v1/nodes/{at.NODE}")
        except (OSError, ApiError) as error:
            return str(error)
        for condition in node["status"].get("conditions", []):
            if condition["type"] == "Ready":
                return None if condition["status"] == "True" else str(condition["message"])
        return "the kubelet has not reported yet"

    @staticmethod
    def _offer_dns(api: Api, link: Link) -> None:
        """The Service of the cluster's DNS, which leads to CoreDNS on the node."""
        ports = [{"name": p.lower(), "port": 53, "protocol": p} for p in ("UDP", "TCP")]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": at.DNS_ADDRESS, "ports": ports},
        }
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [link.node]}],
            "ports": ports,
        }
        api.apply("/api/v1/namespaces/kube-system/services/kube-dns", service)
        slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
        api.apply(f"{slices}/kube-dns", endpoints)

    @contextmanager
    def _locked(self, path: Path | None = None) -> Iterator[None]:
        """One command at a time. The lock of a killed one is free at once."""
        file = path or self._layout.state / "lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
