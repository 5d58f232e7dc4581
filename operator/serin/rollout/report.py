"""The status, put together: what is remembered, where it stands, and what the gateway really does."""

from __future__ import annotations

from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import ModelDeploymentStatus
from serin.api.status import PlannedStep
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Share
from serin.rollout.conditions import conditions
from serin.rollout.conditions import shorten
from serin.rollout.facts import facts_of
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.plan import hostnames
from serin.rollout.standing import candidate_replicas
from serin.rollout.standing import least_replicas
from serin.rollout.standing import standing_of
from serin.rollout.standing import waiting_for


def report(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    now: datetime,
) -> ModelDeploymentStatus:
    """The status that says all this. ``goal`` is the declared revision, or the problem that is told instead."""
    standing = standing_of(memory, observed, spec, goal, now)
    facts = facts_of(memory, observed, spec, standing, now)
    return ModelDeploymentStatus(
        observed_generation=observed.generation,
        phase=standing.phase,
        message=shorten(standing.message),
        conditions=conditions(observed.status.conditions, facts, observed.generation, now),
        url=f"http://{hostnames(observed, spec)[0]}" if spec is not None else observed.status.url,
        resolved=memory.resolved,
        stable=_counted(memory.stable, observed, least_replicas(spec, memory.stable)),
        candidate=_counted(memory.candidate, observed, candidate_replicas(memory, spec, now)),
        previous=_counted(memory.previous, observed, least_replicas(spec, memory.previous)),
        rollout=_rollout(memory, observed, spec, now),
        traffic=memory.traffic,
        retiring=memory.retiring,
        history=memory.history,
        rejected=memory.rejected,
    )


def shares(memory: Memory, observed: Observed) -> tuple[Share, ...]:
    """The traffic as the gateway has it: the route it accepted, otherwise the last one it had; without a route none."""
    route = observed.serving.route
    if not route.exists:
        return ()
    if not route.accepted:
        return memory.traffic
    versions = {share.revision: share.version for share in memory.traffic}
    versions |= {revision.revision: revision.version for revision in memory.revisions()}
    return tuple(
        Share(revision=revision, version=versions.get(revision, "?"), weight=weight)
        for revision, weight in sorted(route.shares.items(), key=lambda item: (-item[1], item[0]))
    )


def _rollout(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime
) -> RolloutStatus | None:
    if memory.rollout is None:
        return None
    if spec is None or spec.suspend:
        waiting = "a spec that can be read" if spec is None else "spec.suspend to be false"
        return memory.rollout.model_copy(update={"waiting_for": waiting})
    waiting = waiting_for(memory, observed, spec, now)
    declared = tuple(PlannedStep(weight=step.weight, hold=step.hold) for step in spec.rollout.steps)
    if memory.stable is not None and memory.rollout.plan != declared:
        waiting += "; spec.rollout.steps changed since: this rollout goes on by the steps it started with"
    return memory.rollout.model_copy(update={"waiting_for": shorten(waiting)})


def _counted(revision: Revision | None, observed: Observed, replicas: int) -> Revision | None:
    if revision is None:
        return None
    ready = observed.serving.health(revision.revision).ready
    return revision.model_copy(update={"replicas": replicas, "ready": ready})
