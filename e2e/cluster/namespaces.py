"""The network and mount namespace that hold a local cluster.

In the network namespace are the cluster's addresses, ports and firewall rules, in the mount namespace everything the
kubelet and containerd mount; both go with the namespaces, and the machine's own stay untouched. The namespaces are
kept by bind mounts in the run folder and not by a process, so nothing that dies takes them along.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

from e2e.cluster.interface import ClusterError
from e2e.cluster.layout import SERVICE_CIDR
from e2e.cluster.layout import Layout
from e2e.cluster.layout import Link

# Paths that the kubelet, libcni and containerd's shims have compiled in. Inside they lead into our own folders; outside
# they are empty ones, left where they are: to remove a folder takes away what is mounted there in all namespaces, also
# in that of the cluster next door.
_HARD_CODED = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/containers", "/run/containerd")

# The kubelet insists on these settings of the whole machine. Inside it sees them so, and does not touch the real ones.
# https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/cm/container_manager_linux.go (setupKernelTunables)
_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Namespaces:
    """The namespaces of one local cluster."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._mark = layout.cgroup
        self._folder = layout.run / "ns"
        self._net = self._folder / "net"
        self._mnt = self._folder / "mnt"

    def exist(self) -> bool:
        """Whether both are there and were set up to the end."""
        return self._is_set_up().is_file() and _is_mount(self._net) and _is_mount(self._mnt)

    def create(self, link: Link) -> None:
        """Make both, with `link` to the machine. There must be none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # A mount namespace can only be kept on a mount that does not propagate.
        run(["mount", "--bind", str(self._folder), str(self._folder)])
        run(["mount", "--make-private", str(self._folder)])
        for file in (self._net, self._mnt):
            file.touch()
        self._make_mount_points()
        # "slave": what the machine unmounts later goes here too, what is mounted here never shows outside.
        unshare = ["unshare", f"--net={self._net}", f"--mount={self._mnt}", "--propagation=slave"]
        run([*unshare, "sh", "-euc", self._inside()])
        self._connect(link)
        self._is_set_up().touch()

    def destroy(self) -> None:
        """Take away whatever there is of them, and the link to them. All processes in them must be gone."""
        # By its mark: what stands in a file may be the number of a link that another cluster has taken since.
        for interface in Path("/sys/class/net").glob("serin*"):
            if _mark_of(interface) == self._mark:
                run(["ip", "link", "del", interface.name])
        for target in (self._mnt, self._net, self._folder):
            while _is_mount(target):
                run(["umount", str(target)])

    def enter(self, argv: list[str]) -> list[str]:
        """`argv` as the cluster's own programs run: in both namespaces."""
        return ["nsenter", f"--net={self._net}", f"--mount={self._mnt}", *argv]

    def enter_network(self, argv: list[str]) -> list[str]:
        """`argv` in the network of the cluster with the files and the working directory of the machine."""
        # Not `ip netns exec`: it remounts /sys and hides the cgroups.
        return ["nsenter", f"--net={self._net}", *argv]

    def _is_set_up(self) -> Path:
        return self._folder / "set-up"

    def _make_mount_points(self) -> None:
        for folder in _HARD_CODED:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self._own(folder).mkdir(parents=True, exist_ok=True)
        for setting, value in _TUNABLES.items():
            file = self._layout.run / "sysctl" / setting
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{value}\n")

    def _own(self, folder: str) -> Path:
        base = self._layout.run if folder.startswith("/run") else self._layout.state
        return base / "hard-coded-paths" / folder.strip("/").replace("/", "-")

    def _inside(self) -> str:
        """The set-up that runs in the new namespaces."""
        # The copies of what keeps clusters' namespaces: they would outlive `down` here, and the namespaces with them.
        keepers = "awk '$5 ~ \"^/run/serin-[^/]*/ns$\" {print $5}' /proc/self/mountinfo"
        lines = [f"for keeper in $({keepers}); do umount --recursive $keeper; done"]
        lines += ["mount --make-rshared /"]  # containers with mountPropagation need a shared root
        lines += [f"mount --bind {shlex.quote(str(self._own(folder)))} {folder}" for folder in _HARD_CODED]
        shadow = self._layout.run / "sysctl"
        known = [setting for setting in _TUNABLES if Path("/proc/sys", setting).exists()]
        lines += [f"mount --bind {shadow / setting} /proc/sys/{setting}" for setting in known]
        lines += ["ip link set lo up", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        return "\n".join(lines)

    def _connect(self, link: Link) -> None:
        # From inside, with the other end in the namespace of this process: `ip` can name that one by its pid.
        pair = f"ip link add eth0 type veth peer name {link.interface} netns {os.getpid()}"
        inside = [
            pair,
            f"ip addr add {link.node}/30 dev eth0",
            "ip link set eth0 up",
            # Programs on the node reach Services by a route first, whatever it is: kube-proxy rewrites on output.
            f"ip route add {SERVICE_CIDR} via {link.machine}",
            # Nothing in the cluster talks to the world: it is told so at once and does not wait for a timeout.
            "ip route add unreachable default",
        ]
        run(self.enter_network(["sh", "-euc", "\n".join(inside)]))
        run(["ip", "link", "set", link.interface, "alias", self._mark])
        run(["ip", "addr", "add", f"{link.machine}/30", "dev", link.interface])
        run(["ip", "link", "set", link.interface, "up"])


def free_link(taken: set[int]) -> Link:
    """The first link whose interface and addresses are not there and whose slot nobody has claimed."""
    interfaces = json.loads(run(["ip", "-json", "-4", "addr", "show"]))
    present = {address.get("local") for interface in interfaces for address in interface.get("addr_info", ())}
    for slot in range(64 * 256):
        link = Link(slot)
        if slot not in taken and not link.exists() and present.isdisjoint({link.machine, link.node}):
            return link
    raise ClusterError("no free address range in 198.18.0.0/16: take down local clusters that are no longer used")


def run(argv: list[str]) -> str:
    """Run a command to its end and give its output.

    Raises:
        ClusterError: with what it said on stderr.
    """
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(argv)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _mark_of(interface: Path) -> str | None:
    try:
        return (interface / "ifalias").read_text().strip()
    except OSError:  # it went while we looked: ENOENT or ENODEV
        return None


def _is_mount(path: Path) -> bool:
    # Not os.path.ismount: it takes a file bound from another file system for none.
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return str(path) in mounts
