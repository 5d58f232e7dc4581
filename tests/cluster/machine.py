"""What a machine shows of clusters: to be compared before and after."""

import subprocess
from pathlib import Path
from typing import Any

from e2e.cluster.cgroup import hierarchies


def snapshot(name: str) -> dict[str, Any]:
    """Everything that bringing up the local cluster `name` could leave behind."""
    return {
        "mounts": sorted(Path("/proc/self/mounts").read_text().splitlines()),
        "interfaces": _run("ip", "-brief", "link").split("\n"),
        "addresses": _run("ip", "-brief", "-4", "addr"),
        "routes": _run("ip", "route", "show", "table", "all"),
        "network namespaces": _run("ip", "netns"),
        "firewall": _run("nft", "list", "ruleset"),
        "settings": {file: Path("/proc/sys", file).read_text() for file in _SETTINGS},
        "cgroups": sorted(str(path) for mount in hierarchies() for path in mount.glob("serin*")),
        "run": sorted(str(path) for path in Path("/run").glob("serin*")),
        "processes": _processes_of(name),
        "keepers": _keepers_of(name),
    }


_SETTINGS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
)


def _processes_of(name: str) -> list[str]:
    """Living processes that show the cluster in their command line, environment or cgroup."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            cgroup = process.joinpath("cgroup").read_text()
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The commands of these tests name it, too.
        if f"serin-{name}" in cgroup or (f"/{name}/" in command and "e2e.cluster" not in command):
            found.append(f"{process.name} {command}")
    return found


def _keepers_of(name: str) -> list[str]:
    """Mount namespaces, of any process, in which the cluster's namespaces are still mounted."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"/run/serin-{name}/" in process.joinpath("mountinfo").read_text():
                found.add(str(process.joinpath("ns/mnt").readlink()))
        except (OSError, ProcessLookupError):
            continue
    return sorted(found)


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
