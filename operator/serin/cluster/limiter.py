"""A token bucket: how many requests a second the operator may send, and how many at once after a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class TokenBucket:
    """Lets ``burst`` through at once and ``rate`` a second in the long run; the rest waits in order."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._filled_at = clock()

    async def take(self) -> None:
        """Wait for a token."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= 1
        if self._tokens < 0:
            # The debt is this request's place in the queue: those after it owe more and wait longer.
            await asyncio.sleep(-self._tokens / self._rate)
