"""``serin.analysis.sequential`` over arrays: one row a run, one column a look. The constants are the product's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from serin.analysis import sequential

Array = Any
"""numpy arrays carry no types here."""


@dataclass(frozen=True)
class Counts:
    """Requests and bad ones of both revisions since the step began, at each look."""

    candidate_requests: Array
    candidate_bad: Array
    stable_requests: Array
    stable_bad: Array


def log_evidence(bad: Array, trials: Array, null: Array, clump: Array) -> Array:
    """As the function of the same name."""
    terms = [
        np.log(mass) + (bad * np.log(m) - trials * np.log1p((m - 1.0) * null)) / clump
        for m, mass in sequential.ALTERNATIVES
    ]
    return np.logaddexp.reduce(terms, axis=0)


def against_stable(counts: Counts, tolerance: float, clump: Array, forgiven: Array = 0.0) -> Array:
    """As the function of the same name."""
    some = (counts.candidate_requests > 0) & (counts.stable_requests > 0)
    odds = (1.0 + tolerance) * counts.candidate_requests / np.maximum(counts.stable_requests, 1)
    bad = np.maximum(0.0, counts.candidate_bad - forgiven)
    return np.where(some, log_evidence(bad, bad + counts.stable_bad, odds / (1.0 + odds), clump), 0.0)


@dataclass(frozen=True)
class Scatter:
    """What earlier steps told about clumps, by run."""

    looks: Array = 0
    spread: Array = 0.0


def scatter(counts: Counts, before: Scatter) -> Scatter:
    """As ``look``, at each look of a step."""
    requests, bad = counts.stable_requests, counts.stable_bad
    batch, new = (np.diff(total, axis=1, prepend=0).astype(float) for total in (requests, bad))
    rate = bad / np.maximum(requests, 1)
    variance = rate * (1.0 - rate) * batch * (1.0 - batch / np.maximum(requests, 1))
    told = variance > 0
    deviation = np.where(told, (new - rate * batch) ** 2 / np.where(told, variance, 1.0), 0.0)
    spread = np.minimum(deviation, sequential.LOUDEST_LOOK).cumsum(axis=1)
    return Scatter(_column(before.looks) + told.cumsum(axis=1), _column(before.spread) + spread)


def dispersion(told: Scatter) -> Array:
    """As the function of the same name."""
    return np.maximum(1.0, (told.spread + sequential.CALM_LOOKS) / (told.looks + sequential.CALM_LOOKS))


def total(carried: Array, stage: int, log_e: Array) -> Array:
    """As the function of the same name."""
    begun, ahead = sequential.masses(stage)
    grown = (_column(carried) + begun) * np.exp(np.minimum(log_e, 700.0))
    return np.minimum(sequential.MOST_EVIDENCE, grown + ahead)


def carry(carried: Array, stage: int, log_e: Array) -> Array:
    """As the function of the same name: of the step's last look."""
    begun, _ = sequential.masses(stage)
    return np.minimum(sequential.MOST_EVIDENCE, (carried + begun) * np.exp(np.minimum(log_e, 700.0)))


def _column(values: Array) -> Array:
    return np.asarray(values)[..., np.newaxis] if np.ndim(values) else values
