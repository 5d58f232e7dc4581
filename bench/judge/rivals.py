"""The field's other judges, by their documented defaults, over the same counts. Each says when it first rolls back.

They judge once a minute, or as often as their documentation says; all but the z-test see only the window between two
judgements. Missing data counts as it does for them.
"""

from __future__ import annotations

import numpy as np

from bench.judge.vector import Array
from bench.judge.vector import Counts

LOOKS_A_MINUTE = 2
Z_95 = 1.6448536269514722
Z_98 = 2.0537489106318225
SHORTEST_SERIES = 5


def flagger(counts: Counts) -> Array:
    """request-success-rate of at least 99 % each minute, five failed checks (fluxcd/flagger, docs/gitbook)."""
    return _too_often(counts, success=0.99, every=1, failures=5)


def argo(counts: Counts) -> Array:
    """A success rate of at least 95 % every five minutes, failureLimit 3 (argo-rollouts, docs/features/analysis.md)."""
    return _too_often(counts, success=0.95, every=5, failures=4)


def _too_often(counts: Counts, success: float, every: int, failures: int) -> Array:
    step = every * LOOKS_A_MINUTE
    requests = _windows(counts.candidate_requests, step)
    good = 1.0 - _windows(counts.candidate_bad, step) / np.maximum(requests, 1)
    failed = np.where(requests > 0, good, 0.0) < success
    return np.repeat(failed.cumsum(axis=1) >= failures, step, axis=1) & _ends(counts, step)


def repeated_z(counts: Counts) -> Array:
    """A one-sided z-test of the two shares at 5 %, at every look."""
    n_c, n_s = counts.candidate_requests, counts.stable_requests
    x_c, x_s = counts.candidate_bad, counts.stable_bad
    pooled = (x_c + x_s) / np.maximum(n_c + n_s, 1)
    inverse = 1.0 / np.maximum(n_c, 1) + 1.0 / np.maximum(n_s, 1)
    error = np.sqrt(np.maximum(pooled * (1.0 - pooled), 1e-12) * inverse)
    difference = x_c / np.maximum(n_c, 1) - x_s / np.maximum(n_s, 1)
    return (difference / error > Z_95) & (x_c + x_s > 0)


def repeated_mann_whitney(counts: Counts) -> Array:
    """A one-sided Mann-Whitney test of the error rates by minute at 2 % (Kayenta's confLevel), every minute from 5.

    By the normal approximation with ties and continuity correction, as SciPy's. Kayenta's tolerance is left out.
    """
    rates = [
        _windows(bad, LOOKS_A_MINUTE) / np.maximum(_windows(requests, LOOKS_A_MINUTE), 1)
        for requests, bad in (
            (counts.candidate_requests, counts.candidate_bad),
            (counts.stable_requests, counts.stable_bad),
        )
    ]
    candidate, stable = rates
    runs, minutes = candidate.shape
    u, ties, fired = np.zeros(runs), np.zeros(runs), np.zeros((runs, minutes), dtype=bool)
    seen = np.empty((runs, 0))
    for minute in range(minutes):
        new_c, new_s = candidate[:, minute : minute + 1], stable[:, minute : minute + 1]
        # Pairs that are new in this minute: the new candidate rate with all stable ones, the new stable with the rest.
        u += _beats(new_c, stable[:, : minute + 1]) + _beats(candidate[:, :minute], new_s)
        for new in (new_c, new_s):
            equal = (seen == new).sum(axis=1)
            ties += 3 * equal**2 + 3 * equal
            seen = np.concatenate([seen, new], axis=1)
        n = minute + 1
        variance = n * n / 12 * ((2 * n + 1) - ties / (2 * n * (2 * n - 1)))
        z = (u - n * n / 2 - 0.5) / np.sqrt(np.maximum(variance, 1e-12))
        fired[:, minute] = (z > Z_98) & (variance > 0) & (n >= SHORTEST_SERIES)
    return np.repeat(fired, LOOKS_A_MINUTE, axis=1) & _ends(counts, LOOKS_A_MINUTE)


def _beats(left: Array, right: Array) -> Array:
    return ((left > right) + 0.5 * (left == right)).sum(axis=1)


def _windows(cumulative: Array, looks: int) -> Array:
    return np.diff(cumulative[:, looks - 1 :: looks], axis=1, prepend=0)


def _ends(counts: Counts, looks: int) -> Array:
    """Judged at the end of a window only."""
    columns = np.arange(counts.candidate_requests.shape[1])
    return ((columns + 1) % looks == 0)[np.newaxis, :]


RIVALS = {
    "Flagger 99 %, 5 of 1 m": flagger,
    "Argo 95 %, 4 of 5 m": argo,
    "z-test 5 %": repeated_z,
    "Mann-Whitney 2 %": repeated_mann_whitney,
}
