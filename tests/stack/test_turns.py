"""How the processes of a test run share the real cluster."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from e2e.cluster.progress import wait_for
from e2e.turns import Turns

SECONDS = 30.0


def _waits(file: Path) -> str | None:
    """None when somebody waits for the lock on a file: the kernel marks them with an arrow."""
    inode = str(file.stat().st_ino)
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return None if any(f":{inode} " in line for line in waiting) else "nobody waits"


def test_who_wants_to_be_alone_waits_until_nobody_is_there(tmp_path: Path) -> None:
    order: list[str] = []

    def alone() -> None:
        with Turns(tmp_path).taken(alone=True):
            order.append("alone")

    thread = Thread(target=alone)
    with Turns(tmp_path).taken():
        thread.start()
        wait_for("the other to wait", lambda: _waits(tmp_path / "turns.lock"), SECONDS)
        with Turns(tmp_path).taken():
            order.append("beside")
    thread.join(SECONDS)
    assert order == ["beside", "alone"]


def test_nobody_comes_beside_who_is_alone(tmp_path: Path) -> None:
    order: list[str] = []

    def beside() -> None:
        with Turns(tmp_path).taken():
            order.append("beside")

    thread = Thread(target=beside)
    with Turns(tmp_path).taken(alone=True):
        thread.start()
        wait_for("the other to wait", lambda: _waits(tmp_path / "turns.lock"), SECONDS)
        order.append("alone")
    thread.join(SECONDS)
    assert order == ["alone", "beside"]


def test_what_is_done_once_is_done_by_the_first_with_whom_it_works(tmp_path: Path) -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (it is the one above)
        Turns(tmp_path).once("world", fail)
    for name in ("first", "second"):
        Turns(tmp_path).once("world", lambda name=name: done.append(name))  # type: ignore[misc]
    assert done == ["failed", "first"]
