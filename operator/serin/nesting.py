"""How deep an object may be nested that Python reads, compares and writes."""

from __future__ import annotations

import sys

# The API server takes JSON of 10,000 levels (Go encoding/json maxNestingDepth): in a ModelDeployment's overrides, and
# in the managedFields of anything. Python's default is 1,000 levels, so that one such object could not even be read,
# nor any list that it is in. So many fit four times into the 8 MB of the main thread's stack.
LEVELS = 12_000


def allow_any() -> None:
    """Let Python handle whatever the API server takes, for the whole process. For the main thread: others may have
    less of a stack."""
    sys.setrecursionlimit(max(LEVELS, sys.getrecursionlimit()))
