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
from serin.cli.seen import text
from serin.errors import ClusterError

if TYPE_CHECKING:
    from serin.cluster.session import Session

# A dead connection is noticed after one such watch at the latest.
WATCH_SECONDS = 60.0
# What ends sooner and brought nothing was no watch: something on the way ends them all. client-go draws the line there,
# too (tools/cache/reflector.go, VeryShortWatchError).
SHORT_WATCH_SECONDS = 1.0
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
    session: Session,
    seen: Seen,
    deadline: Deadline,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Seen | Away]:
    """The state that is known, then each one that follows, until the deadline.

    Raises CommandError when the object is gone or was made anew, and when it may not be read any more.
    """
    yield seen
    followed, wait = _Followed(session, seen, clock), FIRST_PAUSE
    while not deadline.passed:
        lost = False
        try:
            yield from followed.anew()
            for change in followed.changes(deadline.left(WATCH_SECONDS)):
                yield change
                if deadline.passed:
                    return
        except ClusterError as error:
            lost = True
            followed.lost(error)
            if error.status != GONE:
                # One line, whatever a load balancer has to say.
                yield Away(text(error.message))
        if followed.watched:
            wait = FIRST_PAUSE
        if lost or not followed.watched:
            pause(deadline.left(wait))
            wait = min(LONGEST_PAUSE, wait * 2)


class _Followed:
    """One object as it was last seen, and where the next watch begins."""

    def __init__(self, session: Session, seen: Seen, clock: Callable[[], float]) -> None:
        self._session = session
        self._known = seen
        self._version = seen.version
        self._clock = clock
        self._stale = self._expired = False
        self.watched = False
        """Whether the last watch deserves the name: it lasted, or told of something."""

    def anew(self) -> Iterator[Seen]:
        """The object as it is now, where it may have changed unseen, and has."""
        self.watched = False
        if not self._stale:
            return
        known = self._known
        # Asked for before the object: what happens between the two is then told of by the watch.
        newest = self._session.version(MODEL_DEPLOYMENT, known.namespace, known.name) if self._expired else ""
        fresh = _same(known, Seen(self._session.get(MODEL_DEPLOYMENT, known.namespace, known.name)))
        self._known, self._version = fresh, newest or fresh.version
        self._stale = self._expired = False
        if fresh.version != known.version:
            yield fresh

    def changes(self, seconds: float) -> Iterator[Seen]:
        """What a watch tells of until it ends."""
        known, before, begun = self._known, self._version, self._clock()
        try:
            for kind, body in self._session.watch(
                MODEL_DEPLOYMENT, known.namespace, known.name, version=before, seconds=seconds
            ):
                told = Seen(body)
                self._version = told.version
                if kind == "BOOKMARK":
                    continue
                if kind == "DELETED":
                    raise _deleted(known)
                self._known = _same(known, told)
                yield told
        finally:
            self.watched = self._version != before or self._clock() - begun >= SHORT_WATCH_SECONDS
            # Whatever ends every watch at once may keep changes back, too.
            self._stale = not self.watched

    def lost(self, error: ClusterError) -> None:
        """The API server's refusal, or its silence. Raises CommandError where it will not pass."""
        if absent(error, self._known.name):
            raise _deleted(self._known) from error
        if error.status in FINAL:
            what = f"watch ModelDeployment {self._known.name}"
            raise explain(error, self._session.server, what) from error
        self._stale, self._expired = True, error.status == GONE


def _same(known: Seen, fresh: Seen) -> Seen:
    if fresh.uid != known.uid:
        raise _deleted(known)
    return fresh


def _deleted(known: Seen) -> CommandError:
    return CommandError(f"ModelDeployment {known.name} in namespace {known.namespace} was deleted", code=Exit.NOT_FOUND)
