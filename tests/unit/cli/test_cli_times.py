from __future__ import annotations

from datetime import UTC
from datetime import datetime
from datetime import timedelta
from datetime import timezone

import pytest

from serin.cli import times

NOW = datetime(2026, 11, 20, 22, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (59.6, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3659, "1h"),
        (3660, "1h1m"),
        (86399, "23h59m"),
        (86400 * 41 + 7200, "41d2h"),
        (-5, "0s"),
    ],
)
def test_length(seconds: float, told: str) -> None:
    assert times.length(timedelta(seconds=seconds)) == told


def test_moments_are_in_utc_and_have_their_date_unless_it_is_todays() -> None:
    assert times.when(NOW - timedelta(minutes=2), NOW) == "22:10:30Z (2m ago)"
    assert times.when(NOW + timedelta(hours=2), NOW) == "2026-11-21 00:12Z (in 2h)"
    there = timezone(timedelta(hours=2))
    assert times.when(NOW.astimezone(there), NOW.astimezone(there)) == "22:12:30Z (0s ago)"
    assert times.when(None, NOW) == "?"


@pytest.mark.parametrize(
    "text",
    [
        *(None, 7, "", "tomorrow", {}),
        # Go's word for none; what is an hour before or after it, or in another zone, is no moment to Python.
        *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59Z"),
    ],
)
def test_what_is_no_moment(text: object) -> None:
    assert times.parse(text) is None


def test_moments_of_a_status() -> None:
    assert times.parse("2026-11-20T22:12:30Z") == NOW
    assert times.parse("2026-11-20T22:12:30.000Z") == NOW
    assert times.parse("2026-11-20T22:12:30") == NOW
