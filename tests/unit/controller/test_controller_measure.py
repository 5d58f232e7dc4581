"""Looks are taken beside the reconciles, once each, and whatever the source does is an answer."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.queries import Series
from serin.api.status import ModelDeploymentStatus
from serin.controller.measure import Measurer
from serin.controller.measure import Source
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.errors import MetricsError
from serin.rollout.looks import Look
from tests.unit.rollout.scene import rolling

KEY = Key("payments", "fraud")
CHECKS = [
    {"name": "margin", "query": "margin", "atLeast": 0.1},
    {"name": "errors", "measure": "ErrorRate", "atMost": "5%"},
]


class Played:
    """A source that answers when it is told to."""

    def __init__(self, *, wrong: Exception | None = None) -> None:
        self.asked: list[tuple[str, datetime]] = []
        self.wrong = wrong
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def query(self, promql: str, at: datetime) -> list[Series]:
        self.asked.append((promql, at))
        await self.may_answer.wait()
        if self.wrong is not None:
            raise self.wrong
        if promql == "margin":
            return [Series({}, 0.5)]
        labels = {"serin_dev_revision": revision()}
        stable = {"serin_dev_revision": rolling({10: "1h"}).stable}
        return [
            Series({**labels, "serin_count": "up"}, 1.0),
            Series({**stable, "serin_count": "up"}, 1.0),
            Series({**labels, "serin_count": "requests"}, 400.0),
            Series({**labels, "serin_count": "bad"}, 2.0),
        ]


class Stage:
    """A measurer and a rollout in its first step."""

    def __init__(self, source: Source | None, matchers: str = "") -> None:
        self.scene = rolling({10: "1h"}, rollout={"analysis": {"every": "30s", "checks": CHECKS}})
        self.scene.run(10)
        self.queue, self.counts = Queue(), list[str]()
        self.measurer = Measurer(source, self.queue, lambda: self.scene.now, self.counts.append, matchers)

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.scene.status

    async def taken(self) -> Look | None:
        """Let what is under way come to its end, and look."""
        key, _ = await asyncio.wait_for(self.queue.get(), 5)
        self.queue.done(key)
        assert key == KEY
        return self.measurer.look(KEY, self.status)


def revision() -> str:
    scene = rolling({10: "1h"})
    scene.run(10)
    return scene.candidate


async def test_a_look_is_taken_when_it_is_due_and_the_object_comes_back_to_the_queue() -> None:
    source = Played()
    stage = Stage(source)
    assert stage.measurer.look(KEY, stage.status) is None
    assert not source.asked, "asked before anything was due"
    stage.scene.wait(30)
    assert stage.measurer.look(KEY, stage.status) is None
    look = await stage.taken()
    assert look is not None
    assert (look.at, len(source.asked)) == (stage.scene.now, 2), "one request a check"
    errors, margin = look.measured["errors"], look.measured["margin"]
    assert isinstance(errors, Sample)
    assert (errors.candidate.requests, errors.candidate.bad) == (400, 2)
    assert getattr(margin, "requests", None) == 400, "the other check's count"
    assert stage.counts == ["success", "success"]
    assert stage.measurer.look(KEY, stage.status) is look
    assert len(source.asked) == 2, "the same look was taken twice"


async def test_the_settings_matchers_are_in_what_is_asked() -> None:
    source = Played()
    stage = Stage(source, 'cluster="eu"')
    stage.scene.wait(30)
    stage.measurer.look(KEY, stage.status)
    assert await stage.taken() is not None
    own, built_in = sorted((query for query, _ in source.asked), key=len)
    assert own == "margin"
    assert built_in.count('cluster="eu"') == built_in.count('namespace="payments"') > 0


async def test_a_source_that_hangs_holds_up_no_reconcile() -> None:
    source = Played()
    source.may_answer.clear()
    stage = Stage(source)
    stage.scene.wait(30)
    for _ in range(3):
        assert stage.measurer.look(KEY, stage.status) is None
        await asyncio.sleep(0)
    assert len(source.asked) == 2, "asked again while it is asked"
    source.may_answer.set()
    assert await stage.taken() is not None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Played(wrong=MetricsError("Prometheus cannot be reached: refused")), "cannot be reached"),
        (None, "set settings.prometheusUrl"),
    ],
)
async def test_what_the_source_cannot_tell_is_said(source: Played | None, words: str) -> None:
    stage = Stage(source)
    stage.scene.wait(30)
    stage.measurer.look(KEY, stage.status)
    look = await stage.taken()
    assert look is not None
    for measured in look.measured.values():
        assert isinstance(measured, Unknown)
        assert words in measured.message


async def test_a_bug_in_one_look_is_not_the_end() -> None:
    stage = Stage(Played(wrong=ZeroDivisionError()))
    stage.scene.wait(30)
    stage.measurer.look(KEY, stage.status)
    await asyncio.sleep(0.01)
    assert stage.queue.failures(KEY) == 1, "it is looked at again, later"
    assert stage.measurer.look(KEY, stage.status) is None


async def test_what_is_over_is_forgotten() -> None:
    stage = Stage(Played())
    stage.scene.wait(30)
    stage.measurer.look(KEY, stage.status)
    look = await stage.taken()
    assert look is not None
    assert look.at == stage.scene.now
    assert stage.measurer.look(KEY, ModelDeploymentStatus()) is None
    await stage.measurer.close()
