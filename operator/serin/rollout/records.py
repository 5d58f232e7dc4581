"""What the gates of a rollout need to know of two versions: the question, and the registry's answer."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace

from serin.analysis.gates import Record


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a revision's model is from."""

    registry: str
    model: str
    version: int
    digest: str
    """sha256 of its MLmodel file: in a registry where a model was made anew the same number is another version."""


@dataclass(frozen=True, slots=True)
class Question:
    """Of which versions something must be known before the first of them may be deployed."""

    candidate: Origin
    stable: Origin | None
    metrics: bool
    """Whether their metrics matter."""
    fresh: bool = False
    """Whether the metrics must be read anew, because a person asks for it."""


@dataclass(frozen=True, slots=True)
class Records:
    """What the registry has of them."""

    question: Question
    candidate: Record
    stable: Record | None

    def answer(self, question: Question) -> bool:
        """Whether this answers the question; how fresh the answer is was for the reader to see to."""
        return replace(self.question, fresh=question.fresh) == question
