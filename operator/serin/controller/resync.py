"""Every few minutes: what do the lists say that the watches did not?

A watch may end silently, or skip an object that was deleted while it reconnected. This reads everything live, heals the
caches, and puts every ModelDeployment into the queue's backlog. At rest it costs a few reads and no write.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from functools import partial

import structlog

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import Kind
from serin.cluster.client import NOT_FOUND
from serin.cluster.client import Client
from serin.cluster.client import Json
from serin.controller.apart import apart
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.handlers import CHILDREN
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.errors import ClusterError

log = structlog.get_logger(__name__)

GATHER_SECONDS = 2.0
RETRY_SECONDS = 5.0

Part = Callable[[], Awaitable[None]]


async def resync(round_of: Callable[[], Iterable[Part]], missed: asyncio.Event, every: float) -> None:
    """Do it for ever, every so many seconds and a little jitter, and at once when watches may have ``missed``
    something. What failed is told, and done again soon, and then ever later."""
    after = every
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(missed.wait(), after * random.uniform(0.9, 1.1))  # noqa: S311 (no secret)
            # One kind was listed anew: mostly others are, too.
            await asyncio.sleep(GATHER_SECONDS)
        missed.clear()
        failed = False
        for part in round_of():
            try:
                await part()
            except ClusterError as error:
                log.warning("resync failed", error=error.message)
                failed = True
        after = every if not failed else min(every, RETRY_SECONDS if after == every else 2 * after)


def parts(
    client: Client,
    queue: Queue,
    parents: Parents,
    children: Children,
    policies: Policies,
    registries: Registries,
) -> Iterator[Part]:
    """One round, in parts of which each can fail, and be done again, alone."""
    yield lambda: policies.refresh(client)
    yield registries.refresh
    yield lambda: _parents(client, queue, parents, registries)
    for kind in CHILDREN:
        yield partial(_heal, client, queue, children, kind)
    yield partial(_all_of_them, queue, parents)


async def _parents(client: Client, queue: Queue, parents: Parents, registries: Registries) -> None:
    known = set(parents.all())
    present = set()
    async for body in _all(client, MODEL_DEPLOYMENT):
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        present.add(key)
        with apart(MODEL_DEPLOYMENT, body):
            parents.put(body)
            if parents.holds(body):
                # A list of many pages is seconds old at its end.
                registries.note(key, body["spec"])
    for key in known - present:
        # Absent from a list is a reason to look, not a proof: it may be younger than the list.
        await _look(client, queue, parents, key)


async def _all_of_them(queue: Queue, parents: Parents) -> None:
    for key in parents.all():
        queue.add(key, fresh=False)


async def _look(client: Client, queue: Queue, parents: Parents, key: Key) -> None:
    cached = parents.get(key)
    live = await client.get(MODEL_DEPLOYMENT, key.namespace, key.name)
    if live is not None:
        with apart(MODEL_DEPLOYMENT, live):
            parents.put(live)
    elif cached is not None and parents.drop(key, cached["metadata"]["uid"]):
        log.warning("a watch had missed a deletion", kind=MODEL_DEPLOYMENT.kind, name=key.name)
        queue.add(key)


async def _heal(client: Client, queue: Queue, children: Children, kind: Kind) -> None:
    known = dict(children.known(kind))
    present = set()
    async for body in _all(client, kind, DEPLOYMENT_LABEL):
        present.add(body["metadata"]["uid"])
        with apart(kind, body):
            parent = children.put(kind, body)
            if parent is not None:
                queue.add(parent, fresh=False)
    for key, uid in known.items():
        if uid in present:
            continue
        live = await client.get(kind, key.namespace, key.name)
        if live is None or live["metadata"]["uid"] != uid:
            parent = children.forget(kind, key, uid)
            if parent is not None:
                log.warning("a watch had missed a deletion", kind=kind.kind, name=key.name)
                queue.add(parent)


async def _all(client: Client, kind: Kind, selector: str = "") -> AsyncIterator[Json]:
    """The objects of the kind, one page of them in memory; none where the cluster does not have the kind."""
    try:
        async for page in client.pages(kind, selector=selector):
            for body in page:
                yield body
    except ClusterError as error:
        if error.status != NOT_FOUND:
            raise
