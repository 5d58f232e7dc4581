"""Locks, and files written whole and only when they differ: kube-proxy ends when its own is so much as touched."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from e2e.cluster.progress import say


def write(path: Path, content: str, mode: int = 0o644) -> None:
    """Have `content` in `path`: a reader, or a run after one that was killed, never sees half of it."""
    if path.is_file() and path.read_text() == content:
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.touch(mode=mode)
    unfinished.write_text(content)
    unfinished.rename(path)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """One at a time: whoever else locks that file waits. The lock of a killed process is free at once.

    Inside the block the file may be removed. Gives its descriptor, for programs that are to hold the lock, too.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another command, which holds {path}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if is_at(path, lock):
                yield lock.fileno()
                return
            # Removed while we waited: others lock another one.


def is_at(path: Path, file: IO[str]) -> bool:
    """Whether an open file is still the one that is there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
