"""Which revisions the route names: those that get requests, and those that a gateway must know before and after.

A gateway learns of routes and of what they lead to in separate streams: a route that names a revision the gateway does
not know yet answers 503 until it does (seen with Contour 1.33 and Envoy 1.40: one request of 6,000 in a rollout). So a
revision is named with weight 0 before it gets a first request, and until the last one is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from serin.api.rollout import CANDIDATE
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import STABLE
from serin.api.status import PlannedStep
from serin.rollout.course import ALL
from serin.rollout.memory import Memory
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Observed


def shares(memory: Memory, weight: int) -> dict[str, int]:
    """Percent of each revision that gets requests when the candidate has ``weight``; empty while nothing can serve."""
    percent: dict[str, int] = {}
    if memory.stable is not None:
        percent[memory.stable.revision] = ALL - weight
    if memory.candidate is not None:
        percent[memory.candidate.revision] = weight
    return {revision: share for revision, share in percent.items() if share > 0}


def matches(memory: Memory, stage: PlannedStep | None) -> tuple[Match, ...]:
    """Requests that go to one revision whatever the weights are, in the order in which they count.

    While a stage runs a person reaches either revision by a header. More headers count more, whatever the order
    (Gateway API, HTTPRouteRule), so that header is paired with those of the step, too.
    """
    stable, candidate = memory.stable, memory.candidate
    if stable is None or candidate is None or stage is None:
        return ()
    to_stable, to_candidate = (DIRECT_HEADER, STABLE), (DIRECT_HEADER, CANDIDATE)
    found = [Match((to_stable,), stable.revision), Match((to_candidate,), candidate.revision)]
    if stage.headers:
        chosen = tuple(sorted(stage.headers.items()))
        found += [Match(tuple(sorted((to_stable, *chosen))), stable.revision), Match(chosen, candidate.revision)]
    return tuple(found)


def mirror(memory: Memory, stage: PlannedStep | None) -> Mirror | None:
    """The copies that the candidate gets."""
    if memory.candidate is None or stage is None or stage.mirror is None:
        return None
    return Mirror(memory.candidate.revision, stage.mirror)


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
