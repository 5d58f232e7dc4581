"""Filling the caches from an API server that does not always answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import ROLLOUT_POLICY
from serin.controller.app import prime
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.handlers import CHILDREN
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.controller.resync import Part
from serin.controller.resync import parts
from serin.controller.resync import resync
from serin.controller.telemetry import Telemetry
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.virtual import VirtualTime
from tests.unit.rollout.scene import START

KINDS = (ROLLOUT_POLICY, MODEL_REGISTRY, MODEL_DEPLOYMENT, *CHILDREN)
KEY = Key("payments", "fraud")


@pytest.fixture(scope="module")
def event_loop_policy() -> VirtualTime:
    return VirtualTime()


class Caches:
    def __init__(self) -> None:
        self.api, self.queue, self.parents, self.children = FakeApi(), Queue(), Parents(), Children()
        self.policies = Policies("serin-system", self.queue, self.parents)
        self.registries = Registries("serin-system", self.api.client, self.queue, Telemetry(), lambda: START)
        self.api.put(MODEL_DEPLOYMENT, {"metadata": {"name": "fraud", "namespace": "payments"}, "spec": {}})

    async def prime(self) -> None:
        await prime(self.parts())

    def parts(self) -> Iterator[Part]:
        return parts(self.api.client, self.queue, self.parents, self.children, self.policies, self.registries)


async def test_each_list_is_read_once_more_for_each_time_it_fails() -> None:
    """One that answers every second request would otherwise be read two to the power of the number of lists times."""
    caches = Caches()
    for kind in KINDS:
        caches.api.refuse("list", kind, 503)
    await caches.prime()
    assert Counter(caches.api.reads) == {f"list {kind.kind}": 2 for kind in KINDS}
    assert (await caches.queue.get())[0] == KEY


async def test_a_list_that_fails_keeps_no_other_from_being_healed() -> None:
    caches = Caches()
    route = {"metadata": {"name": "fraud", "namespace": "payments", "labels": {"serin.dev/modeldeployment": "fraud"}}}
    caches.api.put(HTTP_ROUTE, {**route, "spec": {}})
    for kind in KINDS:
        if kind is not HTTP_ROUTE:
            caches.api.refuse("list", kind, 500)
    running = asyncio.create_task(resync(caches.parts, asyncio.Event(), 600))
    assert (await caches.queue.get())[0] == KEY
    assert list(caches.children.known(HTTP_ROUTE))
    assert caches.parents.all() == []
    running.cancel()


async def test_what_watches_missed_is_looked_for_at_once() -> None:
    caches = Caches()
    await caches.prime()
    caches.queue.done((await caches.queue.get())[0])
    caches.api.remove(MODEL_DEPLOYMENT, "payments", "fraud")
    missed, loop = asyncio.Event(), asyncio.get_running_loop()
    before = loop.time()
    running = asyncio.create_task(resync(caches.parts, missed, 600))
    missed.set()
    async with asyncio.timeout(500):
        while caches.parents.all():  # noqa: ASYNC110 (of somebody else's state, which has no event)
            await asyncio.sleep(1)
    assert loop.time() - before < 10
    running.cancel()


async def test_what_fails_is_done_again_soon_and_not_for_ever() -> None:
    caches, loop = Caches(), asyncio.get_running_loop()
    for _ in range(3):
        caches.api.refuse("list", MODEL_DEPLOYMENT, 500)
    running = asyncio.create_task(resync(caches.parts, asyncio.Event(), 600))
    await caches.queue.get()
    # Ten minutes, and then 5, 10 and 20 seconds, each give or take a tenth.
    assert 540 + 31 <= loop.time() - 1000 <= 660 + 39
    assert caches.api.reads.count(f"list {MODEL_DEPLOYMENT.kind}") == 4
    running.cancel()
