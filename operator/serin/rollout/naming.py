"""Which revisions the route names: those that get requests, and those that a gateway must know before and after.

A gateway learns of routes and of what they lead to in separate streams: a route that names a revision the gateway does
not know yet answers 503 until it does (seen with Contour 1.33 and Envoy 1.40: one request of 6,000 in a rollout). So a
revision is named with weight 0 before it gets a first request, and until the last one is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from serin.rollout.memory import Memory
from serin.rollout.observed import Observed

ALL = 100


def shares(memory: Memory, weight: int) -> dict[str, int]:
    """Percent of each revision that gets requests when the candidate has ``weight``; empty while nothing can serve."""
    percent: dict[str, int] = {}
    if memory.stable is not None:
        percent[memory.stable.revision] = ALL - weight
    if memory.candidate is not None and (memory.stable is not None or weight == ALL):
        percent[memory.candidate.revision] = weight
    return {revision: share for revision, share in percent.items() if share > 0}


def weights(memory: Memory, observed: Observed, weight: int, now: datetime) -> tuple[tuple[str, int], ...]:
    """The route's weights by revision, zeros included, in an order that no promotion changes."""
    percent = shares(memory, weight)
    if percent:
        percent |= {revision: 0 for revision in _known(memory, observed, now) if revision not in percent}
    return tuple(sorted(percent.items()))


def _known(memory: Memory, observed: Observed, now: datetime) -> Iterator[str]:
    """Revisions to name though they get nothing. One whose Service is gone would make the gateway refuse the route."""
    serving, candidate = observed.serving, memory.candidate
    if memory.stable is not None:
        yield memory.stable.revision
    staying = [old.revision for old in memory.retiring if old.drained_at is None or now < old.drained_at]
    if memory.previous is not None:
        staying.append(memory.previous.revision)
    if candidate is not None:
        staying.append(candidate.revision)
        if serving.health(candidate.revision).ready > 0:
            yield candidate.revision
    for revision in staying:
        if revision in serving.route.weights and revision in serving.revisions:
            yield revision
