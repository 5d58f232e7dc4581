"""Start and end the programs of a local cluster, detached, each in a cgroup of its own.

Whether a program runs is whether its cgroup holds a process; see cgroup.py. Knows nothing of what the programs do.
"""

import hashlib
import signal
import subprocess
import time
from pathlib import Path

from e2e.cluster.cgroup import Cgroup
from e2e.cluster.files import write
from e2e.cluster.interface import ClusterError
from e2e.cluster.namespaces import Namespaces
from e2e.cluster.programs import Program

_TERM_SECONDS = 5.0
# Nothing of the caller's: a proxy named in it would stand between the programs and their own API server.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
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
        print_of = self._fingerprint(program)
        started = self._run / f"{program.name}.started"
        if self.running(program.name):
            if started.is_file() and started.read_text() == print_of:
                return False
            self.stop(program.name)
        cgroup = self._of(program.name)
        cgroup.create()
        argv = self._namespaces.enter(program.argv)
        # "setsid --fork": the command that runs us is not its parent and may end, or live on, as it likes.
        join = ["sh", "-euc", _JOIN, "join", *map(str, cgroup.files()), "--", "setsid", "--fork", *argv]
        with (self._log / f"{program.name}.log").open("ab") as log:
            subprocess.run(
                join, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_ENVIRONMENT
            )
        write(started, print_of)
        return True

    def running(self, name: str) -> bool:
        """Whether the program has a process."""
        return bool(self._of(name).processes())

    def stop(self, name: str, grace: float = _TERM_SECONDS) -> None:
        """End a program, gently for `grace` seconds, then at once."""
        cgroup = self._of(name)
        cgroup.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while cgroup.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        cgroup.kill()

    def check(self, *programs: str) -> None:
        """Complain about a program that is gone.

        Raises:
            ClusterError: with the end of its log.
        """
        for name in programs:
            if not self.running(name):
                log = self._log / f"{name}.log"
                end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise ClusterError(f"{name} ended right after its start; the end of {log}:\n{end}")

    def _of(self, name: str) -> Cgroup:
        return self._cgroup.child("programs").child(name)

    @staticmethod
    def _fingerprint(program: Program) -> str:
        digest = hashlib.sha256("\0".join(program.argv).encode())
        for file in program.reads:
            digest.update(file.read_bytes())
        return digest.hexdigest()
