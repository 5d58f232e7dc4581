"""What a machine shows of clusters: to be compared before and after."""

import re
import subprocess
from pathlib import Path
from typing import Any

from e2e.cluster.cgroup import hierarchies


def snapshot(name: str) -> dict[str, Any]:
    """Everything that bringing up the local cluster `name` could leave behind.

    What belongs to other local clusters is left out: they come and go as they like.
    """
    foreign = re.compile("|".join([r"\bnothing-foreign\b", *_marks_of_others(name)]))

    def own(text: str) -> list[str]:
        return sorted(line for line in text.splitlines() if not foreign.search(line))

    return {
        "mounts": own(Path("/proc/self/mounts").read_text()),
        "links": own(_run("ip", "-brief", "link")),
        "addresses": own(_run("ip", "-brief", "-4", "addr")),
        "routes": own(_run("ip", "-4", "route", "show", "table", "all")),
        "network namespaces": own(_run("ip", "netns")),
        "firewall": own(_run("nft", "list", "ruleset")),
        "settings": {file: Path("/proc/sys", file).read_text() for file in _SETTINGS},
        "cgroups": own("\n".join(str(path) for mount in hierarchies() for path in mount.glob("serin*"))),
        "run": own("\n".join(str(path) for path in Path("/run").glob("serin*"))),
        "processes": _processes_of(name),
        "keepers": _keepers_of(name),
    }


def _marks_of_others(name: str) -> list[str]:
    marks = []
    for claim in Path("/run").glob("serin-*/state"):
        if claim.parent.name != f"serin-{name}":
            marks.append(rf"\b{claim.parent.name}\b")
            slot = Path(claim.read_text(), "slot")
            if slot.is_file():
                marks.append(rf"\bserin{slot.read_text()}\b")
    return marks


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
