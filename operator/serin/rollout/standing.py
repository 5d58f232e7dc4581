"""Where a ModelDeployment stands: one phase, one reason and one sentence, and what it waits for.

Messages name moments, never how long something has lasted: time that passes is no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.aim import aim_of
from serin.rollout.aim import awaits_approval
from serin.rollout.aim import awaits_evidence
from serin.rollout.aim import held
from serin.rollout.awaited import ACCEPT
from serin.rollout.course import ALL
from serin.rollout.course import bakes
from serin.rollout.health import NO_POD
from serin.rollout.health import hopeless
from serin.rollout.health import trouble
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.plan import attached
from serin.rollout.schedule import answer_due
from serin.rollout.schedule import refusal_stands
from serin.rollout.schedule import startup_deadline
from serin.rollout.steps import gateway_answer

# Problems that pass by themselves; any other needs somebody (kstatus: Stalled).
PASSING = frozenset({Reason.RESOLVING, Reason.REGISTRY_UNAVAILABLE, Reason.BACKEND_UNAVAILABLE, Reason.SUSPENDED})
# Phases that tell, without a candidate, that the stable revision has all the requests, whatever else it lacks.
HAS_EVERYTHING = frozenset({Phase.HEALTHY, Phase.ROLLED_BACK, Phase.DEPLOYING})


@dataclass(frozen=True, slots=True)
class Standing:
    """The state in one word, one reason and one sentence."""

    phase: Phase
    reason: Reason
    message: str
    stalled: bool = False
    settled: bool = False
    """True where nothing is under way: neither Reconciling nor waiting for anything."""
    ready: bool = False
    """True where the declared version has all requests, also while it may yet be taken back, and nobody is needed."""


def standing_of(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision | Problem,
    now: datetime,
    waiting: str,
) -> Standing:
    """Where it stands. What was declared and cannot be done counts more than what is under way. ``waiting``: what the
    rollout's next move waits for, if there is one."""
    if isinstance(goal, Problem):
        return _problem(goal, memory, observed)
    obstacle = observed.obstacles[0] if observed.obstacles else observed.surplus
    if obstacle is not None:
        return _problem(obstacle, memory, observed)
    standing = _under_way(memory, observed, spec, goal, now, waiting)
    stands = refusal_stands(observed, now)
    if stands is None or now < stands or standing.stalled:
        return standing
    refusal = str(observed.serving.route.refusal)
    told = "" if refusal in standing.message else f"; the gateway refuses the route: {refusal}"
    return replace(standing, reason=Reason.ROUTE_REFUSED, message=f"{standing.message}{told}", stalled=True)


def _under_way(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    goal: Revision,
    now: datetime,
    waiting: str,
) -> Standing:
    if spec is not None and memory.candidate is not None and memory.rollout is not None:
        rolling = _rolling(memory, memory.candidate, memory.rollout, observed, spec, now, waiting)
        after = _after(memory, memory.rollout, goal)
        return replace(rolling, message=f"{rolling.message}{after}") if after else rolling
    rejection = memory.rejection(goal.revision)
    if rejection is not None:
        return _rolled_back(memory, observed, f"{rejection.version} rejected: {rejection.message}", spec, now)
    return _steady(memory, observed, spec, now)


def _problem(problem: Problem, memory: Memory, observed: Observed) -> Standing:
    phase = {Reason.RESOLVING: Phase.RESOLVING, Reason.SUSPENDED: Phase.SUSPENDED}.get(problem.reason, Phase.FAILED)
    return Standing(
        phase,
        problem.reason,
        f"{problem.message}{_serving(memory, observed)}",
        stalled=problem.reason not in PASSING,
        settled=problem.reason is Reason.SUSPENDED,
    )


def _serving(memory: Memory, observed: Observed) -> str:
    """What serves meanwhile, by the shares that the gateway has, or that the stable revision does not."""
    stable = memory.stable
    if stable is None:
        return ""
    given = [one for one in memory.traffic if one.weight > 0]
    alone = all(one.revision == stable.revision for one in given)
    shares = ", ".join(f"{one.version} {one.weight} %" for one in given)
    down = without_replicas(stable, observed)
    if down:
        return f"; {down}" if alone else f"; {down}; traffic: {shares}"
    return f"; serving {stable.version if alone else shares}"


def without_replicas(stable: Revision, observed: Observed) -> str:
    """That no replica of the stable revision is ready, with its pods' words; "" where one is."""
    health = observed.serving.health(stable.revision)
    if health.ready > 0:
        return ""
    pods = f": {health.failures[0].message}" if health.failures else ""
    return f"no replica of the stable {stable.version} is ready{pods}"


def _rolling(
    memory: Memory,
    candidate: Revision,
    rollout: RolloutStatus,
    observed: Observed,
    spec: ModelDeploymentSpec,
    now: datetime,
    waiting: str,
) -> Standing:
    if memory.stable is None:
        return _first(memory, candidate, observed, spec, now, waiting)
    down = without_replicas(memory.stable, observed)
    stable = f"; {down}" if down else f"; stable {memory.stable.version}"
    given = sum(one.weight for one in memory.traffic if one.revision == candidate.revision)
    # It lost its replicas, say, or somebody edited the route.
    really = "" if given == rollout.weight else f", which the gateway gives {given} %"
    share = f"step {rollout.progress}: {rollout.weight} % to {candidate.version}{really}"
    back = f"going back to {candidate.version}"
    established = rollout.weight == ALL and rollout.step_started_at is not None and not rollout.undo
    ready = established and _has_everything(candidate, memory, observed, spec, now)
    if rollout.paused is not None:
        needs_somebody = rollout.paused.reason is not Reason.PAUSED
        what = f"{back}:" if rollout.undo else f"{share},"
        told = f"{what} waiting for {waiting}{stable}"
        return Standing(
            Phase.PAUSED, rollout.paused.reason, told, stalled=needs_somebody, ready=ready and not needs_somebody
        )
    if rollout.undo:
        return Standing(Phase.ROLLING_BACK, Reason.UNDONE, f"{back}: waiting for {waiting}{stable}")
    aim = aim_of(rollout, now)
    if aim is not None and aim.last and (rollout.skip or rollout.step > 0):
        who = f"{candidate.version} has all traffic," if ready else f"{candidate.version}:"
        return Standing(Phase.PROMOTING, Reason.PROMOTING, f"{who} waiting for {waiting}{stable}", ready=ready)
    if rollout.step == 0:
        return Standing(Phase.DEPLOYING, Reason.DEPLOYING, f"{candidate.version}: waiting for {waiting}{stable}")
    if awaits_approval(rollout) and held(rollout, now) and not awaits_evidence(rollout):
        told = f"{share}, waiting for {waiting}{stable}"
        return Standing(Phase.AWAITING_APPROVAL, Reason.AWAITING_APPROVAL, told, ready=ready)
    if bakes(rollout.course, rollout.step) and rollout.step_started_at is not None:
        if not ready:
            return _asks_gateway(candidate, observed, stable)
        warm = stable if down else f"; {memory.stable.version} is kept warm"
        told = f"{candidate.version} has all traffic, waiting for {waiting}{warm}"
        return Standing(Phase.BAKING, Reason.BAKING, told, ready=True)
    return Standing(Phase.PROGRESSING, Reason.PROGRESSING, f"{share}, waiting for {waiting}{stable}", ready=ready)


def _after(memory: Memory, rollout: RolloutStatus, goal: Revision) -> str:
    """What an undo puts off."""
    known = {role.revision for role in (memory.stable, memory.candidate) if role is not None}
    if not rollout.undo or goal.revision in known or memory.rejection(goal.revision) is not None:
        return ""
    return f"; {goal.version}, which is declared, comes after that"


def _first(
    memory: Memory, candidate: Revision, observed: Observed, spec: ModelDeploymentSpec, now: datetime, waiting: str
) -> Standing:
    """A first version: it gets all traffic when it is ready, and nothing else serves until then."""
    if memory.rollout is not None and memory.rollout.paused is not None:
        return Standing(Phase.PAUSED, memory.rollout.paused.reason, f"{candidate.version}: waiting for {waiting}")
    health = observed.serving.health(candidate.revision)
    failure = trouble(health)
    late = _late(memory, spec, now)
    if failure is not None and (hopeless(health, None) or late):
        return Standing(
            Phase.FAILED, failure.reason, f"{candidate.version} cannot start: {failure.message}", stalled=True
        )
    if late:
        return Standing(
            Phase.FAILED,
            Reason.STARTUP_DEADLINE_EXCEEDED,
            f"{candidate.version} is late: waiting for {waiting}" + (f": {NO_POD}" if health.without_pods else ""),
            stalled=True,
        )
    return Standing(Phase.DEPLOYING, Reason.DEPLOYING, f"{candidate.version}: waiting for {waiting}")


def _late(memory: Memory, spec: ModelDeploymentSpec, now: datetime) -> bool:
    deadline = startup_deadline(memory, spec)
    return deadline is not None and deadline <= now


def _rolled_back(
    memory: Memory, observed: Observed, rejected: str, spec: ModelDeploymentSpec | None, now: datetime
) -> Standing:
    message = f"{rejected}{_serving(memory, observed)}"
    if memory.stable is not None and not _has_everything(memory.stable, memory, observed, spec, now):
        return Standing(Phase.ROLLING_BACK, Reason.ROLLING_BACK, message)
    return Standing(Phase.ROLLED_BACK, Reason.ROLLED_BACK, message, stalled=True)


def _steady(memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime) -> Standing:
    stable = memory.stable
    if stable is None:
        return Standing(Phase.PENDING, Reason.PENDING, "nothing is deployed yet")
    health = observed.serving.health(stable.revision)
    pods = f": {health.failures[0].message}" if health.failures else ""
    if health.ready == 0:
        return Standing(
            Phase.FAILED,
            Reason.STABLE_UNAVAILABLE,
            without_replicas(stable, observed),
        )
    if not _has_everything(stable, memory, observed, spec, now):
        return _asks_gateway(stable, observed)
    if health.ready < stable.replicas:
        return Standing(
            Phase.DEPLOYING,
            Reason.WAITING_FOR_REPLICAS,
            f"{stable.version} has all traffic; {health.ready} of {stable.replicas} replicas are ready{pods}",
        )
    return Standing(Phase.HEALTHY, Reason.HEALTHY, f"{stable.version} has all traffic", settled=True, ready=True)


def _asks_gateway(role: Revision, observed: Observed, others: str = "") -> Standing:
    told = f"{role.version}: waiting for {gateway_answer(observed, ACCEPT)}{others}"
    return Standing(Phase.PROMOTING, Reason.WAITING_FOR_GATEWAY, told)


def _has_everything(
    role: Revision, memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime
) -> bool:
    """Whether all requests, at the host names that are declared, go to it. Once told, it stays so for a while in which
    the gateway has yet to answer for a route that moves none of them: without the revision that was retired, say. To
    clients that is no news, and nobody is to wait for it again."""
    route, before = observed.serving.route, observed.status
    alone = route.shares == {role.revision: ALL} and not _shared(route, role)
    if not alone or not (spec is None or attached(observed, spec)):
        return False
    settled = before.candidate is None and before.phase in HAS_EVERYTHING
    told = (settled or _was_ready(before)) and before.observed_generation == observed.generation
    had = {share.revision: share.weight for share in memory.traffic if share.weight > 0} == route.shares
    return route.accepted or (route.pending and told and had and now < answer_due(observed, now))


def _shared(route: Route, role: Revision) -> bool:
    """Whether another one gets copies, or requests by their headers. Who names it by DIRECT_HEADER means it."""
    copied = route.mirror is not None and route.mirror.revision != role.revision
    others = (one for one in route.matches if one.revision != role.revision)
    return copied or any(DIRECT_HEADER not in dict(one.headers) for one in others)


def _was_ready(before: ModelDeploymentStatus) -> bool:
    return any(one.type is ConditionType.READY and one.status == "True" for one in before.conditions)
