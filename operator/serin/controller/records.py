"""Asking registries for what the gates of a rollout look at."""

from __future__ import annotations

from collections.abc import Awaitable
from collections.abc import Callable

from serin.analysis.gates import Record
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.records import unknown
from serin.rollout.observed import Problem
from serin.rollout.records import Origin
from serin.rollout.records import Question
from serin.rollout.records import Records

# A registry that cannot be asked says nothing of a version.
NO_ANSWER = frozenset({Reason.REGISTRY_UNAVAILABLE, Reason.REGISTRY_REFUSED})


async def read_records(question: Question, ask: Callable[[Origin, Question], Awaitable[Record]]) -> Records | Problem:
    """The registry's answer, or why there is none."""
    try:
        candidate = await ask(question.candidate, question)
        stable = None
        if question.stable is not None:
            stable = await _stable(question.stable, question, ask)
    except RegistryError as error:
        return Problem(Reason(error.reason), error.message)
    return Records(question, candidate, stable)


async def _stable(origin: Origin, question: Question, ask: Callable[[Origin, Question], Awaitable[Record]]) -> Record:
    """A version that serves may be gone from its registry: then nothing can be compared with it, and that is told."""
    try:
        return await ask(origin, question)
    except RegistryError as error:
        if error.transient or error.reason in NO_ANSWER:
            raise
        return unknown(origin.version, error)
