"""One cluster for several processes of tests: many scenarios side by side, or one alone that takes away what all need.

By locks on files, which the kernel gives back however a process ends. They are not fair: who wants to be alone waits
until nobody is there.
"""

import fcntl
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Turns:
    """The processes of one test run share it by its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def taken(self, *, alone: bool = False) -> Iterator[None]:
        """The cluster is everybody's inside the block, or this process' only. Not to be nested."""
        with self._locked("turns", fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            yield

    def once(self, what: str, do: Callable[[], object]) -> None:
        """Done by the first process that comes, while the others wait for it. What fails is tried by the next."""
        with self._locked(what, fcntl.LOCK_EX):
            done = self._folder / f"{what}.done"
            if not done.exists():
                do()
                done.touch()

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        with (self._folder / f"{name}.lock").open("w") as file:
            fcntl.flock(file, how)
            yield
