"""What the gates of a rollout look at: the signature of a version, which never changes, and its metrics, which may.

Metrics are read when a rollout is to start, and anew from time to time as long as they keep it from starting.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.errors import RegistryError
from serin.registry.facts import VersionFacts
from serin.registry.signature import unpack

CAPACITY = 256
"""Versions whose metrics are kept; few rollouts start at a time."""
FRESH_SECONDS = 300.0
"""How old metrics may be. A version that waits for a metric to be logged costs two requests in that time."""

_Key = tuple[str | None, str | None]
"""The run and the logged model that the metrics are of: those of a version that was made anew are others."""


class Facts(Protocol):
    """What never changes of a version."""

    async def facts(self, name: str, version: int) -> VersionFacts:
        """Everything about one version."""


class Measured(Protocol):
    """What may change of a version."""

    async def metrics(self, run_id: str | None, model_id: str | None) -> tuple[Metric, ...]:
        """The last values of its metrics."""


@dataclass(frozen=True, slots=True)
class _Known:
    metrics: tuple[Metric, ...]
    at: float


class Recorder:
    """Records of the versions of one ModelRegistry. ``clock``: monotonic seconds."""

    def __init__(self, registry: Measured, facts: Facts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._facts = facts
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        # One at a time: resolutions find free threads beside it.
        self._slot = asyncio.Lock()

    async def record(self, name: str, version: int, digest: str, *, metrics: bool, fresh: bool) -> Record:
        """What the registry has of the version, whose MLmodel file must be the one with this digest.

        ``metrics``: whether they are asked for; ``fresh``: whether what is kept of them is not good enough. Raises
        RegistryError where the version or its metrics cannot be read.
        """
        facts = await self._facts.facts(name, version)
        label = f"v{version}"
        if facts.digest != digest:
            why = "is another one in the registry than when the version was deployed or resolved: it was made anew"
            return Record(label, Unreadable(why), Unreadable(f"it {why}"))
        found = await self._metrics(facts.run_id, facts.model_id, fresh=fresh) if metrics else ()
        return Record(label, unpack(facts.signature), found)

    async def _metrics(self, run_id: str | None, model_id: str | None, *, fresh: bool) -> tuple[Metric, ...]:
        key, asked = (run_id, model_id), self._clock()
        async with self._slot:
            known = self._known.get(key)
            oldest = asked if fresh else asked - FRESH_SECONDS
            if known is not None and known.at >= oldest:
                return known.metrics
            at = self._clock()
            found = await self._registry.metrics(run_id, model_id)
            self._known[key] = _Known(found, at)
            self._known.move_to_end(key)
            while len(self._known) > CAPACITY:
                self._known.popitem(last=False)
            return found


def unknown(version: int, error: RegistryError) -> Record:
    """The record of a version that the registry does not have any more."""
    return Record(f"v{version}", Unreadable(f"cannot be read: {error.message}"), Unreadable(error.message))
