"""One run: a workload with one fault, and what it came to."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from dataclasses import field

import aiohttp

from bench.kube import RefusedError
from serin.api.kinds import EVENT
from serin.cluster.client import CONFLICT
from serin.cluster.client import NOT_FOUND
from tests.crashes import oracles
from tests.crashes.faults import CLEAN
from tests.crashes.faults import Fault
from tests.crashes.house import House
from tests.crashes.normal import State
from tests.crashes.normal import differences
from tests.crashes.normal import events
from tests.crashes.normal import going
from tests.crashes.normal import state
from tests.crashes.proxy import Moment
from tests.crashes.proxy import Write
from tests.crashes.proxy import numbered
from tests.crashes.scene import Scene
from tests.crashes.workloads import WORKLOADS

QUIET_SECONDS = 1.0
CALM_SECONDS = 2.0


@dataclass(frozen=True)
class Ending:
    """What a run without a fault came to: what all others are measured by."""

    state: State
    events: list[str]
    counts: Counter[str]
    course: list[str]
    writes: list[Write]


@dataclass
class Result:
    """What became of one run."""

    name: str
    failures: list[str] = field(default_factory=list)
    happened: bool = True
    """False where the fault never came about: the run had fewer writes than expected."""
    seconds: float = 0.0
    cpu: float = 0.0
    ending: Ending | None = None


def name_of(workload: str, fault: Fault, number: int) -> str:
    """How a run is called, and asked for again."""
    return f"{workload}:{fault.name}:{number}" if number else f"{workload}:{fault.name}"


async def run(
    house: House,
    workload: str,
    fault: Fault = CLEAN,
    number: int = 0,
    like: Ending | None = None,
    *,
    moment: Moment | None = None,
) -> Result:
    """Do it. ``like``: what it must end like; without one it is a run to measure others by. The write that the fault is
    for is chosen by its number, or by ``moment``."""
    result = Result(name_of(workload, fault, number))
    scene = Scene(house, fault, moment or numbered(number))
    began = time.monotonic()
    try:
        await scene.open()
        await WORKLOADS[workload](scene)
        result.failures += await _end(scene, like)
        result.happened = fault is CLEAN or scene.proxy.done.is_set()
    except (AssertionError, RefusedError, aiohttp.ClientError, OSError, RuntimeError) as error:
        result.failures.append(str(error) or repr(error))
    finally:
        result.ending = _ending(scene)
        result.failures += _judge(scene, result.ending, like)
        await scene.close()
        result.cpu = scene.cpu
        house.view.forget(scene.namespace)
    if not result.failures:
        scene.log.unlink(missing_ok=True)
    else:
        result.failures.append(f"log: {scene.log}")
    result.seconds = time.monotonic() - began
    return result


async def _end(scene: Scene, like: Ending | None) -> list[str]:
    """Wait for the end, and that nothing is written after it."""
    if like is None:
        await scene.calm(CALM_SECONDS)
        await scene.past.until(lambda: not going(scene.past), "nothing is left behind", scene.patience)
        return []

    def reached() -> bool:
        return not going(scene.past) and state(scene.past, scene.namespace) == like.state

    try:
        await scene.past.until(reached, "the end of a run without a fault", scene.patience)
    except AssertionError as error:
        left = [f"left behind: {name}" for name in going(scene.past)]
        return [str(error), *left, *differences(like.state, state(scene.past, scene.namespace))]
    count = len(scene.proxy.writes)
    await asyncio.sleep(QUIET_SECONDS)
    return [f"written after the end: {write}" for write in _late(scene, count)]


def _late(scene: Scene, count: int) -> list[Write]:
    """Writes after so many, but for an event, which may come right after the status that it tells of, for one more
    try of the write whose answer was lost, and for one refused try of each write where the operator can only hear by
    that: to what is gone where watches break, by an old version where old lists are shown."""
    unanswered = scene.proxy.unanswered
    refusals = ({NOT_FOUND} if scene.fault.watch else set()) | ({CONFLICT} if scene.fault.stale else set())
    refused: set[str] = set()
    late = []
    for write in scene.proxy.writes[count:]:
        if unanswered is not None and (write.method, write.path) == (unanswered.method, unanswered.path):
            unanswered = None
        elif write.code in refusals and write.path not in refused:
            refused.add(write.path)
        elif EVENT.plural not in write.path:
            late.append(write)
    return late


def _ending(scene: Scene) -> Ending:
    past = scene.past
    return Ending(
        state=state(past, scene.namespace),
        events=events(past, scene.namespace),
        counts=past.made_and_gone(scene.begun_at),
        course=oracles.course(past),
        writes=list(scene.proxy.writes),
    )


def _judge(scene: Scene, ending: Ending, like: Ending | None) -> list[str]:
    fault = scene.fault
    failures = [*oracles.violations(scene.past)]
    if not fault.detours:
        failures += oracles.clocks(scene.past)
    if not fault.ends:
        failures += oracles.broken(scene.log)
        failures += [f"the operator ended by itself {scene.exits} times"] if scene.exits else []
    if like is not None:
        failures += [
            f"{what}: expected {like.counts[what]}, were {ending.counts[what]}"
            for what in sorted(like.counts.keys() | ending.counts.keys())
            if like.counts[what] != ending.counts[what]
        ]
        failures += [f"an event too many: {one}" for one in (Counter(ending.events) - Counter(like.events)).elements()]
        if ending.course != like.course and not fault.detours:
            failures.append(f"shares: {', '.join(ending.course)} instead of {', '.join(like.course)}")
    return failures
