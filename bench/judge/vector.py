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
    """As the function of the same name: one layer an alternative."""
    return np.stack(
        [(bad * np.log(m) - trials * np.log1p((m - 1.0) * null)) / clump for m, _ in sequential.ALTERNATIVES]
    )


def against_stable(counts: Counts, tolerance: float, clump: Array, forgiven: Array = 0.0) -> Array:
    """As the function of the same name."""
    some = (counts.candidate_requests > 0) & (counts.stable_requests > 0)
    odds = (1.0 + tolerance) * counts.candidate_requests / np.maximum(counts.stable_requests, 1)
    bad = np.maximum(0.0, counts.candidate_bad - forgiven)
    return np.where(some, log_evidence(bad, bad + counts.stable_bad, odds / (1.0 + odds), clump), 0.0)


@dataclass(frozen=True)
class Scatter:
    """What looks told about clumps, by run."""

    looks: Array = 0
    spread: Array = 0.0


def scatter(counts: Counts, before: Scatter) -> Scatter:
    """As ``look``, at each look of a step."""
    requests, bad = (
        np.diff(cumulative, axis=1, prepend=0).astype(float)
        for cumulative in (counts.stable_requests, counts.stable_bad)
    )
    # The last batch with requests before each look; before the first there is an empty one.
    numbers = np.where(requests > 0, np.arange(1, requests.shape[1] + 1), 0)
    last = np.pad(np.maximum.accumulate(numbers, axis=1), ((0, 0), (1, 0)))[:, :-1]
    earlier, bad_earlier = (
        np.take_along_axis(np.pad(batch, ((0, 0), (1, 0))), last, axis=1) for batch in (requests, bad)
    )
    both = np.maximum(earlier + requests, 1.0)
    rate = (bad_earlier + bad) / both
    variance = rate * (1.0 - rate) * earlier * requests / both
    told = variance > 0
    deviation = np.where(told, (bad - rate * requests) ** 2 / np.where(told, variance, 1.0), 0.0)
    spread = np.minimum(deviation, sequential.LOUDEST_LOOK).cumsum(axis=1)
    return Scatter(_column(before.looks) + told.cumsum(axis=1), _column(before.spread) + spread)


def dispersion(told: Scatter) -> Array:
    """As the function of the same name."""
    return np.maximum(1.0, (told.spread + sequential.CALM_LOOKS) / (told.looks + sequential.CALM_LOOKS))


def mixed(logs: Array) -> Array:
    """As the function of the same name."""
    return _masses_of(np.exp(np.minimum(logs, 700.0)))


def total(carried: Array, stage: int, logs: Array) -> Array:
    """As the function of the same name, at each look of a step."""
    begun, ahead = sequential.masses(stage)
    grown = (_column(carried) + begun) * np.exp(np.minimum(logs, 700.0))
    return np.minimum(sequential.MOST_EVIDENCE, _masses_of(np.minimum(sequential.MOST_EVIDENCE, grown)) + ahead)


def carry(carried: Array, stage: int, logs: Array) -> Array:
    """As the function of the same name, after a step's last look."""
    begun, _ = sequential.masses(stage)
    return np.minimum(sequential.MOST_EVIDENCE, (carried + begun) * np.exp(np.minimum(logs, 700.0)))


def _masses_of(layers: Array) -> Array:
    return sum(mass * layer for (_, mass), layer in zip(sequential.ALTERNATIVES, layers, strict=True))


def _column(values: Array) -> Array:
    return np.asarray(values)[..., np.newaxis] if np.ndim(values) else values
