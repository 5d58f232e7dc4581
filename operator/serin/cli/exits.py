"""How commands end: the exit codes, which scripts rely on, and the one exception that ends a command."""

from __future__ import annotations

from enum import IntEnum

from serin.errors import SerinError


class Exit(IntEnum):
    """Exit codes. Part of the interface: none changes its meaning."""

    FINE = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    STALLED = 4
    TIMED_OUT = 5
    REFUSED = 6
    INTERRUPTED = 130


MEANINGS = {
    Exit.FINE: "done, or: settled, or on its way",
    Exit.ERROR: "an error: no cluster, no permission, a wrong manifest",
    Exit.USAGE: "the command line was wrong",
    Exit.NOT_FOUND: "there is no such ModelDeployment",
    Exit.STALLED: "status, watch --until: rolled back, failed or suspended",
    Exit.TIMED_OUT: "timed out; what was asked for may still happen",
    Exit.REFUSED: "an order was refused, here or by the operator",
    Exit.INTERRUPTED: "ended by Ctrl-C; an order that was given stands",
}


class CommandError(SerinError):
    """Ends the command with a message: the thing and the reason, and below it the remedy."""

    def __init__(self, message: str, remedy: str = "", *, code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
