"""What is declared and cannot be read while its registry answers: told when it lasts, by whom it concerns.

What is pinned serves on, and to be told that all is well would be true of what was declared before. One failure says
little, though: it may be gone with the next poll. So it counts from the second one on, a poll later, unless nothing was
read before it since the operator began: it may have lasted long, and the status says so already.
"""

from __future__ import annotations

from dataclasses import dataclass

from serin.api.modeldeployment import Model
from serin.controller.queue import Key
from serin.rollout.observed import Problem

_Reference = tuple[str, str, str | int | None]
"""Registry, model, and alias or version. There is one for each ModelDeployment: less than a Model in memory."""


@dataclass(frozen=True, slots=True)
class _Known:
    reference: _Reference
    since: float | None = None
    """When it failed first; None where it was read."""
    told: Problem | None = None


class Unread:
    """What each ModelDeployment is told of that. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def read(self, key: Key, model: Model) -> None:
        """What it declares was read, or nothing more has to be."""
        self._known[key] = _Known(_reference(model))

    def failed(self, key: Key, model: Model, problem: Problem, now: float, patience: float) -> Problem | None:
        """The problem, where it is to be told by now."""
        known, reference = self._known.get(key), _reference(model)
        if known is None or known.reference != reference:
            since, due = now, True
        else:
            since = known.since if known.since is not None else now
            due = known.told is not None or now - since >= patience
        told = problem if due else None
        self._known[key] = _Known(reference, since, told)
        return told

    def told(self, key: Key, model: Model) -> Problem | None:
        """What was told last, while it is asked for again: an answer that takes long is no news."""
        known = self._known.get(key)
        return known.told if known is not None and known.reference == _reference(model) else None

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self._known.pop(key, None)


def _reference(model: Model) -> _Reference:
    return model.registry, model.name, model.alias if model.alias is not None else model.version
