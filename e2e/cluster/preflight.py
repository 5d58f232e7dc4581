"""Whether this machine can carry a local cluster, found out by trying, before anything is built or started."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from e2e import apt
from e2e.cluster.cgroup import Cgroup
from e2e.cluster.cgroup import hierarchies
from e2e.cluster.interface import ClusterError
from e2e.cluster.programs import cni_plugins
from e2e.cluster.progress import say
from e2e.cluster.services import allow_services
from e2e.cluster.services import no_services

# Debian's package of each program; on other systems the names are close to these.
_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setsid": "util-linux",
    "mount": "mount",
}
_OTHER_WAYS = (
    "Two other ways to a cluster: SERIN_CLUSTER=kind where kind and Docker are, or SERIN_CLUSTER=/path/to/kubeconfig "
    "for a cluster that is there already."
)
# The longest path that a socket can have (unix(7): 108 bytes with its end), and the longest of the kubelet's.
_SOCKET_LENGTH = 107
_LONGEST_SOCKET = "/kubelet/pod-resources/0123456789"


def preflight(state: Path) -> None:
    """Install what is missing and try what is needed.

    Args:
        state: where the cluster's files will be; on its file system overlays must work.

    Raises:
        ClusterError: it cannot be done here; with everything that is missing and the other ways.
    """
    if os.geteuid() != 0:
        raise ClusterError(f"a local cluster makes namespaces, mounts and cgroups: run it as root. {_OTHER_WAYS}")
    allow_services()
    _install_missing()
    problems = [*_too_long(state), *_try_namespaces(state), *_try_cgroups()]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ClusterError(f"this machine cannot carry a local cluster:\n{listed}\n{_OTHER_WAYS}")


def _install_missing() -> None:
    missing = sorted({package for program, package in _PACKAGES.items() if shutil.which(program) is None})
    if cni_plugins() is None:
        missing.append("containernetworking-plugins")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            f"missing programs; on Debian their packages are {', '.join(missing)}: install them. {_OTHER_WAYS}"
        )
    say(f"installing {', '.join(missing)}")
    with no_services() as held:
        for command in apt.commands(missing):
            done = subprocess.run(
                command, env=apt.environment(), check=False, capture_output=True, text=True, pass_fds=held
            )
            if done.returncode != 0:
                raise ClusterError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}\n{_OTHER_WAYS}")


def _too_long(state: Path) -> list[str]:
    longest = _SOCKET_LENGTH - len(_LONGEST_SOCKET)
    length = len(os.fsencode(state))
    if length <= longest:
        return []
    return [
        f"{state} has {length} bytes and may have {longest}, or the kubelet's sockets in it would have no name: set "
        "XDG_STATE_HOME to a shorter one"
    ]


def _try_namespaces(state: Path) -> list[str]:
    state.mkdir(parents=True, exist_ok=True)
    problems = []
    with tempfile.TemporaryDirectory(dir=state, prefix=".preflight-") as folder:
        script = "\n".join(
            f"({command}) >said 2>&1 || echo {shlex.quote(f'cannot {what}:')} $(tail -n1 said)"
            for what, command in _trials(state)
        )
        # Mounts and interfaces of the trial go with its namespaces.
        argv = ["unshare", "--net", "--mount", "--propagation=private", "sh", "-uc", script]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=folder)
        if done.returncode != 0:
            problems.append(f"cannot make a network and a mount namespace: {done.stderr.strip()}")
        problems += done.stdout.splitlines()
    return problems


def _trials(state: Path) -> list[tuple[str, str]]:
    """What a cluster does all the time, each with a command that does it in an empty folder below `state`."""
    overlay = "mkdir l u w m && mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m"
    return [
        ("bring up an interface in a network namespace of its own", "ip link set lo up"),
        ("make a veth pair", "ip link add serin-try0 type veth peer name serin-try1"),
        ("use nftables", "nft add table ip serin-try"),
        ("use iptables, as the CNI plugins do", "iptables -t nat -L -n"),
        ("change the network's settings", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
        (f"mount an overlay in {state}", overlay),
        ("mount a tmpfs", "mount -t tmpfs tmpfs l"),
    ]


def _try_cgroups() -> list[str]:
    trial = Cgroup(f"serin-preflight-{os.getpid()}")
    try:
        trial.create()
        trial.remove()
    except (OSError, ClusterError) as error:
        return [f"cannot make cgroups: {error}"]
    controllers = {name for mount in hierarchies() for name in _controllers(mount)}
    absent = {"cpu", "cpuset", "memory", "pids"} - controllers
    return [f"no cgroup controller {name}" for name in sorted(absent)]


def _controllers(mount: Path) -> list[str]:
    file = mount / "cgroup.controllers"
    return file.read_text().split() if file.exists() else mount.name.split(",")
