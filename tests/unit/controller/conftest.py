"""What the tests of the rings share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import structlog

from serin import nesting


@pytest.fixture(scope="session", autouse=True)
def _plain_traces() -> Iterator[None]:
    """As the operator logs them, and not drawn for a terminal, which takes longer than most tests."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def any_depth() -> Iterator[None]:
    """As the operator's process has it."""
    before = sys.getrecursionlimit()
    nesting.allow_any()
    yield
    sys.setrecursionlimit(before)
