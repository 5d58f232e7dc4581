"""Durations, quantities and times: what people write, what it comes to, and what comes back."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic import ValidationError

from serin.api.quantities import Duration
from serin.api.quantities import Quantity
from serin.api.quantities import Time
from serin.api.quantities import amount
from serin.api.quantities import format_time
from serin.api.quantities import milliseconds
from serin.api.quantities import seconds
from serin.api.quantities import span


@pytest.mark.parametrize(
    ("text", "length"),
    [("0s", 0), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("250ms", 0.25), ("1h1m1s1ms", 3661.001), ("1m1m", 120)],
)
def test_durations(text: str, length: float) -> None:
    assert TypeAdapter(Duration).validate_python(text) == text
    assert seconds(text) == length
    assert span(text) == timedelta(seconds=length)


@pytest.mark.parametrize("text", ["", "1", "s", "1d", "-1s", "1.5h", " 1s", "1s ", "1s\n", "1 s", "1S", "1us"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s"):
        seconds(text)
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        ("1", "1000m"),
        ("0.5", "500m"),
        ("1Ki", 1024),
        ("2048Mi", "2Gi"),
        ("1e3", "1k"),
        ("1E3", "1k"),
        ("1E", "1000P"),
        ("+1", "1"),
        (".5", "500m"),
        ("1.", "1"),
        ("100n", "0.1u"),
    ],
)
def test_amounts_that_are_equal(one: int | str, other: int | str) -> None:
    assert amount(one) == amount(other)
    assert isinstance(amount(one), Decimal)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), ("1", "1k"), ("-1", "1"), ("1", "one"), ("1x", "1")])
def test_amounts_that_are_not(one: str, other: str) -> None:
    assert amount(one) != amount(other)


@pytest.mark.parametrize("value", [1, "1", "500m", "2Gi", "1e3"])
def test_quantities_stay_as_they_were_written(value: int | str) -> None:
    assert TypeAdapter(Quantity).validate_python(value) == value


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_a_time_survives_the_status(moment: datetime) -> None:
    kept = milliseconds(moment)
    adapter: TypeAdapter[datetime] = TypeAdapter(Time)
    back = adapter.validate_json(adapter.dump_json(kept))
    assert back == kept
    assert back.tzinfo is UTC or back.utcoffset() == timedelta(0)
    assert timedelta(0) <= moment - kept < timedelta(milliseconds=1)


def test_times_as_kubernetes_reads_them() -> None:
    assert format_time(datetime(2026, 11, 20, 12, tzinfo=UTC)) == "2026-11-20T12:00:00Z"
    assert format_time(datetime(2026, 11, 20, 12, 0, 0, 250_000, tzinfo=UTC)) == "2026-11-20T12:00:00.250Z"
    assert format_time(datetime(2026, 11, 20, 13, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-20T12:00:00Z"
