"""Moments and lengths as people read them: UTC, as in the operator's messages, and how far away."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from datetime import timedelta

# Go writes the first of year 1 for no moment at all. Near the ends of the calendar nothing can be reckoned with.
_YEARS = range(1970, 9999)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def now() -> datetime:
    """This moment. The one clock of the command line."""
    return datetime.now(UTC)


def parse(text: object) -> datetime | None:
    """A moment of a status; None where there is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in _YEARS:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def length(span: timedelta) -> str:
    """The two greatest units: 45s, 4m30s, 2h5m, 41d3h."""
    left = max(0, round(span.total_seconds()))
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}")
    return "".join(part for part in parts[:2] if not part.startswith("0")) or "0s"


def moment(at: datetime, present: datetime) -> str:
    """The moment in UTC: today's to the second, another day's with its date to the minute."""
    at = at.astimezone(UTC)
    return at.strftime("%H:%M:%SZ" if at.date() == present.astimezone(UTC).date() else "%Y-%m-%d %H:%MZ")


def distance(at: datetime, present: datetime) -> str:
    """How far away the moment is: ``4m ago`` or ``in 4m``."""
    return f"in {length(at - present)}" if at > present else f"{length(present - at)} ago"


def when(at: datetime | None, present: datetime) -> str:
    """The moment, absolute and relative."""
    return "?" if at is None else f"{moment(at, present)} ({distance(at, present)})"
