"""Writes that somebody undoes: repeated at once for a while, then once a minute, and told.

Another controller or an admission webhook with its own idea of a field would otherwise be answered at every event, and
every answer is the next event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta
from typing import Any

from serin.api.kinds import Kind
from serin.controller.queue import Key

Json = dict[str, Any]

# So often the same is written in a row before it is called a fight: nobody edits by hand that often.
TIMES = 10
PAUSE = timedelta(minutes=1)
# What was not undone for so long is over.
PEACE = timedelta(minutes=2)


@dataclass(slots=True)
class _Fight:
    change: Json
    times: int
    last: datetime


class Fights:
    """What was written last of each object, and how often in a row."""

    def __init__(self) -> None:
        self._last: dict[Key, dict[tuple[Kind, str], _Fight]] = {}

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self._last.pop(key, None)

    def may_write(self, key: Key, kind: Kind, name: str, change: Json, now: datetime) -> bool:
        """Whether it is time for this change. Another one than is fought over never waits."""
        last = self._last.get(key, {}).get((kind, name))
        return last is None or last.times < TIMES or last.change != change or now - last.last >= PAUSE

    def wrote(self, key: Key, kind: Kind, name: str, change: Json, now: datetime) -> None:
        """This was written."""
        # What is over goes, also of revisions that are gone.
        mine = {one: fight for one, fight in self._last.get(key, {}).items() if now - fight.last <= PEACE}
        last = mine.get((kind, name))
        again = last is not None and last.change == change
        mine[kind, name] = _Fight(change, last.times + 1 if last is not None and again else 1, now)
        self._last[key] = mine

    def fought_over(self, key: Key, kind: Kind, name: str, now: datetime) -> list[str]:
        """Fields of the object that are fought over, also while they happen to be right; none in peace."""
        mine = self._last.get(key, {})
        last = mine.get((kind, name))
        if last is None:
            return []
        if now - last.last > PEACE:
            del mine[kind, name]
        return list(_leaves(last.change, "")) if last.times >= TIMES and now - last.last < PAUSE else []


def _leaves(change: Json, path: str) -> Iterator[str]:
    """Paths of a merge patch, in the form in which Kubernetes names fields."""
    for key, value in change.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"
