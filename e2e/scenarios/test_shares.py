"""The arithmetic by which counted shares are judged. Needs no cluster."""

import math

import pytest

from e2e.shares import CONFIDENCE
from e2e.shares import Share
from e2e.shares import expected


@pytest.mark.parametrize(("total", "percent"), [(1, 50), (20, 1), (400, 10), (1000, 50), (900, 99)])
def test_interval_holds_what_it_promises_and_little_more(total: int, percent: int) -> None:
    probability = percent / 100
    low, high = expected(total, probability)

    def mass(first: int, last: int) -> float:
        return math.fsum(
            math.comb(total, count) * probability**count * (1 - probability) ** (total - count)
            for count in range(first, last + 1)
        )

    assert mass(low, high) >= CONFIDENCE
    tail = (1 - CONFIDENCE) / 2
    # Narrower on either side would promise too much.
    assert mass(0, low) > tail
    assert mass(high, total) > tail


@pytest.mark.parametrize(
    ("weight", "count", "fits"), [(0, 0, True), (0, 1, False), (100, 500, True), (100, 499, False)]
)
def test_nothing_and_everything_are_exact(weight: int, count: int, fits: bool) -> None:
    assert Share(weight, count, 500).fits is fits


def test_share_that_is_wrong_is_called_wrong() -> None:
    assert Share(10, 100, 1000).fits
    assert not Share(10, 140, 1000).fits
    assert not Share(20, 140, 1000).fits


def test_nothing_is_shown_without_a_request() -> None:
    assert not Share(0, 0, 0).fits
