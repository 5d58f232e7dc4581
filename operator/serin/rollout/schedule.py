"""The next moment at which anything may change without an event. Computed, never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from datetime import timedelta

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import span
from serin.api.status import ConditionType
from serin.rollout.looks import next_look
from serin.rollout.looks import passes_until
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.steps import Move
from serin.rollout.steps import spread_at

# What is missing may be made at any time, and not every maker tells us.
LOOK_AGAIN = timedelta(minutes=1)
# A gateway that works answers within seconds. One that accepted the route before and says nothing of the one that
# followed is waited for only after this long.
ANSWER = timedelta(minutes=1)


def next_moment(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec, move: Move | None, now: datetime
) -> datetime | None:
    """The earliest time after ``now`` at which :func:`decide` may come to another decision by itself. ``move``: that of
    this memory."""
    return min((moment for moment in _moments(memory, observed, spec, move, now) if moment > now), default=None)


def startup_deadline(memory: Memory, spec: ModelDeploymentSpec) -> datetime | None:
    """When a candidate whose replicas are waited for is given up."""
    if memory.rollout is None or memory.rollout.waiting_since is None:
        return None
    return memory.rollout.waiting_since + span(spec.serving.startup_deadline)


def answer_due(observed: Observed, now: datetime) -> datetime:
    """Until when the gateway may leave a route unanswered that moves no requests."""
    told = (
        condition.last_transition_time
        for condition in observed.status.conditions
        if condition.type is ConditionType.TRAFFIC_ROUTED and condition.status == "False"
    )
    return next(told, now) + ANSWER


def refusal_stands(observed: Observed, now: datetime) -> datetime | None:
    """When a gateway that refuses the route is taken at its word; None where none does.

    A gateway may refuse for a moment: until it has seen the Service that the route names, say.
    """
    route = observed.serving.route
    if route.refusal is None:
        return None
    return route.since + ANSWER if route.since is not None else answer_due(observed, now)


def _moments(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec, move: Move | None, now: datetime
) -> Iterator[datetime]:
    if observed.unmet is not None:
        yield now + LOOK_AGAIN
    if observed.serving.route.pending:
        yield answer_due(observed, now)
    refused = refusal_stands(observed, now)
    if refused is not None:
        yield refused
    rollout = memory.rollout
    if rollout is not None:
        yield from (moment for moment in (rollout.next_at, rollout.deadline_at) if moment is not None)
        deadline = startup_deadline(memory, spec)
        if deadline is not None:
            yield deadline
        look = next_look(rollout)
        if look is not None:
            yield look
        pass_ends = passes_until(rollout)
        if pass_ends is not None:
            yield pass_ends
        spread = spread_at(memory, observed)
        if spread is not None:
            yield spread
        if move is not None and move.wait is not None and move.wait.until is not None:
            yield move.wait.until
    if memory.stable is not None and memory.stable.floor_until is not None:
        yield memory.stable.floor_until
    if memory.previous is not None and memory.previous.goes_at is not None:
        yield memory.previous.goes_at
    yield from (leaving.drained_at for leaving in memory.retiring if leaving.drained_at is not None)
