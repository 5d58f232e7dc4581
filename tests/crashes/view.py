"""What really is, and was: every state of every object in a namespace, as the API server tells a client of our own."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import TypeVar

import aiohttp

from bench.kube import Kube
from serin.api.kinds import AUTOSCALER
from serin.api.kinds import EVENT
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind

Json = dict[str, Any]
T = TypeVar("T")

SEEN = (MODEL_DEPLOYMENT, MODEL_REGISTRY, INFERENCE_SERVICE, HTTP_ROUTE, AUTOSCALER, WORKLOAD, EVENT)
OURS = (INFERENCE_SERVICE, HTTP_ROUTE, AUTOSCALER)
"""Children that the operator makes itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object in one state. ``version`` orders the changes of all kinds: there is one etcd."""

    version: int
    event: str
    kind: Kind
    body: Json

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.body["metadata"]["name"])


class Past:
    """One namespace: what there is, and everything there was."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.objects: dict[tuple[Kind, str], Json] = {}
        self.changed = asyncio.Event()

    def take(self, change: Change) -> None:
        """One more change."""
        self.changes.append(change)
        if change.event == "DELETED":
            self.objects.pop((change.kind, change.name), None)
        else:
            self.objects[change.kind, change.name] = change.body
        self.changed.set()

    def get(self, kind: Kind, name: str) -> Json | None:
        """The object as it is now."""
        return self.objects.get((kind, name))

    def ordered(self) -> list[Change]:
        """All changes in the order in which they happened."""
        return sorted(self.changes, key=lambda change: change.version)

    def made_and_gone(self, since: int) -> Counter[str]:
        """How many objects of each kind were created and deleted after that version."""
        return Counter(
            f"{change.kind.kind} {'created' if change.event == 'ADDED' else 'deleted'}"
            for change in self.changes
            if change.version > since and change.kind in OURS and change.event != "MODIFIED"
        )

    def latest(self) -> int:
        """The version of the last change."""
        return max((change.version for change in self.changes), default=0)

    async def until(self, look: Callable[[], T | None], what: str, seconds: float) -> T:
        """Wait until it gives something, looking whenever something has changed."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self.changed.clear()
                    found = look()
                    if found:
                        return found
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: not within {seconds:.0f} s") from None


class View:
    """All namespaces, kept by watches for as long as the block lasts."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._pasts: dict[str, Past] = defaultdict(Past)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> View:
        self._tasks = [asyncio.create_task(self._follow(kind)) for kind in SEEN]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def of(self, namespace: str) -> Past:
        """That namespace."""
        return self._pasts[namespace]

    def forget(self, namespace: str) -> None:
        """A run is over: thousands of states need not be kept."""
        self._pasts.pop(namespace, None)

    async def _follow(self, kind: Kind) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async for event, body in self._kube.follow(kind):
                    if event == "BOOKMARK":
                        continue
                    version = int(body["metadata"]["resourceVersion"])
                    self._pasts[body["metadata"]["namespace"]].take(Change(version, event, kind, body))
            await asyncio.sleep(0.2)
