"""The operator as a child process, and what it says in its own metrics."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.objects import GATEWAY
from bench.process import Process
from e2e.cluster.ports import free_ports
from e2e.environment import interpreter

# Only a hang may reach it: ten thousand objects are read first.
READY_SECONDS = 600.0
POLL_SECONDS = 0.05
# The metrics of ten thousand objects are megabytes: making them must not be most of what is measured.
POLL_SHARE = 0.2


class Operator:
    """The operator with its default settings, as its image would run it."""

    def __init__(self, kubeconfig: Path, folder: Path, **settings: str) -> None:
        [self._port] = free_ports(1)
        self._log = folder / "operator.log"
        self._environment = {
            "SERIN_KUBECONFIG": str(kubeconfig),
            "SERIN_HTTP_HOST": "127.0.0.1",
            "SERIN_HTTP_PORT": str(self._port),
            "SERIN_GATEWAYS": json.dumps([GATEWAY]),
            **{f"SERIN_{name.upper()}": value for name, value in settings.items()},
        }
        self.start()

    def start(self) -> None:
        """Start the process, the first or a new one."""
        # What else the development environment has, such as numpy, MLflow would load.
        self.process = Process("serin", [], self._log, self._environment, interpreter("runtime"))

    async def ready(self) -> None:
        """Wait until it calls itself ready."""
        deadline = time.monotonic() + READY_SECONDS
        while await self._get("/readyz") is None:
            self.process.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the operator is not ready within {READY_SECONDS:.0f} s, see {self._log}")
            await asyncio.sleep(POLL_SECONDS)

    async def looked_at(self, count: int) -> int:
        """Wait until it has looked at each of so many objects and has nothing more to do; how often it looked."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            asked = time.monotonic()
            samples = await self._samples()
            took = time.monotonic() - asked
            # Each object has one phase, from the first time that it was decided upon.
            known = samples.get("serin_modeldeployment_phase", 0.0)
            idle = not samples.get("workqueue_depth") and not samples.get("controller_runtime_active_workers")
            if idle and known >= count:
                return int(samples.get("controller_runtime_reconcile_total", 0.0))
            self.process.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the operator looked at {known:.0f} objects of {count}: {samples}")
            await asyncio.sleep(max(POLL_SECONDS, took / POLL_SHARE))

    async def _samples(self) -> dict[str, float]:
        """Values of all metrics that are numbers, summed over their labels."""
        text = await self._get("/metrics")
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text or ""):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    async def _get(self, path: str) -> str | None:
        """The answer; None while there is none or it is a refusal."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self._port}{path}") as answer,
            ):
                return await answer.text() if answer.status == 200 else None
        except aiohttp.ClientConnectionError:
            return None
