"""When a revision that is not needed goes: after the gateway let go of it and its last requests are answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import span
from serin.api.status import Retiring
from serin.rollout.memory import Memory
from serin.rollout.memory import cold
from serin.rollout.observed import Observed


def drain_of(observed: Observed, spec: ModelDeploymentSpec) -> timedelta:
    """How long a revision may still have requests after the gateway accepted a route that gives it none.

    Those that it has are answered within the timeout. That a route is accepted says the gateway's controller; the
    proxies hear of it from there, and not while it is started anew (6 to 19 s with Contour 1.33 and Envoy).
    """
    return max(span(spec.traffic.timeout), observed.platform.proxy_lag)


def retire(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """Roles and drains that are over at this moment."""
    stable, previous, route = memory.stable, memory.previous, observed.serving.route
    if previous is not None and route.reaches(previous.revision):
        # By a hand, or by a rollout of it that nobody remembers: the operator crashed, or was overtaken by another
        # declaration, before it could. The gateway has yet to let go of it.
        memory = memory.leave(Retiring(revision=previous.revision))
    # While the one in use cannot serve, the one before is all there is to go back to at once.
    serves = stable is not None and observed.serving.health(stable.revision).ready > 0
    if serves and previous is not None and previous.goes_at is not None and previous.goes_at <= now:
        # It has had no traffic since the promotion: its drain is over already, unless it was the candidate again.
        gone = Retiring(revision=previous.revision, drained_at=now)
        memory = replace(memory, previous=None, fallback=cold(previous)).leave(gone)
    drain = drain_of(observed, spec)
    drained = tuple(
        old
        if old.drained_at is not None or not route.spares(old.revision)
        else old.model_copy(update={"drained_at": now + drain if old.had_traffic else now})
        for old in memory.retiring
    )
    warm = memory.previous.revision if memory.previous is not None else None
    staying = tuple(
        old
        for old in drained
        if old.drained_at is None or now < old.drained_at or not (old.revision == warm or route.forgot(old.revision))
    )
    return replace(memory, retiring=staying) if staying != memory.retiring else memory
