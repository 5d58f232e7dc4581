"""From values to places on a drawing, and where its ticks are. Whatever comes in, what comes out is on the drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from datetime import timedelta

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
"""Seconds between two ticks of time; beyond them whole days."""
DAY = 86400
LEAST = 1e-300
MOST = 1e300
"""From here on the ticks would be more than there are numbers for."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A stretch of values on a stretch of places. What is outside is put at the edge; what is no number at the lowest.

    ``low`` must be below ``high``; with ``log`` both must be above 0.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place."""
        low, high, value = self._along(self.low), self._along(self.high), self._along(value)
        if math.isnan(value) or not high > low:
            return self.start
        part = (min(max(value, low), high) - low) / (high - low)
        return self.start + part * (self.end - self.start)

    def _along(self, value: float) -> float:
        return math.log10(max(value, LEAST)) if self.log else value


def nice(high: float, count: int = 4) -> list[float]:
    """Ticks from 0 to at least ``high``, at most about so many, 1, 2 or 5 times a power of ten apart."""
    if not 0 < high < MOST:
        high = 1.0
    rough = max(high, 1e-12) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999), power * 10)
    # Not by adding up: 0.1 + 0.2 is more than 0.3.
    return [step * number for number in range(math.ceil(high / step * 0.999) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``, at most six of them."""
    first, last = math.floor(math.log10(max(low, LEAST))), math.ceil(math.log10(max(high, LEAST)))
    apart = max(1, math.ceil((last - first) / 5))
    return [10.0**power for power in range(first, last + 1, apart)]


def moments(start: datetime, end: datetime, most: int) -> list[tuple[datetime, str]]:
    """At most so many moments that a clock would name, with their labels in UTC."""
    length = max(1.0, (end - start).total_seconds())
    apart = next((step for step in STEPS if length / step <= most), 0) or DAY * math.ceil(length / DAY / most)
    first = start.astimezone(UTC)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = math.ceil((first - midnight).total_seconds() / apart) * apart
    form = "%d %b" if apart >= DAY else "%H:%M" if apart >= STEPS[6] else "%H:%M:%S"
    found: list[tuple[datetime, str]] = []
    at = midnight + timedelta(seconds=passed)
    while at <= end and len(found) < most + 1:
        at_midnight = at.hour == at.minute == at.second == 0
        found.append((at, at.strftime("%d %b" if at_midnight and apart >= STEPS[6] else form)))
        at += timedelta(seconds=apart)
    return found
