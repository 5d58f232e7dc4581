"""Packages are installed without their services being started, the way invoke-rc.d asks for.

By a file that keeps every service of the machine from starting, so it must go again, also after a run that was killed.
It is locked while packages are installed, by apt too, which may outlive whoever called it: so what was left is told
from what somebody needs.
"""

import fcntl
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import IO

from e2e.cluster.files import is_at
from e2e.cluster.files import write

_POLICY = Path("/usr/sbin/policy-rc.d")
_OURS = """\
#!/bin/sh
# Made by Serin's end-to-end tests while they install packages, and removed afterwards: no service starts meanwhile.
exit 101
"""


@contextmanager
def no_services() -> Iterator[Sequence[int]]:
    """No service starts inside the block. Gives the descriptors that whoever installs packages is to hold.

    A machine that has a policy of its own keeps it.
    """
    policy = _hold()
    if policy is None:
        yield ()
        return
    with policy:
        try:
            yield (policy.fileno(),)
        finally:
            _POLICY.unlink()


def allow_services() -> None:
    """Remove what a run that was killed while it installed packages has left."""
    with suppress(FileNotFoundError, PermissionError, BlockingIOError), _POLICY.open() as policy:
        if policy.read() == _OURS:
            fcntl.flock(policy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(_POLICY, policy):
                _POLICY.unlink()


def _hold() -> IO[str] | None:
    """Our policy, in its place and locked; None where there is another one."""
    while True:
        if not _POLICY.exists():
            write(_POLICY, _OURS, mode=0o755)
        with suppress(FileNotFoundError):
            policy = _POLICY.open()
            if policy.read() != _OURS:
                policy.close()
                return None
            fcntl.flock(policy, fcntl.LOCK_EX)
            if is_at(_POLICY, policy):
                return policy
            policy.close()
