"""Processes that die with this one, however it dies: for control planes that belong to a test run.

The kernel kills them (PR_SET_PDEATHSIG, set by `setpriv`), so even a test run that is killed leaves none behind.
"""

import shutil
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.cluster.interface import ClusterError

_TERM_SECONDS = 5.0
# "Parent death" means the death of the thread that forked: so one thread forks them all, and it lives to the end.
_FORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="leash")


class Leash:
    """A set of processes with one log each."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, argv: list[str], environment: Mapping[str, str]) -> None:
        """Start a process under a name of its own, with exactly this environment."""
        if shutil.which("setpriv") is None:
            raise ClusterError("`setpriv` is not on PATH: install util-linux, of which it is a part")
        command = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
        with self._log_of(name).open("ab") as log:
            self._processes[name] = _FORKER.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                cwd="/",
                # Ctrl-C in the terminal is for the test run, which then ends these in their order.
                start_new_session=True,
            ).result()

    def pid(self, name: str) -> int:
        """The process id of a process that was started."""
        return self._processes[name].pid

    def pids(self) -> list[int]:
        """The process ids of all, in the order of their start."""
        return [process.pid for process in self._processes.values()]

    def running(self, name: str) -> bool:
        """Whether a process that was started is still there."""
        return self._processes[name].poll() is None

    def check(self) -> None:
        """Complain about a process that ended by itself.

        Raises:
            ClusterError: with the end of its log.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = self._log_of(name)
                end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise ClusterError(f"{name} ended with code {process.returncode}; the end of {log}:\n{end}")

    def end(self, name: str) -> None:
        """End one that was started, gently for a few seconds; it is not missed afterwards."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_TERM_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End all, the last started first."""
        for name in reversed(list(self._processes)):
            self.end(name)

    def _log_of(self, name: str) -> Path:
        return self._log / f"{name}.log"
