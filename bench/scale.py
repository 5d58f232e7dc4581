"""Many objects: created at once, at rest, and met again after a restart."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from bench.objects import NAMESPACE
from bench.stage import OPERATOR_USER
from bench.stage import Stage
from bench.trail import Answered
from bench.trail import by_verb
from bench.trail import writes
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import ROLLOUT_POLICY
from serin.controller.handlers import CHILDREN

# What follows a settled rollout: the last events, a drained revision that goes.
QUIET_SECONDS = 5.0
WATCHED = frozenset(kind.plural for kind in (MODEL_DEPLOYMENT, MODEL_REGISTRY, ROLLOUT_POLICY, *CHILDREN))


@dataclass(frozen=True, slots=True)
class Burst:
    """All objects created at once."""

    creating: float
    """Seconds that the creation of the ModelDeployments took, which the operator cannot outrun."""
    written: float
    """Seconds from the first ModelDeployment's creation to the last InferenceService's."""
    healthy: float
    """Seconds until the last one was Healthy; KServe's one worker and the played nodes included."""
    writes: Counter[str]
    """Writes of the operator until then, by resource."""
    cpu: float
    """Processor seconds of the operator until then."""
    resident: float
    """MiB afterwards."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A while in which nothing happens."""

    seconds: float
    requests: Counter[str]
    """The operator's requests to the API server by verb."""
    polls: int
    """Its requests for a listing of the registry."""
    cpu: float
    resident: float


@dataclass(frozen=True, slots=True)
class Restart:
    """The operator ended and started anew, with all objects settled."""

    ready: float
    """Seconds from the start of the process until it calls itself ready."""
    looked_at: float
    """Seconds from the start of the process until every object was reconciled and nothing waits."""
    looks: int
    """Reconciles until then."""
    watching: float
    """Seconds until the last watch runs: each lists everything first, whatever was read before."""
    writes: int
    cpu: float
    resident: float


async def burst(stage: Stage, count: int) -> Burst:
    """Create all at once and wait until all are Healthy."""
    await stage.operator.looked_at(0)
    stage.trail.skip()
    used = stage.operator.process.cpu_seconds()
    began = time.monotonic()
    creating = await stage.create(count)
    await stage.settled()
    healthy = time.monotonic() - began
    await stage.operator.looked_at(count)
    await asyncio.sleep(QUIET_SECONDS)
    answered = stage.trail.read()
    times = {
        resource: [
            one.at for one in answered if (one.verb, one.resource, one.namespace) == ("create", resource, NAMESPACE)
        ]
        for resource in ("modeldeployments", "inferenceservices")
    }
    return Burst(
        creating=creating,
        written=max(times["inferenceservices"]) - min(times["modeldeployments"]),
        healthy=healthy,
        writes=Counter(one.resource for one in writes(answered, OPERATOR_USER)),
        cpu=stage.operator.process.cpu_seconds() - used,
        resident=stage.operator.process.resident_mebibytes(),
    )


async def rest(stage: Stage, seconds: float) -> Rest:
    """Watch it do nothing."""
    await asyncio.sleep(QUIET_SECONDS)
    stage.trail.skip()
    polls, used = stage.registry.listings, stage.operator.process.cpu_seconds()
    await asyncio.sleep(seconds)
    return Rest(
        seconds=seconds,
        requests=by_verb(stage.trail.read(), OPERATOR_USER),
        polls=stage.registry.listings - polls,
        cpu=stage.operator.process.cpu_seconds() - used,
        resident=stage.operator.process.resident_mebibytes(),
    )


async def restart(stage: Stage) -> Restart:
    """Restart the operator and wait until it has looked at everything."""
    await asyncio.to_thread(stage.operator.process.stop)
    stage.trail.skip()
    began, since = time.monotonic(), time.time()
    stage.operator.start()
    await stage.operator.ready()
    ready = time.monotonic() - began
    looks = await stage.operator.looked_at(stage.objects)
    looked_at = time.monotonic() - began
    answered: list[Answered] = []
    await stage.until(lambda: _watched(stage, answered).keys() >= WATCHED, "all watches run")
    await asyncio.sleep(QUIET_SECONDS)
    watched = _watched(stage, answered)
    return Restart(
        ready=ready,
        looked_at=looked_at,
        looks=looks,
        watching=max(watched[resource] for resource in WATCHED) - since,
        writes=len(writes(answered, OPERATOR_USER)),
        cpu=stage.operator.process.cpu_seconds(),
        resident=stage.operator.process.resident_mebibytes(),
    )


def _watched(stage: Stage, answered: list[Answered]) -> dict[str, float]:
    """Reads on; when the operator's first watch of each resource began."""
    answered += stage.trail.read()
    begun: dict[str, float] = {}
    for one in answered:
        if (one.user, one.verb) == (OPERATOR_USER, "watch"):
            begun.setdefault(one.resource, one.at)
    return begun
