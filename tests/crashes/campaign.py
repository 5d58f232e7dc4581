"""All runs: which there are, several at a time, and what came of them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Coroutine
from dataclasses import dataclass
from dataclasses import field
from fnmatch import fnmatch
from typing import Any
from typing import TypeVar

from tests.crashes.faults import FAULTS
from tests.crashes.faults import Fault
from tests.crashes.house import House
from tests.crashes.run import Ending
from tests.crashes.run import Result
from tests.crashes.run import name_of
from tests.crashes.run import run
from tests.crashes.workloads import WORKLOADS

K = TypeVar("K")

CLEAN_RUNS = 2


@dataclass(frozen=True, slots=True)
class Planned:
    """One run to come."""

    workload: str
    fault: Fault
    number: int

    @property
    def name(self) -> str:
        """How it is asked for alone."""
        return name_of(self.workload, self.fault, self.number)


@dataclass
class Campaign:
    """What was asked for, and the results so far."""

    house: House
    workers: int
    only: tuple[str, ...] = ()
    """Patterns of names: ``rollback``, ``rollback:after``, ``*:lost``, ``rollback:after:7``. None: everything."""
    seconds: float = 0.0
    endings: dict[str, Ending] = field(default_factory=dict)
    results: list[tuple[Planned, Result]] = field(default_factory=list)
    unsteady: list[Result] = field(default_factory=list)
    """Runs without a fault that failed, or that did not end alike."""

    @property
    def failed(self) -> list[Result]:
        """Every run that failed."""
        return self.unsteady + [result for _, result in self.results if result.failures]

    async def go(self, say: Callable[[str], None]) -> None:
        """First how it goes without a fault, then everything that is planned."""
        began = time.monotonic()
        chosen = [name for name in WORKLOADS if not self.only or any(self._asks(one, name) for one in self.only)]
        clean: dict[str, list[Result]] = defaultdict(list)
        async for name, result in self._several([(name, run(self.house, name)) for name in chosen * CLEAN_RUNS]):
            clean[name].append(result)
        for name in chosen:
            self._measure(name, clean[name])
        plans = [plan for name in self.endings for plan in self.plan(name) if self._wanted(plan)]
        # What waits long goes first, so that nothing waits for it in the end.
        plans.sort(key=lambda plan: plan.fault.watch != "stuck")
        say(f"{len(plans)} runs of {len(self.endings)} workloads, {self.workers} at a time")
        jobs = [
            (plan, run(self.house, plan.workload, plan.fault, plan.number, self.endings[plan.workload]))
            for plan in plans
        ]
        async for plan, result in self._several(jobs):
            self.results.append((plan, result))
            if result.failures:
                say("\n  ".join([f"FAILED {result.name}", *result.failures]))
            if len(self.results) % 50 == 0:
                say(f"{len(self.results)} of {len(plans)} runs, {time.monotonic() - began:.0f} s")
        self.seconds = time.monotonic() - began

    def plan(self, workload: str) -> list[Planned]:
        """Every run of a workload."""
        count = len(self.endings[workload].writes)
        return [
            Planned(workload, fault, number)
            for fault in FAULTS
            if not fault.workloads or workload in fault.workloads
            for number in (range(1, count + 1, fault.every) if fault.each_write else (0,))
        ]

    def _measure(self, name: str, clean: list[Result]) -> None:
        """The longer one of the runs without a fault, so that each write has its runs."""
        self.unsteady += [result for result in clean if result.failures]
        endings = [result.ending for result in clean if result.ending is not None]
        first, *others = endings
        for other in others:
            if (other.state, other.counts, other.course) != (first.state, first.counts, first.course):
                self.unsteady.append(Result(name, [f"two runs without a fault ended unlike: {first} and {other}"]))
        self.endings[name] = max(endings, key=lambda ending: len(ending.writes))

    def _wanted(self, plan: Planned) -> bool:
        parts = (plan.workload, plan.fault.name, str(plan.number))
        asked = [one.split(":") for one in self.only]
        return not asked or any(
            all(fnmatch(part, pattern) for part, pattern in zip(parts, patterns, strict=False)) for patterns in asked
        )

    @staticmethod
    def _asks(pattern: str, workload: str) -> bool:
        return fnmatch(workload, pattern.split(":")[0])

    async def _several(self, jobs: list[tuple[K, Coroutine[Any, Any, Result]]]) -> AsyncIterator[tuple[K, Result]]:
        """Do so many at a time; gives each when it is done."""
        slots = asyncio.Semaphore(self.workers)

        async def one(key: K, job: Coroutine[Any, Any, Result]) -> tuple[K, Result]:
            async with slots:
                return key, await job

        for done in asyncio.as_completed([asyncio.create_task(one(key, job)) for key, job in jobs]):
            yield await done
