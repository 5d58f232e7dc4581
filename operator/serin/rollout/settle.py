"""When an autoscaler is left to itself again: after it has seen all the traffic that its revision got."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.rollout.course import ALL
from serin.rollout.course import crowd
from serin.rollout.memory import SETTLING
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed


def settle(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """The floor of the revision in use, which ends some time after it has got everything."""
    stable, route = memory.stable, observed.serving.route
    if stable is None:
        return memory
    until = stable.floor_until
    if until is None and route.accepted and route.shares == {stable.revision: ALL}:
        until = now + SETTLING
    idle = crowd(spec, stable.floor) == spec.serving.min_replicas
    ends = idle or (until is not None and until <= now)
    floor, until = (None, None) if ends else (stable.floor, until)
    if (floor, until) == (stable.floor, stable.floor_until):
        return memory
    return replace(memory, stable=stable.model_copy(update={"floor": floor, "floor_until": until}))
