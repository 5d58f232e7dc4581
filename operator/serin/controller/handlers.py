"""What kopf is used for: watching. Each handler takes an event into a cache and puts a key into the queue.

Only ``on.event`` handlers: change handlers, daemons and timers write annotations and finalizers on the objects, and a
finalizer makes a deletion wait for the operator. They return nothing: kopf would write it into the status.
"""

from __future__ import annotations

from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import cast

import kopf
from kopf._core.reactor.inventory import ResourceMemories
from kopf._core.reactor.inventory import ResourceMemory

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.queue import Key
from serin.controller.queue import Queue

CHILDREN = (INFERENCE_SERVICE, HTTP_ROUTE, AUTOSCALER, WORKLOAD, POD)

Sink = Callable[[str | None, dict[str, Any]], None]
"""Takes the type of an event (None: found by listing) and the object."""


def watch(
    queue: Queue,
    parents: Parents,
    children: Children,
    others: Mapping[Kind, Sink],
    note: Callable[[Key, dict[str, Any]], None],
    login: Callable[[], Awaitable[kopf.AiohttpSession]],
) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own.

    ``others`` takes the kinds that are no children, ``note`` hears of every spec, and ``login`` is asked for a session
    at the start and after a 401.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def session(**_: Any) -> kopf.AiohttpSession:
        return await login()

    on(registry, MODEL_DEPLOYMENT, _parent_sink(queue, parents, note))
    for kind in CHILDREN:
        on(registry, kind, _child_sink(kind, queue, children), labels={DEPLOYMENT_LABEL: kopf.PRESENT})
    for kind, sink in others.items():
        on(registry, kind, sink)
    return registry


class NoEssence(kopf.DiffBaseStorage):
    """kopf's memory of the last state, switched off: it is for change handlers, and there are none.

    By default the object of every event is copied in depth, a tenth of all that the operator does in a busy moment.
    """

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing of the object counts."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing is remembered."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is written on the object."""


class NoMemories(ResourceMemories):
    """kopf's memory of each object, switched off: it is for change handlers and daemons, and there are none.

    By default a kilobyte is kept for every object that was ever seen, until it is deleted.
    """

    async def recall(
        self, raw_body: kopf.RawBody, *, memobase: Any = None, noticed_by_listing: bool = False, ephemeral: bool = False
    ) -> ResourceMemory:
        """A memory for one event."""
        return await super().recall(raw_body, memobase=memobase, noticed_by_listing=noticed_by_listing, ephemeral=True)


def settings() -> kopf.OperatorSettings:
    """kopf's settings. Long ones of its defaults are shortened, and what it writes is switched off."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.watching.connect_timeout = 5
    # kopf's task for an object holds it whole until the task ends, by default after five idle seconds. At a start that
    # would be every object of the cluster at once, and a process does not give such memory back.
    chosen.watching.chunk_size = 50
    chosen.queueing.idle_timeout = 0.1
    chosen.persistence.diffbase_storage = NoEssence()
    for kind in CHILDREN:
        # Selected by the API server: pods of others never reach us.
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = DEPLOYMENT_LABEL
    return chosen


def on(registry: kopf.OperatorRegistry, kind: Kind, sink: Sink, **filters: Any) -> None:
    """Every event of the kind goes to the sink."""

    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural, **filters)
    async def handle(event: kopf.RawEvent, **_: Any) -> None:
        sink(event["type"], cast("dict[str, Any]", event["object"]))


def _parent_sink(queue: Queue, parents: Parents, note: Callable[[Key, dict[str, Any]], None]) -> Sink:
    def take(event: str | None, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        if event == "DELETED":
            parents.drop(key, metadata["uid"])
            queue.add(key)
            return
        if parents.put(body):
            queue.add(key, fresh=event is not None)
        if parents.holds(body):
            # Also what was known already: a live read may have brought it, which tells nobody.
            note(key, body["spec"])

    return take


def _child_sink(kind: Kind, queue: Queue, children: Children) -> Sink:
    def take(event: str | None, body: dict[str, Any]) -> None:
        before = children.whose(kind, body)
        parent = children.drop(kind, body) if event == "DELETED" else children.put(kind, body)
        if parent is None:
            return
        queue.add(parent, fresh=event is not None)
        if before is not None and before != parent:
            # Its label was changed by hand.
            queue.add(before, fresh=event is not None)

    return take
