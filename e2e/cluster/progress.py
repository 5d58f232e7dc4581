"""Say what happens and how long it took, and wait for things with a deadline. Knows nothing of clusters."""

import time
from collections.abc import Callable

from e2e.cluster.interface import ClusterError

_POLL_SECONDS = 0.1


def say(message: str) -> None:
    """One line for the person who waits."""
    print(f"cluster: {message}", flush=True)


def wait_for(what: str, check: Callable[[], str | None], seconds: float, every: float = _POLL_SECONDS) -> None:
    """Poll `check` until it returns None; any text is the reason why it is not so yet.

    Raises:
        ClusterError: after `seconds`, naming `what` and the last reason.
    """
    deadline = time.monotonic() + seconds
    while (reason := check()) is not None:
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s: {reason}")
        time.sleep(every)
