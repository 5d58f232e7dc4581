"""Child processes and what the kernel says of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
STOP_SECONDS = 10.0


class Process:
    """One Python program, by the interpreter that runs the benchmark where no other is named."""

    def __init__(
        self,
        module: str,
        arguments: list[str],
        log: Path,
        environment: Mapping[str, str],
        python: Path | str = sys.executable,
    ) -> None:
        self.log = log
        self._module = module
        self._stopped = False
        path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", str(python), "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": path, **environment},
            )

    def check(self) -> None:
        """Raise where it ended by itself, with the end of its log."""
        if not self._stopped and self._popen.poll() is not None:
            end = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"{self._module} ended with code {self._popen.returncode}:\n{end}")

    def stop(self) -> None:
        """End it as Kubernetes does."""
        self._stopped = True
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def resident_mebibytes(self) -> float:
        """Resident memory (VmRSS)."""
        status = Path(f"/proc/{self._popen.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Processor time so far, in user and system mode."""
        # The second field is the command's name in parentheses and may hold spaces.
        fields = Path(f"/proc/{self._popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
