"""The status: what serves, why, and what it waits for, in words and in conditions.

Messages name moments, never how long something has lasted: time that passes is no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import format_time
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.api.status import PlannedStep
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Share
from serin.rollout.conditions import Fact
from serin.rollout.conditions import conditions
from serin.rollout.conditions import shorten
from serin.rollout.health import hopeless
from serin.rollout.health import trouble
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.plan import hostnames
from serin.rollout.schedule import startup_deadline
from serin.rollout.steps import ALL
from serin.rollout.steps import aim_of
from serin.rollout.steps import obstacle_to
from serin.rollout.steps import replicas_for

# Problems that pass by themselves; any other needs somebody (kstatus: Stalled).
PASSING = frozenset({Reason.RESOLVING, Reason.REGISTRY_UNAVAILABLE, Reason.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state in one word, one reason and one sentence."""

    phase: Phase
    reason: Reason
    message: str
    stalled: bool = False
    settled: bool = False
    """True where nothing is under way: neither Reconciling nor waiting for anything."""


def report(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    now: datetime,
) -> ModelDeploymentStatus:
    """The status that says all this. ``goal`` is the declared revision, or the problem that is told instead."""
    verdict = _verdict(memory, observed, spec, goal, now)
    facts = _facts(memory, observed, spec, goal, verdict, now)
    return ModelDeploymentStatus(
        observed_generation=observed.generation,
        phase=verdict.phase,
        message=shorten(verdict.message),
        conditions=conditions(observed.status.conditions, facts, observed.generation, now),
        url=f"http://{hostnames(observed, spec)[0]}" if spec is not None else observed.status.url,
        resolved=memory.resolved,
        stable=_counted(memory.stable, observed, _least(spec, memory.stable)),
        candidate=_counted(memory.candidate, observed, _candidate_replicas(memory, spec, now)),
        previous=_counted(memory.previous, observed, _least(spec, memory.previous)),
        rollout=_rollout(memory, observed, spec, now),
        traffic=memory.traffic,
        retiring=memory.retiring,
        history=memory.history,
        rejected=memory.rejected,
    )


def shares(memory: Memory, observed: Observed) -> tuple[Share, ...]:
    """The traffic as the gateway has it: the route it accepted, otherwise the last one it had."""
    route = observed.serving.route
    if not route.accepted:
        return memory.traffic
    versions = {share.revision: share.version for share in memory.traffic}
    versions |= {revision.revision: revision.version for revision in memory.revisions()}
    return tuple(
        Share(revision=revision, version=versions.get(revision, "?"), weight=weight)
        for revision, weight in sorted(route.weights.items(), key=lambda item: (-item[1], item[0]))
    )


def _verdict(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    now: datetime,
) -> Verdict:
    if isinstance(goal, Problem):
        return _problem(goal, memory)
    if observed.obstacles:
        return _problem(observed.obstacles[0], memory)
    if spec is not None and memory.candidate is not None and memory.rollout is not None:
        return _rolling(memory, memory.candidate, memory.rollout, observed, spec, now)
    rejection = memory.rejection(goal.revision)
    if rejection is not None and not _is(memory.stable, goal):
        return _rolled_back(memory, observed, f"{rejection.version} rejected: {rejection.message}")
    return _steady(memory, observed, spec)


def _problem(problem: Problem, memory: Memory) -> Verdict:
    phase = {Reason.RESOLVING: Phase.RESOLVING, Reason.SUSPENDED: Phase.SUSPENDED}.get(problem.reason, Phase.FAILED)
    return Verdict(
        phase,
        problem.reason,
        f"{problem.message}{_serving(memory)}",
        stalled=problem.reason not in PASSING,
        settled=problem.reason is Reason.SUSPENDED,
    )


def _serving(memory: Memory) -> str:
    return f"; serving {memory.stable.version}" if memory.stable is not None else ""


def _rolling(
    memory: Memory,
    candidate: Revision,
    rollout: RolloutStatus,
    observed: Observed,
    spec: ModelDeploymentSpec,
    now: datetime,
) -> Verdict:
    waiting = _waiting_for(memory, observed, spec, now)
    stable = f"; stable {memory.stable.version}" if memory.stable is not None else ""
    aim = aim_of(rollout, now)
    if memory.stable is None:
        failure = trouble(observed.serving.health(candidate.revision))
        if failure is not None and (
            hopeless(observed.serving.health(candidate.revision), None) or _late(memory, spec, now)
        ):
            return Verdict(
                Phase.FAILED,
                failure.reason,
                f"{candidate.version} cannot start: {failure.message}",
                stalled=True,
            )
        return Verdict(Phase.DEPLOYING, Reason.DEPLOYING, f"{candidate.version}: waiting for {waiting}")
    if aim is not None and aim.step > rollout.steps and rollout.step == rollout.steps and rollout.steps > 0:
        return Verdict(Phase.PROMOTING, Reason.PROMOTING, f"{candidate.version}: waiting for {waiting}{stable}")
    if rollout.step == 0:
        return Verdict(Phase.DEPLOYING, Reason.DEPLOYING, f"{candidate.version}: waiting for {waiting}{stable}")
    share = f"step {rollout.progress}: {rollout.weight} % to {candidate.version}"
    return Verdict(Phase.PROGRESSING, Reason.PROGRESSING, f"{share}, waiting for {waiting}{stable}")


def _late(memory: Memory, spec: ModelDeploymentSpec, now: datetime) -> bool:
    deadline = startup_deadline(memory, spec)
    return deadline is not None and deadline <= now


def _rolled_back(memory: Memory, observed: Observed, rejected: str) -> Verdict:
    message = f"{rejected}{_serving(memory)}"
    if memory.stable is not None and not _has_everything(memory.stable, observed):
        return Verdict(Phase.ROLLING_BACK, Reason.ROLLING_BACK, message)
    return Verdict(Phase.ROLLED_BACK, Reason.ROLLED_BACK, message, stalled=True)


def _steady(memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None) -> Verdict:
    stable = memory.stable
    if stable is None:
        return Verdict(Phase.PENDING, Reason.PENDING, "nothing is deployed yet")
    health = observed.serving.health(stable.revision)
    wanted = _least(spec, stable)
    pods = f": {health.failures[0].message}" if health.failures else ""
    if health.ready == 0:
        return Verdict(
            Phase.FAILED,
            Reason.STABLE_UNAVAILABLE,
            f"no replica of the stable {stable.version} is ready{pods}",
        )
    if not _has_everything(stable, observed):
        return Verdict(
            Phase.PROMOTING, Reason.WAITING_FOR_GATEWAY, f"{stable.version}: waiting for {_gateway(observed)}"
        )
    if health.ready < wanted:
        return Verdict(
            Phase.DEPLOYING,
            Reason.WAITING_FOR_REPLICAS,
            f"{stable.version} has all traffic; {health.ready} of {wanted} replicas are ready{pods}",
        )
    return Verdict(Phase.HEALTHY, Reason.HEALTHY, f"{stable.version} has all traffic", settled=True)


def _has_everything(stable: Revision, observed: Observed) -> bool:
    route = observed.serving.route
    return route.accepted and dict(route.weights) == {stable.revision: ALL}


def _gateway(observed: Observed) -> str:
    route = observed.serving.route
    if route.refusal is not None:
        return f"the gateway, which refused the route: {route.refusal}"
    return "the gateway to accept the route"


def _waiting_for(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> str:
    rollout = memory.rollout
    if rollout is None:
        return ""
    aim = aim_of(rollout, now)
    if aim is None:
        until = format_time(rollout.next_at) if rollout.next_at is not None else ""
        return f"the hold to end at {until}"
    wait = obstacle_to(aim, memory, observed, spec, now)
    if wait is None:
        return f"{_gateway(observed)} with {aim.weight} %"
    if wait.until is not None:
        return f"{wait.message}, at {format_time(wait.until)}"
    deadline = startup_deadline(memory, spec)
    return f"{wait.message} (until {format_time(deadline)})" if deadline is not None else wait.message


def _rollout(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime
) -> RolloutStatus | None:
    if memory.rollout is None or spec is None:
        return memory.rollout
    waiting = _waiting_for(memory, observed, spec, now)
    declared = tuple(PlannedStep(weight=step.weight, hold=step.hold) for step in spec.rollout.steps)
    if memory.stable is not None and memory.rollout.plan != declared:
        waiting += "; spec.rollout.steps changed since: this rollout goes on by the steps it started with"
    return memory.rollout.model_copy(update={"waiting_for": shorten(waiting)})


def _counted(revision: Revision | None, observed: Observed, replicas: int) -> Revision | None:
    if revision is None:
        return None
    ready = observed.serving.health(revision.revision).ready
    return revision.model_copy(update={"replicas": replicas, "ready": ready})


def _least(spec: ModelDeploymentSpec | None, revision: Revision | None) -> int:
    if spec is not None:
        return spec.serving.min_replicas
    return revision.replicas if revision is not None else 0


def _candidate_replicas(memory: Memory, spec: ModelDeploymentSpec | None, now: datetime) -> int:
    if spec is None or memory.rollout is None:
        return memory.candidate.replicas if memory.candidate is not None else 0
    return replicas_for(spec, memory.rollout, now)


def _is(revision: Revision | None, other: Revision) -> bool:
    return revision is not None and revision.revision == other.revision


def _facts(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    verdict: Verdict,
    now: datetime,
) -> Iterator[Fact]:
    ready = verdict.phase is Phase.HEALTHY
    yield Fact(ConditionType.READY, "True" if ready else "False", verdict.reason, verdict.message)
    if not verdict.settled and not verdict.stalled:
        yield Fact(ConditionType.RECONCILING, "True", verdict.reason, verdict.message)
    if verdict.stalled:
        yield Fact(ConditionType.STALLED, "True", verdict.reason, verdict.message)
    yield _available(observed, memory)
    yield _model_resolved(observed, memory)
    yield _candidate_ready(memory, observed, spec, now)
    yield _traffic_routed(observed)


def _available(observed: Observed, memory: Memory) -> Fact:
    serving = [
        share for share in memory.traffic if share.weight > 0 and observed.serving.health(share.revision).ready > 0
    ]
    if serving:
        names = ", ".join(f"{share.version} {share.weight} %" for share in serving)
        return Fact(ConditionType.AVAILABLE, "True", Reason.SERVING, names)
    if memory.traffic:
        return Fact(
            ConditionType.AVAILABLE,
            "False",
            Reason.STABLE_UNAVAILABLE,
            "no revision with traffic has a ready replica",
        )
    return Fact(ConditionType.AVAILABLE, "False", Reason.DEPLOYING, "no revision has traffic yet")


def _model_resolved(observed: Observed, memory: Memory) -> Fact:
    target = observed.target
    if isinstance(target, Problem):
        status: str = "Unknown" if target.reason in PASSING else "False"
        return Fact(
            ConditionType.MODEL_RESOLVED,
            "False" if status == "False" else "Unknown",
            target.reason,
            target.message,
        )
    if observed.registry_down is not None:
        return Fact(
            ConditionType.MODEL_RESOLVED,
            "Unknown",
            observed.registry_down.reason,
            observed.registry_down.message,
        )
    named = f"alias {target.alias}" if target.alias is not None else f"version {target.version}"
    message = f"{named} of {target.name} is version {target.version}" if target.alias else f"{named} of {target.name}"
    return Fact(ConditionType.MODEL_RESOLVED, "True", Reason.RESOLVED, message)


def _candidate_ready(memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime) -> Fact:
    candidate = memory.candidate
    if candidate is None or memory.rollout is None or spec is None:
        return Fact(ConditionType.CANDIDATE_READY, "Unknown", Reason.NO_CANDIDATE, "no rollout is running")
    needed = replicas_for(spec, memory.rollout, now)
    health = observed.serving.health(candidate.revision)
    counted = f"{health.ready} of {needed} replicas of {candidate.version} are ready"
    if health.ready >= needed:
        return Fact(ConditionType.CANDIDATE_READY, "True", Reason.CANDIDATE_READY, counted)
    failure = trouble(health)
    if failure is not None:
        return Fact(ConditionType.CANDIDATE_READY, "False", failure.reason, f"{counted}: {failure.message}")
    return Fact(ConditionType.CANDIDATE_READY, "False", Reason.WAITING_FOR_REPLICAS, counted)


def _traffic_routed(observed: Observed) -> Fact:
    route = observed.serving.route
    if not route.exists:
        return Fact(ConditionType.TRAFFIC_ROUTED, "False", Reason.DEPLOYING, "nothing is ready to be routed to yet")
    if route.accepted:
        return Fact(ConditionType.TRAFFIC_ROUTED, "True", Reason.ROUTED, "the gateway accepted the route")
    if route.refusal is not None:
        return Fact(ConditionType.TRAFFIC_ROUTED, "False", Reason.ROUTE_REFUSED, route.refusal)
    return Fact(
        ConditionType.TRAFFIC_ROUTED,
        "False",
        Reason.WAITING_FOR_GATEWAY,
        "waiting for the gateway to accept the route",
    )
