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


@pytest.mark.parametrize("first_is_alone", [True, False])
def test_nobody_is_beside_who_is_alone(tmp_path: Path, first_is_alone: bool) -> None:
    order: list[str] = []

    def come() -> None:
        with Turns(tmp_path).taken(alone=not first_is_alone):
            order.append("second")

    second = Thread(target=come)
    with Turns(tmp_path).taken(alone=first_is_alone):
        second.start()
        wait_for("the other to wait", lambda: _waits(tmp_path / "turns.lock"), SECONDS)
        order.append("first")
    second.join(SECONDS)
    assert order == ["first", "second"]


def test_all_others_are_side_by_side(tmp_path: Path) -> None:
    """Or this would never come to its end."""
    order: list[str] = []
    with Turns(tmp_path).taken():
        order.append("first")
        with Turns(tmp_path).taken():
            order.append("second")
    assert order == ["first", "second"]


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
