"""From a change to the InferenceService: the operator beside the bare client, in turns, on the same API server.

Both ends are read from the API server's audit log: the answer to the change and the answer to the creation, one clock
in microseconds. A moved alias begins when the registry's listing first shows it (the poll's interval is a setting, not
a cost); its server runs in this process, by the same machine's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass

from bench.objects import BARE_NAMESPACE
from bench.objects import COPY
from bench.objects import NAMESPACE
from bench.objects import OPERATOR_NAMESPACE
from bench.objects import deployment
from bench.objects import env_change
from bench.objects import follows
from bench.objects import name_of
from bench.objects import version_change
from bench.process import Process
from bench.registry import Registry
from bench.stage import Stage
from bench.trail import Answered
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import Kind

FAST_POLL_SECONDS = 1.0
Change = Callable[[int, int], Awaitable[None]]
"""Makes the change of that number to the object of that index."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Seconds from each change to its InferenceService."""

    ours: list[float]
    bare: list[float]


async def contests(stage: Stage, changes: int, pause: float) -> dict[str, Contest]:
    """The three kinds of change, each made ``changes`` times to either contestant, ``pause`` seconds apart."""
    # Every second object follows an alias, so the first so many hold enough of either sort.
    async with _bare(stage, min(2 * changes, stage.objects)) as registry:
        found = {}
        for what, patch, chosen in (
            ("env", env_change, range(stage.objects)),
            ("version", version_change, [i for i in range(stage.objects) if not follows(i)]),
        ):
            ours, bare = (
                _patcher(stage, MODEL_DEPLOYMENT, NAMESPACE, patch),
                _patcher(stage, COPY, BARE_NAMESPACE, patch),
            )
            found[what] = await _contest(stage, ours, bare, chosen, changes, pause, None)
        following = [i for i in range(stage.objects) if follows(i)]
        await _poll_every(stage, FAST_POLL_SECONDS)
        ours, bare = _mover(stage.registry), _mover(registry)
        found["alias"] = await _contest(stage, ours, bare, following, changes, pause, registry)
    return found


@contextlib.asynccontextmanager
async def _bare(stage: Stage, copies: int) -> AsyncIterator[Registry]:
    """The bare client with so many objects of its own, and its registry."""
    registry = Registry()
    await registry.start()
    for index in range(copies):
        await stage.kube.create(COPY, BARE_NAMESPACE, deployment(index))
    # As many models as the operator's listing has: what is read must be as long.
    registry.champions.update((name_of(index), 1) for index in range(stage.objects))
    arguments = [stage.plane.url, str(stage.plane.pki), registry.url, str(FAST_POLL_SECONDS)]
    process = Process("bench.bare", arguments, stage.plane.folder / "bare.log", {})
    try:
        await stage.until(lambda: registry.listings > 1, "the bare client polls")
        yield registry
        process.check()
    finally:
        await asyncio.to_thread(process.stop)
        await registry.stop()


def _patcher(stage: Stage, kind: Kind, namespace: str, patch: Callable[[int], dict[str, object]]) -> Change:
    async def change(index: int, number: int) -> None:
        await stage.kube.patch(kind, namespace, name_of(index), patch(number))

    return change


def _mover(registry: Registry) -> Change:
    async def change(index: int, number: int) -> None:
        registry.champions[name_of(index)] = number

    return change


async def _poll_every(stage: Stage, interval: float) -> None:
    spec = {"spec": {"pollInterval": f"{interval:g}s"}}
    await stage.kube.patch(MODEL_REGISTRY, OPERATOR_NAMESPACE, "default", spec)
    seen = stage.registry.listings + 2
    await stage.until(lambda: stage.registry.listings >= seen, "the operator polls at the shorter interval")


async def _contest(
    stage: Stage,
    ours: Change,
    bare: Change,
    chosen: Iterable[int],
    changes: int,
    pause: float,
    registry: Registry | None,
) -> Contest:
    """``registry``: the bare client's, where what is changed is an alias."""
    indices = list(chosen)
    copies = min(len(indices), changes)
    if registry is not None:
        # An alias that moves twice between two polls is never seen where it was meanwhile.
        pause = max(pause, 1.5 * FAST_POLL_SECONDS / copies)
    await stage.settled()
    stage.trail.skip()
    made = [(name_of(indices[number % copies]), number + 2) for number in range(changes)]
    for turn, number in enumerate(range(2, changes + 2)):
        index = indices[turn % copies]
        # The one that goes second works beside what the first has set off: turn about.
        for change in (ours, bare) if turn % 2 else (bare, ours):
            await change(index, number)
            await asyncio.sleep(pause)
    answered: list[Answered] = []
    await stage.until(lambda: _all_created(stage, answered, 2 * changes), "all InferenceServices are written")
    await stage.settled()
    begun = (
        (_patched(answered, MODEL_DEPLOYMENT, NAMESPACE), _patched(answered, COPY, BARE_NAMESPACE))
        if registry is None
        else (_shown(stage.registry, made), _shown(registry, made))
    )
    return Contest(_until_created(begun[0], answered, NAMESPACE), _until_created(begun[1], answered, BARE_NAMESPACE))


def _all_created(stage: Stage, answered: list[Answered], count: int) -> bool:
    """Reads on; whether so many InferenceServices were created."""
    answered += stage.trail.read()
    return sum(_creates(one) for one in answered) >= count


def _creates(one: Answered) -> bool:
    return (one.verb, one.resource, one.code) == ("create", "inferenceservices", 201)


def _patched(answered: Iterable[Answered], kind: Kind, namespace: str) -> list[tuple[str, float]]:
    return [
        (one.name, one.at)
        for one in answered
        if (one.verb, one.resource, one.subresource, one.namespace) == ("patch", kind.plural, "", namespace)
    ]


def _shown(registry: Registry, made: list[tuple[str, int]]) -> list[tuple[str, float]]:
    return [(name, registry.shown[name, version]) for name, version in made]


def _until_created(begun: list[tuple[str, float]], answered: Iterable[Answered], namespace: str) -> list[float]:
    """Seconds from each beginning to its InferenceService: an object's first change is followed by its first creation.

    Paired by order, not by time: an answer to a change that lost its turn on a busy machine is written after the
    creation that the change led to, and what there is between them is below zero.
    """
    begins: dict[str, list[float]] = defaultdict(list)
    created: dict[str, list[float]] = defaultdict(list)
    for name, at in begun:
        begins[name].append(at)
    for one in answered:
        if _creates(one) and one.namespace == namespace:
            created[one.name.rsplit("-", 2)[0]].append(one.at)
    for name in begins.keys() | created.keys():
        if len(begins[name]) != len(created[name]):
            raise ValueError(
                f"{namespace}/{name}: {len(begins[name])} changes at {begins[name]}, "
                f"but {len(created[name])} InferenceServices at {created[name]}"
            )
    return [end - began for name in begins for began, end in zip(begins[name], created[name], strict=True)]
