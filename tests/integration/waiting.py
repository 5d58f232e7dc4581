"""Waiting for what shall become true, with a deadline and the last thing that was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.05


def eventually(look: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """What ``look`` gives, once it is true. A failed assertion in it counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        why = ""
        try:
            seen = look()
        except AssertionError as error:
            seen, why = None, str(error)
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:.0f} s. {why}")
        time.sleep(POLL_SECONDS)


def always(look: Callable[[], bool], what: str, seconds: float, every: float = POLL_SECONDS) -> None:
    """Watch for so many seconds that it stays true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert look(), f"{what}: no longer"
        time.sleep(every)
