"""Measuring what a candidate does, beside the reconciles: none of them waits for Prometheus.

A look that is due is taken by a task of its own, at most one for a ModelDeployment. When it is done, the object is put
into the queue, and the next gathering finds the answers. A source that hangs delays verdicts and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import structlog

from serin.analysis.checks import Measurement
from serin.analysis.checks import Unknown
from serin.analysis.queries import Series
from serin.api.status import ModelDeploymentStatus
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.errors import MetricsError
from serin.rollout.looks import Look
from serin.rollout.looks import Question
from serin.rollout.looks import answer
from serin.rollout.looks import next_look
from serin.rollout.looks import questions
from serin.rollout.looks import requests_in

log = structlog.get_logger(__name__)

# Queries at once: a source that is slow gets no more to do.
CONCURRENT = 32


class Source(Protocol):
    """Where measurements come from."""

    async def query(self, promql: str, at: datetime) -> list[Series]:
        """The elements of the result at a moment. Raises MetricsError."""
        ...


class Measurer:
    """Takes looks that are due."""

    def __init__(
        self,
        source: Source | None,
        queue: Queue,
        clock: Callable[[], datetime],
        count: Callable[[str], None],
        matchers: str = "",
    ) -> None:
        self._source = source
        self._queue = queue
        self._clock = clock
        self._count = count
        self._matchers = matchers
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._taking: dict[Key, asyncio.Task[None]] = {}
        self._taken: dict[Key, Look] = {}

    def look(self, key: Key, status: ModelDeploymentStatus) -> Look | None:
        """The last look at this rollout's stage, if there is one; takes the next one when that is due."""
        due = next_look(status.rollout)
        if status.rollout is None or due is None:
            self.forget(key)
            return None
        now = self._clock()
        taken = self._taken.get(key)
        fresh = taken is not None and taken.since == status.rollout.step_started_at and taken.at >= due
        if due <= now and not fresh and key not in self._taking:
            asked = questions(key.namespace, key.name, status, now, matchers=self._matchers)
            since = status.rollout.step_started_at
            if since is not None:
                task = asyncio.create_task(self._take(key, since, now, asked))
                self._taking[key] = task
        return taken

    def forget(self, key: Key) -> None:
        """Nothing is judged there any more."""
        self._taken.pop(key, None)

    async def close(self) -> None:
        """End what is under way."""
        for task in list(self._taking.values()):
            task.cancel()
        await asyncio.gather(*self._taking.values(), return_exceptions=True)

    async def _take(self, key: Key, since: datetime, at: datetime, asked: tuple[Question, ...]) -> None:
        try:
            measured = await self._ask(asked, at)
            self._taken[key] = Look(since=since, at=at, measured=measured)
        except Exception:  # a bug in one look must not end the others; the look is taken again
            log.exception("a look broke (this is a bug, please report it)", namespace=key.namespace, name=key.name)
            self._queue.failed(key, at_least=1.0)
        else:
            self._queue.add(key)
        finally:
            self._taking.pop(key, None)

    async def _ask(self, asked: tuple[Question, ...], at: datetime) -> Mapping[str, Measurement]:
        results = await asyncio.gather(*(self._one(question, at) for question in asked))
        measured: dict[str, Measurement] = {}
        # Counts first: a query of people's own passes only after as many requests as those have seen.
        pairs = sorted(zip(asked, results, strict=True), key=lambda pair: pair[0].how is None)
        for question, result in pairs:
            requests = requests_in(measured)
            measured[question.check] = result if isinstance(result, Unknown) else answer(question, result, requests)
        return measured

    async def _one(self, question: Question, at: datetime) -> list[Series] | Unknown:
        if question.query is None:
            return question.unknown or Unknown("nothing was asked")
        if self._source is None:
            return Unknown("no Prometheus is known: set settings.prometheusUrl in the values of the operator's chart")
        async with self._slots:
            try:
                result = await self._source.query(question.query, at)
            except MetricsError as error:
                self._count("error")
                return Unknown(error.message)
        self._count("success")
        return result
