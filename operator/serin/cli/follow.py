"""One ModelDeployment as it changes: a watch that outlives lost connections, restarts of the API server and 410."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.reach import FORBIDDEN
from serin.cli.reach import GONE
from serin.cli.reach import NOT_FOUND
from serin.cli.reach import UNAUTHORIZED
from serin.cli.reach import absent
from serin.cli.reach import explain
from serin.cli.seen import Seen
from serin.errors import ClusterError

if TYPE_CHECKING:
    from serin.cluster.session import Session

# A dead connection is noticed after one such watch at the latest.
WATCH_SECONDS = 60.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
# These will not pass by waiting.
FINAL = frozenset({UNAUTHORIZED, FORBIDDEN, NOT_FOUND})


@dataclass(frozen=True, slots=True)
class Away:
    """The API server does not answer; it is asked again."""

    reason: str


class Deadline:
    """How long there is to wait; for ever without seconds."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    def left(self, at_most: float) -> float:
        """Seconds that are left, but not more than these."""
        return at_most if self._end is None else max(0.0, min(at_most, self._end - self._clock()))

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self._end is not None and self._clock() >= self._end


def follow(
    session: Session, seen: Seen, deadline: Deadline, pause: Callable[[float], None] = time.sleep
) -> Iterator[Seen | Away]:
    """The state that is known, then each one that follows, until the deadline.

    Raises CommandError when the object is gone or was made anew, and when it may not be read any more.
    """
    yield seen
    known, version, wait = seen, seen.version, FIRST_PAUSE
    stale = False
    while not deadline.passed:
        try:
            if stale:
                fresh = Seen(session.get(MODEL_DEPLOYMENT, known.namespace, known.name))
                stale, wait = False, FIRST_PAUSE
                if _same(known, fresh).version != known.version:
                    yield fresh
                known, version = fresh, fresh.version
            for kind, body in session.watch(
                MODEL_DEPLOYMENT,
                known.namespace,
                known.name,
                version=version,
                seconds=deadline.left(WATCH_SECONDS),
            ):
                wait = FIRST_PAUSE
                version = Seen(body).version
                if kind == "BOOKMARK":
                    continue
                if kind == "DELETED":
                    raise _deleted(known)
                known = _same(known, Seen(body))
                yield known
                if deadline.passed:
                    return
        except ClusterError as error:
            stale = True
            if error.status == GONE:
                continue
            if absent(error, known.name):
                raise _deleted(known) from error
            if error.status in FINAL:
                raise explain(error, session.server, f"watch ModelDeployment {known.name}") from error
            yield Away(error.message)
            pause(deadline.left(wait))
            wait = min(LONGEST_PAUSE, wait * 2)


def _same(known: Seen, fresh: Seen) -> Seen:
    if fresh.uid != known.uid:
        raise _deleted(known)
    return fresh


def _deleted(known: Seen) -> CommandError:
    return CommandError(f"ModelDeployment {known.name} in namespace {known.namespace} was deleted", code=Exit.NOT_FOUND)
