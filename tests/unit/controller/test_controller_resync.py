"""Filling the caches from an API server that does not always answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import ROLLOUT_POLICY
from serin.api.kinds import Kind
from serin.controller.app import prime
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.handlers import CHILDREN
from serin.controller.handlers import _child_sink
from serin.controller.handlers import _parent_sink
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.controller.resync import Part
from serin.controller.resync import parts
from serin.controller.resync import resync
from serin.controller.telemetry import Telemetry
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.test_controller_reconcile import nested
from tests.unit.controller.virtual import VirtualTime
from tests.unit.rollout.scene import START

Json = dict[str, Any]
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


def route(of: str) -> Json:
    """A child of that ModelDeployment."""
    metadata = {"name": "fraud", "namespace": "payments", "labels": {DEPLOYMENT_LABEL: of}}
    return {"metadata": metadata, "spec": {}}


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
    caches.api.put(HTTP_ROUTE, route("fraud"))
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


def following(caches: Caches, model: str) -> Json:
    """The ModelDeployment follows an alias of this model from now on."""
    spec = {"model": {"name": model, "alias": "champion"}}
    return caches.api.put(MODEL_DEPLOYMENT, {"metadata": {"name": "fraud", "namespace": "payments"}, "spec": spec})


class Overtaken(Caches):
    """While the list of ModelDeployments is on its way, something happens, and the watch tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.watch = _parent_sink(self.queue, self.parents, self.registries.note)
        self.watch("ADDED", following(self, "iris"))
        self.meanwhile: Callable[[], None] = lambda: None
        real = self.api.pages

        async def late(kind: Kind, *, namespace: str | None = None, selector: str = "") -> AsyncIterator[list[Json]]:
            found = [page async for page in real(kind, namespace=namespace, selector=selector)]
            if kind is MODEL_DEPLOYMENT:
                self.meanwhile()
            for page in found:
                yield page

        monkeypatch.setattr(self.api, "pages", late)

    @property
    def followed(self) -> frozenset[str]:
        return self.registries._uses.followed("default")


async def test_what_is_followed_is_what_the_newest_spec_says(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = Overtaken(monkeypatch)
    caches.meanwhile = lambda: caches.watch("MODIFIED", following(caches, "wine"))
    await caches.prime()
    assert caches.followed == {"wine"}


async def test_what_is_gone_is_not_followed_by_an_old_list(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = Overtaken(monkeypatch)

    def goes() -> None:
        body = caches.api.of(MODEL_DEPLOYMENT, *KEY)
        caches.api.remove(MODEL_DEPLOYMENT, *KEY)
        caches.watch("DELETED", body)
        caches.registries.forget(KEY)

    caches.meanwhile = goes
    await caches.prime()
    assert caches.followed == frozenset()


async def test_a_late_word_of_the_former_one_of_the_name_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf keeps the order of the events of one object, not of two."""
    caches = Overtaken(monkeypatch)
    former = following(caches, "iris")
    caches.api.remove(MODEL_DEPLOYMENT, *KEY)
    caches.watch("ADDED", following(caches, "wine"))
    caches.watch("MODIFIED", former)
    caches.watch("DELETED", former)
    assert caches.followed == {"wine"}


async def test_a_spec_that_a_live_read_has_brought_is_noted_when_the_watch_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caches = Overtaken(monkeypatch)
    body = following(caches, "wine")
    caches.parents.put(body)
    caches.watch("MODIFIED", body)
    assert caches.followed == {"wine"}


@pytest.mark.parametrize("event", ["MODIFIED", None])
async def test_who_loses_a_child_by_its_label_is_looked_at_as_well(event: str | None) -> None:
    caches = Caches()
    watch = _child_sink(HTTP_ROUTE, caches.queue, caches.children)

    watch("ADDED", caches.api.put(HTTP_ROUTE, route("fraud")))
    assert [(await caches.queue.get())[0] for _ in range(len(caches.queue))] == [KEY]
    caches.queue.done(KEY)
    watch(event, caches.api.put(HTTP_ROUTE, route("another")))
    assert {(await caches.queue.get())[0] for _ in range(len(caches.queue))} == {KEY, Key("payments", "another")}


async def test_what_went_unseen_is_looked_at_once_more() -> None:
    """Its series, and what it followed, end with that look."""
    caches = Caches()
    await caches.prime()
    caches.queue.done((await caches.queue.get())[0])
    caches.api.remove(MODEL_DEPLOYMENT, *KEY)
    for part in caches.parts():
        await part()
    assert caches.parents.all() == []
    assert (await asyncio.wait_for(caches.queue.get(), 1))[0] == KEY


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_that_cannot_be_taken_keeps_nobody_elses_from_being_taken(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches, metadata = Caches(), route("fraud")["metadata"]
    caches.api.objects.clear()
    caches.api.put(kind, {"metadata": {**metadata, "namespace": "serin-system", "name": "broken"}, "spec": {}})
    for one in (MODEL_DEPLOYMENT, *CHILDREN):
        caches.api.put(one, {"metadata": metadata, "spec": {}})
    for taking in (Children, Parents):
        monkeypatch.setattr(taking, "put", breaking(taking.put))
    await caches.prime()
    assert caches.parents.all() == [KEY]
    for child in CHILDREN:
        assert [key.name for key, _ in caches.children.known(child)] == ["fraud"]


def breaking(put: Callable[..., Any]) -> Callable[..., Any]:
    def take(self: Any, *args: Any) -> Any:
        if args[-1]["metadata"]["name"] == "broken":
            raise RecursionError("maximum recursion depth exceeded")
        return put(self, *args)

    return take


@pytest.mark.usefixtures("any_depth")
async def test_objects_that_are_nested_deeper_than_python_likes_are_taken() -> None:
    """Anybody may write managedFields, and a ModelDeployment's overrides."""
    caches, deep = Caches(), nested(4000)
    caches.api.put(
        MODEL_DEPLOYMENT,
        {"metadata": {"name": "fraud", "namespace": "payments"}, "spec": {"serving": {"overrides": deep}}},
    )
    body = route("fraud")
    body["metadata"]["managedFields"] = [{"manager": "m", "fieldsV1": {"f:spec": {"f:a": deep}}}]
    for kind in CHILDREN:
        caches.api.put(kind, body)
    await caches.prime()
    assert caches.parents.get(KEY) is not None
    for kind in CHILDREN:
        assert [key.name for key, _ in caches.children.known(kind)] == ["fraud"]
