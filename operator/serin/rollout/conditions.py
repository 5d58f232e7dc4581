"""Conditions as Kubernetes tools read them: one setter, and a time that moves only with the status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from typing import NamedTuple

from serin.api.reasons import Reason
from serin.api.status import Condition
from serin.api.status import ConditionType

Status = Literal["True", "False", "Unknown"]
MESSAGE_LENGTH = 1024


class Fact(NamedTuple):
    """A condition that shall be, without its times."""

    type: ConditionType
    status: Status
    reason: Reason
    message: str


def conditions(
    before: tuple[Condition, ...], facts: Iterable[Fact], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The facts as conditions; lastTransitionTime is kept while the status stays the same."""
    known = {condition.type: condition for condition in before}
    result = []
    for fact in facts:
        old = known.get(fact.type)
        since = old.last_transition_time if old is not None and old.status == fact.status else now
        message = shorten(fact.message)
        if old is not None and _said(old) == (fact.status, fact.reason, message, generation):
            result.append(old)
            continue
        result.append(
            Condition(
                type=fact.type,
                status=fact.status,
                reason=fact.reason,
                message=message,
                observed_generation=generation,
                last_transition_time=since,
            )
        )
    return tuple(result)


def _said(condition: Condition) -> tuple[Status, str, str, int]:
    return condition.status, condition.reason, condition.message, condition.observed_generation


def shorten(message: str) -> str:
    """At most 1,024 characters: long words of others are cut, not the status."""
    return message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
