"""One cell of the table: rollouts that are drawn, and what each judge makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.judge import vector
from bench.judge.rivals import LOOKS_A_MINUTE
from bench.judge.rivals import RIVALS
from bench.judge.vector import Array
from bench.judge.vector import Counts
from bench.judge.vector import Scatter
from serin.analysis.verdict import FORGIVEN

TOLERANCE = 0.25
LEVEL = 0.05
CHECKS = 2
LIMIT = CHECKS / LEVEL
MIN_REQUESTS = 200
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Cell:
    """What is simulated: one truth, at one traffic."""

    traffic: int
    """Requests a minute, of both revisions together."""
    stable: float
    candidate: float
    clump: int = 1
    """Bad requests that come together."""
    weights: tuple[int, ...] = (10,)
    """Percent for the candidate, in steps of equal length."""
    minutes: int = 60
    must: str = ""
    """What the product promises, in words."""
    kept: Callable[[Found], bool] = lambda _: True
    """Whether the promise is kept."""

    @property
    def equal(self) -> bool:
        """Whether a rollback is a false alarm: within the tolerance."""
        return self.candidate <= self.stable * (1 + TOLERANCE)


@dataclass(frozen=True)
class Found:
    """How often a judge rolled back, and the median minute in which it did, counting runs in which it never did."""

    share: float
    minute: float


@dataclass(frozen=True)
class Outcome:
    """A cell's figures."""

    cell: Cell
    serin: Found
    rivals: dict[str, Found]
    passed: float
    """Share of the runs in which Serin passes the (first) step ten minutes after it began."""


def simulate(cell: Cell, runs: int, seed: int) -> Outcome:
    """Two checks of the same rollouts: errors by the cell's truth, and slow answers that are equal in both."""
    rng = np.random.default_rng(seed)
    looks = cell.minutes * LOOKS_A_MINUTE // len(cell.weights)
    steps = [_requests(rng, cell.traffic, weight, (runs, looks)) for weight in cell.weights]
    errors = [_bad(rng, step, cell.candidate, cell.stable, cell.clump) for step in steps]
    slow = [_bad(rng, step, cell.stable, cell.stable, cell.clump) for step in steps]
    evidence = [_evidence(check) for check in (errors, slow)]
    serin = _first(np.maximum(*evidence) >= LIMIT)
    single = len(cell.weights) == 1
    return Outcome(
        cell,
        serin,
        {name: _first(judge(errors[0])) for name, judge in RIVALS.items()} if single else {},
        float(_passes(errors[0], slow[0], np.maximum(*evidence)).mean()),
    )


def _requests(rng: Array, traffic: int, weight: int, shape: tuple[int, int]) -> tuple[Array, Array]:
    a_look = traffic / LOOKS_A_MINUTE
    candidate = rng.poisson(a_look * weight / 100, shape)
    return candidate, rng.poisson(a_look * (100 - weight) / 100, shape)


def _bad(rng: Array, requests: tuple[Array, Array], candidate: float, stable: float, clump: int) -> Counts:
    """Cumulative counts. A clump is as many bad requests at once, and as much rarer."""
    columns = []
    for batch, rate in zip(requests, (candidate, stable), strict=True):
        bad = np.minimum(batch, clump * rng.binomial(batch, rate / clump))
        columns += [batch.cumsum(axis=1), bad.cumsum(axis=1)]
    return Counts(*columns)


def _evidence(steps: list[Counts]) -> Array:
    """Evidence at each look of all steps, one after the other."""
    carried: Array = 0.0
    told, parts = Scatter(), []
    for stage, counts in enumerate(steps, start=1):
        seen = vector.scatter(counts, told)
        logs = vector.against_stable(counts, TOLERANCE, vector.dispersion(seen))
        parts.append(vector.total(carried, stage, logs))
        carried = vector.carry(carried, stage, logs[:, :, -1])
        told = Scatter(seen.looks[:, -1], seen.spread[:, -1])
    return np.concatenate(parts, axis=1)


def _passes(errors: Counts, slow: Counts, evidence: Array) -> Array:
    """Whether the step passes ten minutes after it began: enough requests, not failed before, not leaning."""
    at = 10 * LOOKS_A_MINUTE - 1
    passed = (evidence[:, : at + 1] < LIMIT).all(axis=1) & (errors.candidate_requests[:, at] >= MIN_REQUESTS)
    for counts in (errors, slow):
        clump = vector.dispersion(vector.scatter(counts, Scatter()))
        passed &= vector.mixed(vector.against_stable(counts, TOLERANCE, clump, forgiven=FORGIVEN))[:, at] <= 1.0 + 1e-9
    return passed


def _first(fired: Array) -> Found:
    ever = fired.any(axis=1)
    look = np.where(ever, fired.argmax(axis=1) + 1, NEVER)
    middle = np.sort(look)[(len(look) - 1) // 2]
    return Found(float(ever.mean()), float(middle / LOOKS_A_MINUTE) if middle != NEVER else float("inf"))
