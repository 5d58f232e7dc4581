"""A cgroup of ours in every hierarchy of the machine (v1, v2 or both).

It is how a running cluster knows its processes: what is in the cgroup is ours, whatever it is called, whoever started
it and whatever became of its parent. There are no pid files, so none can go stale and no recycled pid can be killed.
"""

import functools
import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

from e2e.cluster.interface import ClusterError
from e2e.cluster.progress import wait_for

# The kubelet refuses a cgroup that lacks one of these which the machine has.
_V2_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
_DEATH_SECONDS = 30.0


@functools.cache
def hierarchies() -> tuple[Path, ...]:
    """Where cgroup hierarchies are mounted whole."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        kind = fields[fields.index("-") + 1]
        if kind in ("cgroup", "cgroup2") and fields[3] == "/":
            found.append(Path(fields[4]))
    if not found:
        raise ClusterError("no cgroup hierarchy is mounted: mount one at /sys/fs/cgroup")
    return tuple(dict.fromkeys(found))


class Cgroup:
    """A path below the root of every hierarchy, like "serin-local/programs/kubelet"."""

    def __init__(self, path: str) -> None:
        self.path = path

    def child(self, name: str) -> "Cgroup":
        """The cgroup `name` in this one."""
        return Cgroup(f"{self.path}/{name}")

    def create(self) -> None:
        """Make it, and its parents, fit to hold processes or further cgroups."""
        for mount in hierarchies():
            folder = mount
            for part in Path(self.path).parts:
                _hand_down(folder)
                parent, folder = folder, folder / part
                folder.mkdir(exist_ok=True)
                # v1 gives a new cpuset neither processors nor memory, and then it takes no process.
                for setting in ("cpuset.cpus", "cpuset.mems"):
                    if (folder / setting).exists() and not (mount / "cgroup.controllers").exists():
                        (folder / setting).write_text((parent / setting).read_text())

    def exists(self) -> bool:
        """Whether it is in any hierarchy."""
        return any((mount / self.path).is_dir() for mount in hierarchies())

    def files(self) -> list[Path]:
        """What a process writes its pid into to move here."""
        return [mount / self.path / "cgroup.procs" for mount in hierarchies()]

    def processes(self) -> set[int]:
        """All processes in it and below, zombies not counted: they are gone but for their parent's interest."""
        pids: set[int] = set()
        for mount in hierarchies():
            for folder in _tree(mount / self.path):
                with suppress(OSError):  # the cgroup went while we looked: ENOENT or ENODEV
                    pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        return {pid for pid in pids if pid and not _is_zombie(pid)}

    def signal(self, number: int) -> None:
        """Send a signal to every process in it and below."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End every process in it and below, however quickly new ones are made."""

        def survivors() -> str | None:
            self.signal(signal.SIGKILL)
            alive = self.processes()
            return f"processes {sorted(alive)} do not die" if alive else None

        wait_for(f"killing what is in cgroup {self.path}", survivors, _DEATH_SECONDS, every=0.02)

    def remove(self) -> None:
        """Take it away, with everything below; it must be empty of processes."""
        for mount in hierarchies():
            for folder in reversed(_tree(mount / self.path)):
                # A process just killed may hold its cgroup a moment longer.
                wait_for(f"removing cgroup {folder}", partial(_rmdir, folder), _DEATH_SECONDS, every=0.02)


def _tree(root: Path) -> list[Path]:
    """`root` and all below it, parents first; empty when there is none."""
    # Not Path.rglob: it fails when a folder goes away meanwhile, and containerd takes away its own.
    return [Path(folder) for folder, _, _ in os.walk(root)]


def _hand_down(folder: Path) -> None:
    """On v2, let the children of `folder` be limited by the controllers it has."""
    control = folder / "cgroup.subtree_control"
    if not control.exists():
        return
    available = (folder / "cgroup.controllers").read_text().split()
    missing = set(available) & set(_V2_CONTROLLERS) - set(control.read_text().split())
    for controller in sorted(missing):
        try:
            control.write_text(f"+{controller}")
        except OSError as error:
            raise ClusterError(
                f"cgroup controller {controller} cannot be handed down from {folder}: {error.strerror}; "
                "in a container, move its processes out of the root cgroup first"
            ) from error


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return True


def _rmdir(folder: Path) -> str | None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error)
    return None
