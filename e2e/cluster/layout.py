"""Where a local cluster keeps things, and the addresses it has. Names: nothing here reads or writes a file."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.interface import ClusterError

POD_CIDR = "10.244.0.0/16"
NODE_POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_FIRST = "10.96.0.1"
DNS_ADDRESS = "10.96.0.10"
DNS_READY_PORT = 8181
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
DOMAIN = "cluster.local"
NODE = "node0"
API_PORT = 6443
GATEWAY_PORT = 8080


def state_home() -> Path:
    """The folder with the state folders of all local clusters."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "serin"


@dataclass(frozen=True)
class Layout:
    """The files of one local cluster."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.name):
            raise ClusterError(
                f"{self.name!r} cannot be the name of a local cluster: it becomes part of paths and cgroups, so use "
                "up to 20 lower-case letters, digits and dashes, starting with a letter"
            )

    @property
    def state(self) -> Path:
        """What outlives a reboot."""
        return state_home() / self.name

    @property
    def run(self) -> Path:
        """Sockets and namespaces. Short: a socket's path may have 107 bytes."""
        return Path(f"/run/serin-{self.name}")

    @property
    def claim(self) -> Path:
        """In the run folder, the state folder of the cluster that has the name."""
        return self.run / "state"

    @property
    def cgroup(self) -> str:
        """The cgroup that holds every process."""
        return f"serin-{self.name}"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files of the programs."""
        return self.state / "config"

    @property
    def log(self) -> Path:
        """One log a program, the audit log, the pods' logs."""
        return self.state / "log"

    @property
    def images(self) -> Path:
        """containerd's root: survives `down`, so that nothing is imported twice."""
        return self.state / "containerd"

    @property
    def slot(self) -> Path:
        """The number of the link that this cluster has taken."""
        return self.state / "slot"

    @property
    def audit_log(self) -> Path:
        """Of the API server; goes with the cluster, unlike the other logs."""
        return self.state / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        """Of our own containerd, never the machine's."""
        return self.run / "containerd.sock"


@dataclass(frozen=True)
class Link:
    """The veth pair between the machine and a cluster: a /30 of 198.18.0.0/15, the range for benchmarks (RFC 2544)."""

    slot: int

    @property
    def interface(self) -> str:
        """The machine's end."""
        return f"serin{self.slot}"

    def exists(self) -> bool:
        """Whether the machine has that interface."""
        return Path(f"/sys/class/net/{self.interface}").exists()

    @property
    def machine(self) -> str:
        """The machine's address."""
        return f"198.18.{self.slot // 64}.{self.slot % 64 * 4 + 1}"

    @property
    def node(self) -> str:
        """The node's address."""
        return f"198.18.{self.slot // 64}.{self.slot % 64 * 4 + 2}"
