"""What the tests of the rings share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from serin import nesting


@pytest.fixture
def any_depth() -> Iterator[None]:
    """As the operator's process has it."""
    before = sys.getrecursionlimit()
    nesting.allow_any()
    yield
    sys.setrecursionlimit(before)
