"""``python -m bench.rollouts``: many rollouts at once, how late their steps and looks are, and what they cost.

Pods, the gateway and Prometheus are played; KServe and the API server are real. A step is late by the time from the end
of the hold before it until the gateway has accepted it, a look by the time from when it was due until it was taken.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from pathlib import Path

from bench import table
from bench.kube import Json
from bench.metrics import Metrics
from bench.objects import NAMESPACE
from bench.objects import follows
from bench.objects import name_of
from bench.objects import version_change
from bench.scale import QUIET_SECONDS
from bench.stage import OPERATOR_USER
from bench.stage import Stage
from bench.stage import prepare
from bench.stage import staged
from bench.trail import writes
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_kserve
from serin.api.kinds import MODEL_DEPLOYMENT

RESULTS = Path(__file__).parent / "rollouts.md"
WEIGHTS = (10, 30, 60)
EVERY_SECONDS = 30
CHECKS = (
    {"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}},
    {"name": "slow", "measure": "SlowerThan", "threshold": "250ms", "notWorseThanStable": {}},
)


@dataclass
class Lateness:
    """What the statuses tell, as they are written."""

    steps: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    promoted: set[str] = field(default_factory=set)
    began: dict[str, Json] = field(default_factory=dict)

    def take(self, body: Json) -> None:
        """One ModelDeployment as it is now."""
        name, status = body["metadata"]["name"], body.get("status") or {}
        now, before = status.get("rollout"), self.began.get(name)
        if status.get("stable", {}).get("version") == "v2":
            self.promoted.add(name)
        if now is None:
            return
        if before is not None:
            if before["step"] + 1 == now["step"] and "nextAt" in before and "stepStartedAt" in now:
                due = max(_unix(str(before["nextAt"])), _unix(str(before.get("judgedAt", before["nextAt"]))))
                self.steps.append(_unix(now["stepStartedAt"]) - due)
            elif before["step"] == now["step"] and now.get("judgedAt", "") != before.get("judgedAt", ""):
                last = str(before.get("judgedAt") or before["stepStartedAt"])
                self.looks.append(_unix(str(now["judgedAt"])) - _unix(last) - EVERY_SECONDS)
        self.began[name] = now


@dataclass(frozen=True, slots=True)
class Wave:
    """Many rollouts at once, all promoted."""

    rollouts: int
    seconds: float
    lateness: Lateness
    writes: Counter[str]
    queries: int
    cpu: float


async def wave(stage: Stage, metrics: Metrics, count: int, hold: int, *, judged: bool) -> Wave:
    """Declare version 2 of all and wait until it is promoted everywhere."""
    await stage.create(count)
    await stage.settled()
    analysis: Json = {"every": f"{EVERY_SECONDS}s", "minRequests": 50, "checks": list(CHECKS)}
    # Kept warm: what it costs to clear away is another matter.
    rollout: Json = {"steps": [{"weight": weight, "hold": f"{hold}s"} for weight in WEIGHTS], "keepPrevious": "1h"}
    settings = {"spec": {"rollout": {**rollout, **({"analysis": analysis} if judged else {})}}}
    for index in range(count):
        await stage.kube.patch(MODEL_DEPLOYMENT, NAMESPACE, name_of(index), settings)
    await stage.settled()
    await asyncio.sleep(QUIET_SECONDS)
    stage.trail.skip()
    lateness, used, asked, began = Lateness(), stage.operator.process.cpu_seconds(), metrics.queries, time.monotonic()
    watching = asyncio.create_task(_watch(stage, lateness))
    for index in range(count):
        if follows(index):
            stage.registry.champions[name_of(index)] = 2
        else:
            await stage.kube.patch(MODEL_DEPLOYMENT, NAMESPACE, name_of(index), version_change(2))
    await stage.until(lambda: len(lateness.promoted) == count, "all are promoted")
    seconds = time.monotonic() - began
    watching.cancel()
    written = Counter(one.resource for one in writes(stage.trail.read(), OPERATOR_USER))
    cpu = stage.operator.process.cpu_seconds() - used
    return Wave(count, seconds, lateness, written, metrics.queries - asked, cpu)


async def _watch(stage: Stage, lateness: Lateness) -> None:
    async for event, body in stage.kube.follow(MODEL_DEPLOYMENT):
        if event != "DELETED":
            lateness.take(body)


def page(plain: Wave, judged: Wave) -> str:
    """The figures as Markdown."""
    rows = ["| | steps and holds | judged, too |", "|---|---|---|"]
    for label, one, other in zip(_labels(), _column(plain), _column(judged), strict=True):
        rows.append(f"| {label} | {one} | {other} |")
    return "\n".join(rows)


def _labels() -> tuple[str, ...]:
    return (
        "rollouts at once, of three steps each",
        "seconds until all are promoted",
        "lateness of a step: p50 / p99 / most, s",
        "lateness of a look: p50 / p99 / most, s",
        "writes for a rollout until it is promoted (two a step and five: 11), events apart",
        "of these: status / route / others",
        "events for a rollout",
        "requests to Prometheus for a check and look",
        "processor seconds of the operator",
    )


def _column(one: Wave) -> tuple[str, ...]:
    events = one.writes["events"]
    looks = len(one.lateness.looks) * len(CHECKS)
    status, routes = one.writes["modeldeployments"], one.writes["httproutes"]
    others = one.writes.total() - events - status - routes
    return (
        f"{one.rollouts}",
        f"{one.seconds:.0f}",
        _spread(one.lateness.steps),
        _spread(one.lateness.looks),
        f"{(one.writes.total() - events) / one.rollouts:.1f}",
        f"{status / one.rollouts:.1f} / {routes / one.rollouts:.1f} / {others / one.rollouts:.1f}",
        f"{events / one.rollouts:.1f}",
        f"{one.queries / looks:.2f}" if looks else "",
        f"{one.cpu:.1f}",
    )


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    ordered = sorted(values)
    ninety_ninth = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]
    return f"{ordered[len(ordered) // 2]:.3f} / {ninety_ninth:.3f} / {ordered[-1]:.3f} (n={len(ordered)})"


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def _measure(plane: ControlPlane, options: argparse.Namespace, *, judged: bool) -> Wave:
    metrics = Metrics()
    await metrics.start()
    try:
        async with staged(plane, prometheus_url=metrics.url) as stage:
            hold = max(options.hold, EVERY_SECONDS) if judged else options.hold
            return await wave(stage, metrics, options.rollouts, hold, judged=judged)
    finally:
        await metrics.stop()


def main() -> None:
    """Measure, print the table and keep it."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollouts", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=200, help="rollouts at once (200)")
    parser.add_argument("--hold", type=int, default=20, help="seconds of each step (20)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    options = parser.parse_args()
    waves = []
    for judged in (False, True):
        with ControlPlane() as plane:
            add_kserve(plane)
            prepare(plane)
            waves.append(asyncio.run(_measure(plane, options, judged=judged)))
    options.results.write_text(f"# Many rollouts at once\n\n{table.surroundings()}\n\n{page(*waves)}\n")
    print(options.results.read_text())


if __name__ == "__main__":
    main()
