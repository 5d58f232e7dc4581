"""How the processes of a test run share the real cluster."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from threading import Event
from threading import Thread

import pytest

from e2e.cluster.progress import wait_for
from e2e.turns import PLACES
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


def test_others_are_side_by_side_as_far_as_there_are_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    waits = Event()
    monkeypatch.setattr("e2e.cluster.progress.time.sleep", lambda _: waits.set())

    def come() -> None:
        with Turns(tmp_path).taken():
            order.append("one more")

    one_more = Thread(target=come)
    with ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(Turns(tmp_path).taken())
        one_more.start()
        assert waits.wait(SECONDS)
        with Turns(tmp_path).nobody_alone():
            order.append("all places are taken")
    one_more.join(SECONDS)
    assert order == ["all places are taken", "one more"]


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
