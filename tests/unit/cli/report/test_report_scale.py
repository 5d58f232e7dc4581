"""Places, ticks and clocks, for whatever values there are."""

from __future__ import annotations

import math
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.analysis import Tally
from serin.cli.report.intervals import wilson
from serin.cli.report.scale import Scale
from serin.cli.report.scale import decades
from serin.cli.report.scale import moments
from serin.cli.report.scale import nice

ANY = st.floats(allow_nan=True, allow_infinity=True)
START = datetime(2026, 11, 20, 21, 58, 7, tzinfo=UTC)


@given(low=st.floats(1e-9, 1e6), more=st.floats(1e-9, 1e6), value=ANY, log=st.booleans())
def test_every_value_has_a_place_within(low: float, more: float, value: float, log: bool) -> None:
    scale = Scale(low, low + more, 200.0, 20.0, log=log)
    assert 20.0 <= scale(value) <= 200.0


def test_a_scale_goes_from_end_to_end() -> None:
    assert [Scale(0, 10, 100, 0)(value) for value in (0, 5, 10)] == [100, 50, 0]
    assert [Scale(0.01, 100, 0, 8, log=True)(value) for value in (0.01, 1, 100)] == pytest.approx([0, 4, 8])


@given(high=ANY)
def test_ticks_begin_at_0_and_reach_the_top(high: float) -> None:
    ticks = nice(high)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 6
    assert all(math.isfinite(tick) and tick < later for tick, later in pairwise(ticks))
    if math.isfinite(high) and 1e-9 < high < 1e300:
        assert ticks[-1] >= high * 0.998


def test_ticks_are_round() -> None:
    assert nice(0.043) == pytest.approx([0, 0.02, 0.04, 0.06])
    assert nice(24) == [0, 10, 20, 30]
    assert nice(1.6e308) == nice(math.inf) == nice(1), "the last tick would be infinite"


@given(low=st.floats(1e-6, 1.0), high=st.floats(1.0, 1e9))
def test_decades_hold_everything_and_are_few(low: float, high: float) -> None:
    ticks = decades(low, high)
    assert len(ticks) <= 6 or ticks[0] == ticks[-1]
    assert ticks[0] <= low * 1.001


@given(length=st.floats(0, 40 * 86400), most=st.integers(1, 12))
def test_moments_are_few_and_inside(length: float, most: int) -> None:
    end = START + timedelta(seconds=length)
    found = moments(START, end, most)
    assert len(found) <= most + 1
    assert all(START <= at <= end and label for at, label in found)


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (timedelta(minutes=25), ["22:00", "22:10", "22:20"]),
        (timedelta(seconds=50), ["21:58:15", "21:58:30", "21:58:45"]),
        (timedelta(days=2), ["21 Nov", "12:00", "22 Nov", "12:00"]),
        (timedelta(days=4), ["21 Nov", "22 Nov", "23 Nov", "24 Nov"]),
    ],
)
def test_moments_are_those_that_a_clock_names(length: timedelta, labels: list[str]) -> None:
    assert [label for _, label in moments(START, START + length, 4)] == labels


@given(requests=st.integers(0, 10**9), part=st.floats(0, 1))
def test_an_interval_is_around_what_was_counted(requests: int, part: float) -> None:
    bad = int(requests * part)
    low, high = wilson(Tally(requests=requests, bad=bad))
    assert 0 <= low <= high <= 1
    if requests:
        assert low <= bad / requests <= high


def test_the_interval_is_wilsons() -> None:
    # Brown, Cai, DasGupta, "Interval estimation for a binomial proportion" (2001): their formula (4) for 5 of 50.
    assert wilson(Tally(requests=50, bad=5)) == pytest.approx((0.0435, 0.2136), abs=1e-4)
    assert wilson(Tally(requests=30, bad=0)) == pytest.approx((0.0, 0.1135), abs=1e-4)
