"""The operator as a process of its own, so that killing it is real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from e2e.cluster.ports import free_ports
from tests.integration.waiting import eventually

ROOT = Path(__file__).parents[2]
NAMESPACE = "serin-system"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

Labels = frozenset[tuple[str, str]]


class Operator:
    """``python -m serin`` with a kubeconfig and settings; may be killed and started again."""

    def __init__(self, kubeconfig: Path, folder: Path, **settings: str) -> None:
        self.port = free_ports(1)[0]
        self.log = folder / "operator.log"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "operator"),
            "SERIN_KUBECONFIG": str(kubeconfig),
            "SERIN_NAMESPACE": NAMESPACE,
            "SERIN_HTTP_HOST": "127.0.0.1",
            "SERIN_HTTP_PORT": str(self.port),
            **{f"SERIN_{name.upper()}": value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._http = urllib3.PoolManager(timeout=5.0, retries=False)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, **settings: str) -> None:
        """Start it and wait until its watches run. ``settings`` count for this start only."""
        extra = {f"SERIN_{name.upper()}": value for name, value in settings.items()}
        # Killed by the kernel when the test run is.
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "serin"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment | extra, cwd="/"
            )
        eventually(self._ready, "the operator is ready", START_SECONDS)

    def kill(self) -> None:
        """SIGKILL: it writes nothing more."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as Kubernetes does; gives the exit code."""
        return self._end(signal.SIGTERM)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of its own HTTP server's answer."""
        answer = self._http.request("GET", f"http://127.0.0.1:{self.port}{path}")
        return answer.status, answer.data.decode()

    def metrics(self) -> dict[str, dict[Labels, float]]:
        """All samples, by name and labels."""
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return samples

    def metric(self, name: str, /, **labels: Any) -> float:
        """The sum over all samples of that name with these labels; 0 where there is none."""
        wanted = set(labels.items())
        return sum(value for key, value in self.metrics().get(name, {}).items() if wanted <= key)

    def last_words(self) -> str:
        """The end of its log; "" where there is none: it never started, or another run of pytest cleared it away."""
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    def _ready(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the operator ended; the end of its log:\n{self.last_words()}")
        try:
            return self.get("/readyz")[0] == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _end(self, by: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(by)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
