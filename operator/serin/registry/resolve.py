"""From what a ModelDeployment names to the immutable version it stands for: the answer that is pinned in the status.

A version's facts never change, so they are kept for a while and many who ask make one request; what may change is
decided anew each time: the alias by the ``Follower``, the allowed location by ``place``.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from serin.api.modeldeployment import Model
from serin.api.modelregistry import Artifacts
from serin.api.status import Resolved
from serin.errors import RegistryError
from serin.registry.facts import VersionFacts
from serin.registry.flight import join
from serin.registry.place import place
from serin.registry.refusals import UnreachableError

CAPACITY = 4096
"""Versions that are kept, some kB each."""
FACTS_MEMORY = 300.0
"""Seconds. A model that is deleted and made again counts its versions from 1 again, and no listing tells of one that
nobody follows. What is pinned is not asked for, however old it is."""
FAILURE_MEMORY = 5.0
"""Seconds for which a failure is answered without asking again."""
AT_ONCE = 3
"""Versions that are asked for at a time: metrics and what is missing always find a free thread beside them."""

_Key = tuple[str, int]


class Versions(Protocol):
    """What the resolver asks of a registry."""

    async def version(self, name: str, version: int) -> VersionFacts:
        """Everything about one version."""


class Aliases(Protocol):
    """What the resolver asks of a follower."""

    async def alias(self, name: str, alias: str) -> int:
        """The version an alias points at."""


@dataclass(frozen=True, slots=True)
class _Known:
    facts: VersionFacts
    until: float


@dataclass(frozen=True, slots=True)
class _Failure:
    error: RegistryError
    until: float

    def copy(self) -> RegistryError:
        """A new exception: one that is raised twice would collect the tracebacks of all who got it."""
        return RegistryError(self.error.reason, self.error.message, transient=self.error.transient)


class Resolver:
    """Resolves the models of one ModelRegistry. ``server``: URL of the tracking server, where pods can fetch artifacts
    through it. ``clock``: monotonic seconds."""

    def __init__(
        self,
        registry: Versions,
        aliases: Aliases,
        *,
        server: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = CAPACITY,
    ) -> None:
        self._registry = registry
        self._aliases = aliases
        self._server = server
        self._clock = clock
        self._capacity = capacity
        self._known: OrderedDict[_Key, _Known | _Failure] = OrderedDict()
        self._flights: dict[_Key, asyncio.Task[VersionFacts]] = {}
        self._down: _Failure | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def resolve(self, model: Model, artifacts: Artifacts) -> Resolved:
        """The version that the model's version or alias stands for; ``resolved_at`` is the caller's to set.

        Raises RegistryError with the reason why there is none.
        """
        version = model.version
        if version is None:
            version = await self._aliases.alias(model.name, model.alias or "")
        facts = await self.facts(model.name, version)
        return Resolved(
            registry=model.registry,
            name=model.name,
            version=version,
            alias=model.alias,
            run_id=facts.run_id,
            model_id=facts.model_id,
            artifact_uri=place(facts.artifact_uri, artifacts, model.registry, server=self._server),
            digest=facts.digest,
            flavors=facts.flavors,
        )

    def forget(self, names: Iterable[str]) -> None:
        """Drops what is kept of these models: one that is deleted and made again counts its versions from 1 again."""
        gone = frozenset(names)
        for key in [key for key in self._known if key[0] in gone]:
            del self._known[key]

    async def facts(self, name: str, version: int) -> VersionFacts:
        """What never changes of a version. Raises RegistryError with the reason why it is not known."""
        key = name, version
        known = self._known.get(key)
        if known is not None and self._clock() < known.until:
            if isinstance(known, _Failure):
                raise known.copy()
            self._known.move_to_end(key)
            return known.facts
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._ask(key))
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await join(flight)

    def _landed(self, key: _Key, flight: asyncio.Task[VersionFacts]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at, so that asyncio does not report it where every waiter was cancelled

    async def _ask(self, key: _Key) -> VersionFacts:
        async with self._slots:
            if self._down is not None and self._clock() < self._down.until:
                raise self._down.copy()
            try:
                facts = await self._registry.version(*key)
            except RegistryError as error:
                failure = _Failure(error, self._clock() + FAILURE_MEMORY)
                if isinstance(error, UnreachableError):
                    self._down = failure
                else:
                    self._keep(key, failure)
                raise
        self._down = None
        self._keep(key, _Known(facts, self._clock() + FACTS_MEMORY))
        return facts

    def _keep(self, key: _Key, value: _Known | _Failure) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
