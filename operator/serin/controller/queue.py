"""The work queue: which ModelDeployment is looked at next.

A key waits once however often it is added, is worked on by one worker at a time, comes back later when asked to, and
after a failure with a growing, jittered delay. What somebody just changed, and what is due, goes before what is looked
at on suspicion, and before the many that a registry's poll may wake at once.
The shape is client-go's workqueue; the delays too (5 ms doubled, here up to a minute).
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import OrderedDict
from dataclasses import dataclass
from dataclasses import field
from typing import NamedTuple

FIRST_DELAY = 0.005
LONGEST_DELAY = 60.0
SLACK = 64


class Key(NamedTuple):
    """A namespaced object."""

    namespace: str
    name: str


@dataclass(slots=True)
class Counts:
    """What the queue did so far, for the metrics."""

    adds: int = 0
    """Keys that joined the line, as client-go counts them: not those that were in it already."""
    retries: int = 0


@dataclass(slots=True)
class _Waiting:
    """Keys in line, each with the loop time at which it joined."""

    fresh: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    backlog: OrderedDict[Key, float] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self.fresh) + len(self.backlog)


class Queue:
    """Keys to work on. To be used from one event loop."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._waiting = _Waiting()
        self._in_flight: dict[Key, float] = {}
        self._again: dict[Key, bool] = {}
        self._failures: dict[Key, int] = {}
        self._later: dict[Key, float] = {}
        self._timers: list[tuple[float, Key]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._wakeup = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> dict[Key, float]:
        """Keys being worked on, with the loop time at which the work began."""
        return self._in_flight

    def add(self, key: Key, *, fresh: bool = True) -> None:
        """Look at this key, before the backlog if it is fresh."""
        if key in self._in_flight:
            self.counts.adds += key not in self._again
            self._again[key] = self._again.get(key, False) or fresh
            return
        self.counts.adds += key not in self._waiting.fresh and key not in self._waiting.backlog
        self._put(key, fresh=fresh)

    def add_at(self, key: Key, when: float) -> None:
        """Look at this key at that loop time, if nothing makes it be looked at before."""
        if key in self._later and self._later[key] <= when:
            return
        self._later[key] = when
        if len(self._timers) > 2 * len(self._later) + SLACK:
            # Entries that were replaced would stay until their time, which may be weeks away.
            self._timers = [(moment, waiting) for waiting, moment in self._later.items()]
            heapq.heapify(self._timers)
        else:
            heapq.heappush(self._timers, (when, key))
        self._arm()

    async def get(self) -> tuple[Key, float]:
        """The next key and how many seconds it waited. ``done`` must be called with it."""
        while not self._waiting:
            self._wakeup.clear()
            await self._wakeup.wait()
        line = self._waiting.fresh or self._waiting.backlog
        key, joined = line.popitem(last=False)
        now = asyncio.get_running_loop().time()
        self._in_flight[key] = now
        # Whatever it was to come back for is looked at now.
        self._later.pop(key, None)
        return key, now - joined

    def done(self, key: Key) -> None:
        """The work on this key is over; if it was added meanwhile, it is in line again."""
        self._in_flight.pop(key, None)
        fresh = self._again.pop(key, None)
        if fresh is not None:
            self._put(key, fresh=fresh)

    def failed(self, key: Key, *, at_least: float = 0.0) -> float:
        """The work failed: come back after a delay, which is returned (seconds). Call before ``done``."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.counts.retries += 1
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 20))
        delay = max(at_least, delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        self.add_at(key, asyncio.get_running_loop().time() + delay)
        return delay

    def failures(self, key: Key) -> int:
        """How often in a row the work on this key failed."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """The work succeeded: the next failure starts with the first delay."""
        self._failures.pop(key, None)

    def _put(self, key: Key, *, fresh: bool) -> None:
        now = asyncio.get_running_loop().time()
        waiting = self._waiting
        if fresh:
            joined = waiting.backlog.pop(key, now)
            waiting.fresh.setdefault(key, joined)
        elif key not in waiting.fresh:
            waiting.backlog.setdefault(key, now)
        self._wakeup.set()

    def _arm(self) -> None:
        """Keep one timer, for the earliest moment."""
        if not self._timers:
            return
        when = self._timers[0][0]
        if self._timer is not None:
            if self._timer.when() <= when and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._timers and self._timers[0][0] <= now:
            when, key = heapq.heappop(self._timers)
            # An entry that was replaced by an earlier one, or already looked at, is stale.
            if self._later.get(key) == when:
                del self._later[key]
                self.add(key)
        self._arm()
