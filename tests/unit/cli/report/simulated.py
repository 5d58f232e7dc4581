"""Rollouts that never happened: requests by a seeded die, judged by the judge itself, told as a status and by a
Prometheus that scrapes every fifteen seconds and answers over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from random import Random
from typing import Any

from serin.analysis.checks import Sample
from serin.analysis.verdict import Versions
from serin.analysis.verdict import judge
from serin.analysis.verdict import next_step
from serin.analysis.verdict import overall
from serin.api.analysis import Analysis
from serin.api.analysis import CheckStatus
from serin.api.analysis import Tally
from serin.api.analysis import Verdict
from serin.api.base import to_wire
from serin.cli.report.stages import METRIC
from tests.unit.cli import objects

Json = dict[str, Any]

STARTED = datetime(2026, 11, 20, 21, 2, 5, tzinfo=UTC)
SCRAPE = 15
STABLE, CANDIDATE = objects.STABLE, objects.CANDIDATE
COMPARED = {"tolerance": "25%", "confidence": "95%"}
ANALYSIS: Json = {
    "every": "30s",
    "minRequests": 200,
    "checks": [
        {"name": "errors", "measure": "ErrorRate", "atMost": "5%", "notWorseThanStable": COMPARED},
        {"name": "slow", "measure": "SlowerThan", "threshold": "250ms", "notWorseThanStable": COMPARED},
    ],
}
TEMPLATE: Json = {
    "backend": "KServe",
    "runtime": "kserve-mlserver",
    "modelFormat": "mlflow",
    "server": "MLServer",
    "protocol": "v2",
    "artifactUri": "s3://models/fraud",
    "digest": "d",
}


@dataclass(frozen=True)
class Behaviour:
    """What the two versions do with requests."""

    errors: tuple[float, float] = (0.011, 0.012)
    """Of the candidate and of the stable one."""
    slow: tuple[float, float] = (0.034, 0.038)
    a_second: float = 24.0


@dataclass
class World:
    """One rollout: what happened in each second, and what the operator made of it."""

    steps: tuple[tuple[int, int], ...] = ((5, 600), (25, 600), (50, 600))
    """Weight and hold in seconds."""
    bake: int = 900
    behaviour: Behaviour = field(default_factory=Behaviour)
    seed: int = 7
    seconds: int = 0
    """Until when it is told; 0: until it ends."""
    analysis: Json = field(default_factory=lambda: ANALYSIS)

    def __post_init__(self) -> None:
        self.judging = Analysis.model_validate(self.analysis)
        self.stages: list[tuple[int, int]] = []
        """Second of the beginning, weight."""
        self.counts: dict[str, list[tuple[int, int, int]]] = {CANDIDATE: [(0, 0, 0)], STABLE: [(0, 0, 0)]}
        """Requests, failed and slow ones until each second."""
        self.checks: tuple[CheckStatus, ...] = ()
        self.outcome = ""
        self.ended = 0
        self.judged_at = 0
        self._die = Random(self.seed)  # noqa: S311 (a die that falls the same way each time)
        self._run()

    def moment(self, second: float) -> datetime:
        return STARTED + timedelta(seconds=second)

    def between(self, revision: str, since: float, at: float) -> tuple[int, int, int]:
        """Requests, failed and slow ones, as Prometheus knows them: by its last scrape before."""
        first, last = (self.counts[revision][self._scraped(second)] for second in (since, at))
        return last[0] - first[0], last[1] - first[1], last[2] - first[2]

    def weight(self, second: float) -> int:
        if self.outcome == "RolledBack" and second >= self.ended:
            return 0
        return next((weight for start, weight in reversed(self.stages) if start <= second), 0)

    def _scraped(self, second: float) -> int:
        return max(0, min(int(second // SCRAPE * SCRAPE), len(self.counts[STABLE]) - 1))

    def _run(self) -> None:
        self._serve(90, 0)
        for weight, hold in (*self.steps, *([(100, self.bake)] if self.bake else [])):
            self.stages.append((self._now, weight))
            self.checks = next_step(self.judging, self.checks)
            if not self._stage(weight, hold):
                return
        self._end("Promoted")
        self._serve(120, 100)

    def _stage(self, weight: int, hold: int) -> bool:
        """Whether it goes on after the step."""
        start = self._now
        while True:
            self._serve(30, weight)
            self._look(start, weight)
            if overall(self.checks) is Verdict.FAIL:
                self._end("RolledBack")
                self._serve(120, 0)
                return False
            if self.seconds and self._now >= self.seconds:
                return False
            if self._now - start >= hold and overall(self.checks) is Verdict.PASS:
                return True

    @property
    def _now(self) -> int:
        return len(self.counts[STABLE]) - 1

    def _end(self, outcome: str) -> None:
        self.outcome, self.ended = outcome, self._now

    def _look(self, start: int, weight: int) -> None:
        measured = {}
        for check in self.judging.checks:
            kind = 1 if check.measure == "ErrorRate" else 2
            tallies: list[Tally] = []
            for revision in (CANDIDATE, STABLE):
                requests, *bad = self.between(revision, start, self._now)
                # The histogram has the good answers alone.
                requests -= bad[0] if kind == 2 else 0
                tallies.append(Tally(requests=requests, bad=bad[kind - 1]))
            candidate, stable = tallies
            measured[check.name] = Sample(
                candidate=candidate,
                stable=stable,
                since=self.moment(start),
                at=self.moment(self._now),
                concurrent=weight < 100,
            )
        self.checks = judge(self.judging, measured, self.checks, Versions("v13", "v12"))
        self.judged_at = self._now

    def _serve(self, seconds: int, weight: int) -> None:
        die, behaviour = self._die, self.behaviour
        for _ in range(seconds):
            added = {CANDIDATE: [0, 0, 0], STABLE: [0, 0, 0]}
            for _ in range(int(behaviour.a_second * die.uniform(0.6, 1.4))):
                mine = die.random() * 100 < weight
                found = added[CANDIDATE if mine else STABLE]
                found[0] += 1
                if die.random() < behaviour.errors[0 if mine else 1]:
                    found[1] += 1
                elif die.random() < behaviour.slow[0 if mine else 1]:
                    found[2] += 1
            for revision, more in added.items():
                before = self.counts[revision][-1]
                self.counts[revision].append((before[0] + more[0], before[1] + more[1], before[2] + more[2]))

    # What the world tells of itself.

    def status(self) -> Json:
        """The ModelDeployment, after it ended or in its last step."""
        roles = {"template": TEMPLATE}
        analysis = [to_wire(one) for one in self.checks]
        if not self.outcome:
            start, weight = self.stages[-1]
            body = objects.rolling(min(len(self.stages), 4))
            waiting = f"the hold to end at {stamp(self.moment(start + 600))}"
            body["status"] |= {
                "message": f"step {len(self.stages)}/3: {weight} % to v13, waiting for {waiting}; stable v12",
                "traffic": [
                    {"revision": STABLE, "version": "v12", "weight": 100 - weight},
                    {"revision": CANDIDATE, "version": "v13", "weight": weight},
                ],
            }
            body["status"]["rollout"] |= {
                "step": len(self.stages),
                "steps": 3,
                "progress": f"{len(self.stages)}/3",
                "weight": weight,
                "startedAt": stamp(STARTED),
                "stepStartedAt": stamp(self.moment(start)),
                "judgedAt": stamp(self.moment(self.judged_at)),
                "waitingFor": waiting,
                "course": {
                    "steps": [{"weight": one, "hold": f"{hold // 60}m"} for one, hold in self.steps],
                    "bake": f"{self.bake // 60}m",
                    "analysis": self.analysis,
                },
            }
            body["status"]["handled"] = {}
            body["status"]["stable"] |= roles
            body["status"]["candidate"] |= roles
            body["status"]["analysis"] = analysis
            return body
        good = self.outcome == "Promoted"
        failed = next((one.message for one in self.checks if one.verdict is Verdict.FAIL), "")
        message = "v13 has all traffic" if good else failed
        entry = {
            **objects.ended("v13", CANDIDATE, self.outcome, "Promoted" if good else "AnalysisFailed", message),
            "startedAt": stamp(STARTED),
            "endedAt": stamp(self.moment(self.ended)),
        }
        stable = {**objects.role(CANDIDATE if good else STABLE), **roles}
        previous: Json = {"previous": {**objects.role(STABLE), **roles}} if good else {}
        body = objects.deployment(
            phase="Healthy" if good else "RolledBack",
            resolved={"name": "fraud-detector", "version": 13, "alias": "champion"},
            stable=stable,
            history=[entry, objects.ended("v12", STABLE, "Promoted", "Promoted", "v12 has all traffic")],
            analysis=analysis,
            **previous,
        )
        body["spec"]["rollout"] = {"analysis": self.analysis, "bake": f"{self.bake // 60}m"}
        return body

    def get(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """Answers as Prometheus does."""
        assert path == "/api/v1/query_range"
        start, end, step = (float(query[name]) for name in ("start", "end", "step"))
        seconds = [start + step * count for count in range(int((end - start) / step + 1e-6) + 1)]
        return 200, matrix(
            self._traffic(seconds) if METRIC in query["query"] else self._counted(query["query"], seconds)
        )

    def _traffic(self, seconds: list[float]) -> list[tuple[Json, list[tuple[float, float]]]]:
        found: dict[str, list[tuple[float, float]]] = {CANDIDATE: [], STABLE: []}
        for at in seconds:
            weight = self.weight(at // SCRAPE * SCRAPE - STARTED.timestamp())
            for revision, share in ((CANDIDATE, weight), (STABLE, 100 - weight)):
                if share:
                    found[revision].append((at, share))
        versions = {CANDIDATE: "v13", STABLE: "v12"}
        return [({"revision": one, "version": versions[one]}, values) for one, values in found.items()]

    def _counted(self, promql: str, seconds: list[float]) -> list[tuple[Json, list[tuple[float, float]]]]:
        since = re.search(r"@ ([0-9.]+)", promql)
        assert since is not None, promql
        begun = float(since[1]) - STARTED.timestamp()
        series: list[tuple[Json, list[tuple[float, float]]]] = []
        for revision in (CANDIDATE, STABLE):
            counts = [self.between(revision, begun, at - STARTED.timestamp()) for at in seconds]
            if "_bucket" in promql:
                told = {"requests": [r - f for r, f, _ in counts], "good": [r - f - s for r, f, s in counts]}
            else:
                told = {"requests": [r for r, _, _ in counts], "bad": [f for _, f, _ in counts]}
            for count, values in {**told, "up": [2] * len(seconds)}.items():
                labels = {"serin_dev_revision": revision, "serin_count": count}
                series.append((labels, list(zip(seconds, values, strict=True))))
        return series


def matrix(series: list[tuple[Json, list[tuple[float, float]]]]) -> bytes:
    result = [{"metric": labels, "values": [[at, str(value)] for at, value in values]} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def promoted() -> World:
    return World()


def rolled_back() -> World:
    return World(behaviour=Behaviour(errors=(0.024, 0.012)), seed=11)


def running() -> World:
    return World(seconds=90 + 600 + 600 + 420)
