"""Start and end the programs of a local cluster, detached, each in a cgroup of its own.

Whether a program runs is whether its cgroup holds a process of its binary; see cgroup.py. Children of a program that
outlive it (containerd's shims) stay in its cgroup and are not ended with it. Knows nothing of what the programs do.
"""

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from e2e.cluster.cgroup import Cgroup
from e2e.cluster.files import write
from e2e.cluster.interface import ClusterError
from e2e.cluster.namespaces import Namespaces
from e2e.cluster.programs import GO
from e2e.cluster.programs import Program
from e2e.cluster.progress import wait_for

_TERM_SECONDS = 5.0
_KILL_SECONDS = 30.0
_TAIL_LINES = 10
_TAIL_WIDTH = 400
_UMASK = 0o022
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Nothing of the caller's: a proxy named in it would stand between the programs and their own API server.
_ENVIRONMENT = {"PATH": _PATH, "HOME": "/root", **GO}
# Enters the cgroup before it becomes the program, so that not even its first child can be outside.
_JOIN = 'until [ "$1" = -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'


class Supervisor:
    """The programs of one cluster."""

    def __init__(self, cgroup: Cgroup, namespaces: Namespaces, run: Path, log: Path) -> None:
        self._cgroup = cgroup
        self._namespaces = namespaces
        self._run = run
        self._log = log

    def start(self, program: Program) -> bool:
        """Have `program` running as described; False when it was already."""
        found = shutil.which(program.argv[0], path=_PATH)
        if found is None:
            raise ClusterError(f"{program.argv[0]} is not in {_PATH}: install it or make a link to it there")
        binary = str(Path(found).resolve())
        description = f"{binary}\n{_fingerprint(program)}"
        if self.running(program.name):
            if self._started(program.name).read_text() == description:
                return False
            self.stop(program.name)
        # Before the start, so that a run that is killed in between leaves no process that nobody knows.
        write(self._started(program.name), description)
        cgroup = self._of(program.name)
        cgroup.create()
        argv = self._namespaces.enter([binary, *program.argv[1:]])
        # "setsid --fork": the command that runs us is not its parent and may end, or live on, as it likes.
        join = ["sh", "-euc", _JOIN, "join", *map(str, cgroup.files()), "--", "setsid", "--fork", *argv]
        with (self._log / f"{program.name}.log").open("ab") as log:
            subprocess.run(
                join,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_ENVIRONMENT,
                # Not the caller's: what containerd and the kubelet make for pods is read by other users.
                umask=_UMASK,
            )
        # `nsenter` is not the program yet; it is in a moment, or its log says why not.
        wait_for(program.name, lambda: self._missing(program.name), _TERM_SECONDS, every=0.01)
        return True

    def running(self, name: str) -> bool:
        """Whether the program has a process."""
        return bool(self._processes(name))

    def check(self, names: Sequence[str]) -> None:
        """Complain about programs that do not run.

        Raises:
            ClusterError: with the end of the log of the first.
        """
        for name in names:
            if (reason := self._missing(name)) is not None:
                raise ClusterError(reason)

    def stop(self, name: str) -> None:
        """End a program, gently at first."""
        with suppress(ClusterError):
            self._signal(name, signal.SIGTERM, _TERM_SECONDS)
        self._signal(name, signal.SIGKILL, _KILL_SECONDS)

    def _missing(self, name: str) -> str | None:
        if self.running(name):
            return None
        log = self._log / f"{name}.log"
        end = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log.is_file() else []
        return "\n".join([f"{name} does not run; the end of {log}:", *(line[:_TAIL_WIDTH] for line in end)])

    def _signal(self, name: str, number: signal.Signals, seconds: float) -> None:
        for pid in self._processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

        def alive() -> str | None:
            pids = self._processes(name)
            return f"{number.name} does not end {sorted(pids)}" if pids else None

        wait_for(f"the end of {name}", alive, seconds, every=0.02)

    def _processes(self, name: str) -> set[int]:
        started = self._started(name)
        if not started.is_file():
            return set()
        binary = started.read_text().splitlines()[0]
        return {pid for pid in self._of(name).processes() if _executable(pid) == binary}

    def _of(self, name: str) -> Cgroup:
        return self._cgroup.child("programs").child(name)

    def _started(self, name: str) -> Path:
        """The binary of a program and a fingerprint of how it was started."""
        return self._run / f"{name}.started"


def _executable(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return None


def _fingerprint(program: Program) -> str:
    digest = hashlib.sha256("\0".join(program.argv).encode())
    for file in program.reads:
        digest.update(file.read_bytes())
    return digest.hexdigest()
