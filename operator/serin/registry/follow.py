"""Follows the aliases of one registry: one request a poll for all models, however many deployments follow them.

Polling is all there is: MLflow's webhooks are silent when a version with an alias is deleted, and moving an alias
changes no timestamp that could be asked for. The controller tells what to follow and is told what moved; time, sleep
and chance are given from outside.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from types import MappingProxyType
from typing import Protocol

import structlog

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.flight import join
from serin.registry.refusals import UnreachableError
from serin.registry.refusals import shorten

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Share of the interval by which polls of several registries, and of several operators, drift apart."""
FAILURES_UNTIL_FAILING = 2
FIRST_RETRY = 2.0
LONGEST_BACK_OFF = 60.0
"""Seconds. A failed poll is one request, so the outage may last long without harm; its end shall be seen soon."""
LONGEST_PAUSE = 300.0
FAILURE_MEMORY = timedelta(seconds=5)
"""How long a failed poll answers for those who ask next, so that 1,000 of them do not ask a server that is down."""
MISSING_AT_ONCE = 1
"""Models in no listing that are asked for at a time: a login that may read none of 1,000 is no reason to ask for all of
them together."""


class Listed(Protocol):
    """What the follower asks of a registry."""

    @property
    def host(self) -> str:
        """Host and port, for messages."""

    async def listing(self, names: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        """Aliases of those of the models that exist."""

    async def server_version(self) -> str:
        """Version of the server."""

    async def missing(self, name: str) -> RegistryError:
        """Why a name is in no listing."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Why:
    """Why a model is in no listing, or that nobody can tell."""

    error: RegistryError
    until: datetime | None = None
    """When it is asked for again; None for what is certain until a listing has it."""


class Follower:
    """The aliases of one registry, as of its last good poll, and whether it can be polled.

    ``on_change(names)``: aliases of these models moved, came or went, or the models themselves did.
    ``on_health()``: ``failing_since``, ``error`` in reason or words, or ``server_version`` is another than before.
    Both are called in the event loop and must not block.
    """

    def __init__(
        self,
        registry: Listed,
        *,
        interval: float,
        on_change: Callable[[frozenset[str]], None],
        on_health: Callable[[], None],
        now: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.aliases: Mapping[str, Mapping[str, int]] = MappingProxyType({})
        self.last_success: datetime | None = None
        self.failing_since: datetime | None = None
        self.error: RegistryError | None = None
        self.server_version: str | None = None
        self._registry = registry
        self._interval = interval
        self._on_change = on_change
        self._on_health = on_health
        self._now = now
        self._sleep = sleep
        self._chance = chance
        self._followed: frozenset[str] = frozenset()
        self._listed: frozenset[str] = frozenset()
        self._disappointed: set[str] = set()
        self._missing: dict[str, _Why] = {}
        self._searches: dict[str, asyncio.Task[RegistryError]] = {}
        self._slots = asyncio.Semaphore(MISSING_AT_ONCE)
        self._away: _Why | None = None
        self._failures = 0
        self._first_failure: datetime | None = None
        self._last_failure: datetime | None = None
        self._flight: asyncio.Task[None] | None = None
        self._version_due = True

    @property
    def followed(self) -> frozenset[str]:
        """The models whose aliases are followed."""
        return self._followed

    def watch(self, names: Iterable[str]) -> None:
        """Sets what is followed. Called with all names before the first lookup, it makes that one request for all."""
        self._followed = frozenset(names)
        self._listed &= self._followed
        self._disappointed &= self._followed
        self.aliases = MappingProxyType({k: v for k, v in self.aliases.items() if k in self._followed})

    async def run(self) -> None:
        """Polls until it is cancelled."""
        try:
            while True:
                await self._poll()
                await self._sleep(self._pause())
        finally:
            for flight in (self._flight, *self._searches.values()):
                if flight is not None:
                    flight.cancel()

    async def alias(self, name: str, alias: str) -> int:
        """The version that the alias points at, as of the last good poll; asks at once for a model not followed yet.

        Raises RegistryError: ModelNotFound, NotAModel or AliasNotFound by the last listing, or why there is none.
        """
        while name not in self._listed:
            self._raise_if_just_failed(name)
            self._followed |= {name}
            await self._poll()
        aliases = self.aliases.get(name)
        if aliases is None:
            raise await self._why_missing(name)
        if alias not in aliases:
            raise self._no_alias(name, alias, aliases)
        return aliases[alias]

    def says_otherwise(self, name: str, alias: str, version: int) -> bool:
        """Whether the alias is another version's by the last good poll, or nobody's, or the model is in no listing."""
        return name in self._listed and self.aliases.get(name, {}).get(alias) != version

    async def _why_missing(self, name: str) -> RegistryError:
        """Asked for once a poll at most, however many want to know and whatever comes of it: a deployment that names no
        model is looked at again and again."""
        known = self._missing.get(name)
        if known is not None and (known.until is None or self._now() < known.until):
            return _again(known.error)
        search = self._searches.get(name)
        if search is None:
            search = self._searches[name] = asyncio.create_task(self._search(name))
            search.add_done_callback(lambda _: self._searches.pop(name))
        return _again(await join(search))

    async def _search(self, name: str) -> RegistryError:
        """What the registry says of a model that it did not list; what it does not say is kept like that."""
        async with self._slots:
            try:
                if self._away is not None and self._away.until is not None and self._now() < self._away.until:
                    # Whoever waits behind it would wait as long for the same.
                    raise _again(self._away.error)
                error = await self._registry.missing(name)
                certain = not error.transient
            except RegistryError as failure:
                error, certain = failure, False
                if isinstance(failure, UnreachableError):
                    self._away = _Why(failure, self._now() + FAILURE_MEMORY)
        if name in self._listed and name not in self.aliases:
            until = None if certain else self._now() + timedelta(seconds=self._interval)
            self._missing[name] = _Why(error, until)
        return error

    def _no_alias(self, name: str, alias: str, aliases: Mapping[str, int]) -> RegistryError:
        known = shorten(", ".join(sorted(aliases)) or "none", 60)
        message = (
            f"MLflow at {self._registry.host} has no alias {shorten(alias, 40)!r} of model {shorten(name, 60)!r} "
            f"(it has: {known}): set it there, or check spec.model.alias."
        )
        return RegistryError(Reason.ALIAS_NOT_FOUND, shorten(message), transient=False)

    def _raise_if_just_failed(self, name: str) -> None:
        if self.error is None or self._last_failure is None or self._now() - self._last_failure > FAILURE_MEMORY:
            return
        self._disappointed.add(name)
        raise _again(self.error)

    async def _poll(self) -> None:
        """Joins the poll under way or starts one. A failure is remembered, not raised."""
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._poll_now())
        await join(self._flight)

    async def _poll_now(self) -> None:
        before = self._health()
        names = self._followed
        try:
            listing = await self._registry.listing(names)
        except RegistryError as error:
            self._failed(error)
        except Exception as error:  # a bug must not end the poll: what was listed last would count for ever
            log.exception("a poll broke (this is a bug, please report it)", registry=self._registry.host)
            what = f"could not be asked ({type(error).__name__}): see the operator's log"
            message = f"MLflow at {self._registry.host} {what}."
            self._failed(RegistryError(Reason.REGISTRY_UNAVAILABLE, message, transient=True))
        else:
            if self._version_due:
                self.server_version = await self._version()
            self._succeeded(names, listing)
        if before != self._health():
            self._on_health()

    async def _version(self) -> str | None:
        """None where only the API itself is let through: the version is for people, nothing depends on it."""
        self._version_due = False
        try:
            return await self._registry.server_version()
        except RegistryError:
            return None

    def _health(self) -> tuple[object, ...]:
        error = (self.error.reason, self.error.message) if self.error else None
        return self.failing_since, error, self.server_version, self.last_success is None

    def _failed(self, error: RegistryError) -> None:
        self._last_failure = self._now()
        self._first_failure = self._first_failure or self._last_failure
        self._failures += 1
        self._version_due = True
        self.error = error
        if self._failures >= FAILURES_UNTIL_FAILING:
            self.failing_since = self._first_failure

    def _succeeded(self, names: frozenset[str], listing: Mapping[str, Mapping[str, int]]) -> None:
        self._failures = 0
        self._first_failure = self._last_failure = self.failing_since = self.error = None
        self.last_success = self._now()
        names &= self._followed
        known = names & self._listed
        changed = {name for name in known if self.aliases.get(name) != listing.get(name)}
        changed |= self._disappointed & names
        self._disappointed -= names
        # What was asked for meanwhile stays unknown until the next poll.
        self._listed = names
        self.aliases = MappingProxyType({name: listing[name] for name in sorted(names & listing.keys())})
        self._missing = {name: why for name, why in self._missing.items() if name in names and name not in listing}
        if changed:
            self._on_change(frozenset(changed))

    def _pause(self) -> float:
        """Seconds until the next poll."""
        pause = self._interval
        if self._failures == 1:
            pause = min(FIRST_RETRY, pause)
        elif self._failures > 1:
            doubled = pause * 2.0 ** min(self._failures - 2, 16)
            pause = min(LONGEST_PAUSE, max(pause, min(LONGEST_BACK_OFF, doubled)))
        return pause * (1 + JITTER * (2 * self._chance() - 1))


def _again(error: RegistryError) -> RegistryError:
    """The same error to raise once more: one object would collect the tracebacks of all who get it."""
    return RegistryError(error.reason, error.message, transient=error.transient)
