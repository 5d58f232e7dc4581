"""Does a counted share fit a declared one? Pure arithmetic, used by the demo and by the scenarios alike.

A gateway picks the revision of each request by itself and at random, so the number of requests that a revision with
weight w answers out of n is binomial. A share is called right while it lies in the middle 99.9 % of that distribution.
"""

import math
from dataclasses import dataclass

CONFIDENCE = 0.999
"""One right share in a thousand is called wrong."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the traffic something got, beside what it was to get."""

    weight: int
    """Declared, in percent."""
    count: int
    """Requests that it answered."""
    total: int
    """Requests that were answered by anybody."""

    @property
    def percent(self) -> float:
        """The counted share; NaN where there was no request."""
        return 100 * self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Percents between which the counted share is expected."""
        low, high = expected(self.total, self.weight / 100)
        return (100 * low / self.total, 100 * high / self.total) if self.total else (0.0, 100.0)

    @property
    def fits(self) -> bool:
        """Whether the counted share lies where it is expected. Without a request nothing is shown, so it does not."""
        low, high = expected(self.total, self.weight / 100)
        return self.total > 0 and low <= self.count <= high

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.count:,} of {self.total:,} requests = {self.percent:.1f} %, declared {self.weight} %, "
            f"expected {low:.1f} to {high:.1f} %"
        )


def expected(total: int, probability: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """The least and the largest count in the middle `confidence` of Binomial(total, probability)."""
    if probability in (0.0, 1.0):
        exactly = round(total * probability)
        return exactly, exactly
    tail = (1 - confidence) / 2
    return _quantile(total, probability, tail), total - _quantile(total, 1 - probability, tail)


def _quantile(total: int, probability: float, tail: float) -> int:
    """The least count whose cumulated probability exceeds `tail`."""
    cumulated = 0.0
    for count in range(total + 1):
        cumulated += math.exp(_log_probability(total, count, probability))
        if cumulated > tail:
            return count
    return total


def _log_probability(total: int, count: int, probability: float) -> float:
    ways = math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)
    return ways + count * math.log(probability) + (total - count) * math.log1p(-probability)
