"""One cluster for several processes of tests: a few scenarios side by side, or one alone that takes away what all need.

By locks on files, which the kernel gives back however a process ends. They are not fair: who wants to be alone waits
until nobody is there.
"""

import fcntl
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import IO

from e2e.cluster.progress import wait_for

PLACES = 3
"""Scenarios at the same time. On two processors whole runs took 4 and 9 % less with three than with two. With four, as
long as the gateway requested no processor time, requests of three waited for longer than their timeout."""
_PATIENCE_SECONDS = 3600.0


class Turns:
    """The processes of one test run share it by its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def taken(self, *, alone: bool = False) -> Iterator[None]:
        """Inside the block the cluster is this scenario's and a few others', or its own. Not to be nested."""
        if alone:
            with self._locked("turns", fcntl.LOCK_EX):
                yield
        else:
            with self.nobody_alone(), self._a_place():
                yield

    @contextmanager
    def nobody_alone(self) -> Iterator[None]:
        """Inside the block the cluster is nobody's own; for what takes little of it."""
        with self._locked("turns", fcntl.LOCK_SH):
            yield

    def once(self, what: str, do: Callable[[], object]) -> None:
        """Done by the first process that comes, while the others wait for it. What fails is tried by the next."""
        with self._locked(what, fcntl.LOCK_EX):
            done = self._folder / f"{what}.done"
            if not done.exists():
                do()
                done.touch()

    @contextmanager
    def _a_place(self) -> Iterator[None]:
        with ExitStack() as stack:
            places = [stack.enter_context((self._folder / f"place{number}.lock").open("w")) for number in range(PLACES)]
            wait_for("a place beside other scenarios", lambda: _taken(places), _PATIENCE_SECONDS)
            yield

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        with (self._folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, how)
            yield


def _taken(places: Sequence[IO[str]]) -> str | None:
    """None where one of them was free; now it is ours."""
    for place in places:
        with suppress(BlockingIOError):
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    return "all are taken"
