"""Operators as processes of their own, forked from one that has imported everything, and really killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Zygote:
    """The process that operators are forked from."""

    def __init__(self, log: Path) -> None:
        path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
        with log.open("ab") as output:
            # Killed by the kernel when this process is.
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.crashes.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
                text=True,
            )

    def fork(self, environment: Mapping[str, str], log: Path, mutant: str = "") -> Process:
        """Start an operator. ``mutant``: ``module:function`` that spoils it first."""
        orders, answers = self._popen.stdin, self._popen.stdout
        assert orders is not None
        assert answers is not None
        orders.write(json.dumps({"environment": dict(environment), "log": str(log), "mutant": mutant}) + "\n")
        orders.flush()
        answer = answers.readline()
        if not answer:
            raise RuntimeError("the process that operators are forked from has ended")
        return Process(int(answer))

    def stop(self) -> None:
        """End it, and with it every operator that still runs."""
        self._popen.kill()
        self._popen.wait()


class Process:
    """One operator."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None
            self.ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._handle, self._gone)

    def kill(self) -> None:
        """SIGKILL. ``ended`` is set once the kernel has done it."""
        if self._handle is not None:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _gone(self) -> None:
        if self._handle is not None:
            asyncio.get_running_loop().remove_reader(self._handle)
            os.close(self._handle)
            self._handle = None
        self.ended.set()
