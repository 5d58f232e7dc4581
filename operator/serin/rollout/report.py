"""The status, put together: what is remembered, where it stands, and what the gateway really does."""

from __future__ import annotations

from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Share
from serin.rollout.awaited import awaited
from serin.rollout.conditions import conditions
from serin.rollout.conditions import shorten
from serin.rollout.facts import facts_of
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.plan import hostnames
from serin.rollout.revision import version_in
from serin.rollout.standing import standing_of
from serin.rollout.steps import Move
from serin.rollout.steps import Wait


def report(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    move: Move | None,
    now: datetime,
) -> ModelDeploymentStatus:
    """The status that says all this of the roles as they are ``counted``. ``goal`` is the declared revision, or the
    problem that is told instead; ``move`` the rollout's next one, where there is one and anything is carried out."""
    wait = awaited(memory, observed, spec, move, now) if spec is not None and move is not None else None
    standing = standing_of(memory, observed, spec, goal, now, wait.message if wait is not None else "")
    facts = facts_of(memory, observed, standing)
    return ModelDeploymentStatus(
        observed_generation=observed.generation,
        phase=standing.phase,
        message=shorten(standing.message),
        conditions=conditions(observed.status.conditions, facts, observed.generation, now),
        url=_url(hostnames(observed, spec)) if spec is not None else observed.status.url,
        resolved=memory.resolved,
        stable=memory.stable,
        candidate=memory.candidate,
        previous=memory.previous,
        fallback=memory.fallback,
        rollout=_rollout(memory, observed, spec, goal, wait),
        traffic=memory.traffic,
        analysis=memory.analysis,
        retiring=memory.retiring,
        history=memory.history,
        rejected=memory.rejected,
        handled=dict(memory.handled),
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
    copies = {route.mirror.revision: route.mirror.percent} if route.mirror is not None else {}
    percents = {**dict.fromkeys(copies, 0), **route.shares}
    return tuple(
        Share(
            revision=revision,
            version=versions.get(revision) or version_in(revision),
            weight=weight,
            mirror=copies.get(revision),
        )
        for revision, weight in sorted(percents.items(), key=lambda item: (-item[1], item[0]))
    )


def _url(names: tuple[str, ...]) -> str | None:
    """By the first name that is one: a wildcard is no host that anybody could call."""
    return next((f"http://{name}" for name in names if not name.startswith("*")), None)


def _rollout(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    wait: Wait | None,
) -> RolloutStatus | None:
    if memory.rollout is None:
        return None
    lost = isinstance(goal, Problem) and goal.reason is Reason.STATUS_LOST
    if spec is None or spec.suspend or lost:
        waiting, reason = ("a spec that can be read", Reason.INVALID_SPEC)
        if lost:
            waiting, reason = ("the version in use to be declared", Reason.STATUS_LOST)
        elif spec is not None:
            waiting, reason = ("spec.suspend to be false", Reason.SUSPENDED)
        return memory.rollout.model_copy(update={"waiting_for": waiting, "waiting_reason": reason.value})
    if wait is None:
        return memory.rollout
    told = shorten(wait.message + _outdated(memory, observed))
    return memory.rollout.model_copy(update={"waiting_for": told, "waiting_reason": wait.reason.value})


def _outdated(memory: Memory, observed: Observed) -> str:
    """That the rollout does not go as is declared now, where it does not."""
    rollout, declared = memory.rollout, observed.rollout
    if rollout is None or rollout.undo or memory.stable is None:
        return ""
    if not isinstance(declared, Problem) and rollout.course == declared.course:
        return ""
    source = f"RolloutPolicy {rollout.policy.name}" if rollout.policy is not None else "spec.rollout"
    return f"; {source} changed since: this rollout goes on as it started"
