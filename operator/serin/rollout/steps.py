"""How a rollout moves: which weight comes next, what it waits for, and when a step has begun.

A step is *established* when the candidate has the replicas its weight needs, ready for long enough, and the gateway
has accepted the route that gives it the weight. That moment starts the step's clock. The route is written before
the status says so: which weight is due follows from what the status remembers and from the time, so a crash
between the two repeats the same write, and each step costs one write of the route and one of the status.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.analysis.verdict import next_step
from serin.api.analysis import Verdict
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import span
from serin.api.reasons import Reason
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.aim import Aim
from serin.rollout.aim import aim_of
from serin.rollout.aim import following
from serin.rollout.aim import needed
from serin.rollout.aim import stage_in
from serin.rollout.course import ALL
from serin.rollout.give_up import stranded
from serin.rollout.health import ready_at
from serin.rollout.memory import Memory
from serin.rollout.naming import matches
from serin.rollout.naming import mirror
from serin.rollout.naming import shares
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.retire import drain_of
from serin.rollout.size import size

# Contour accepts a route up to 0.6 s before its Envoys have it (seen on a loaded machine); it tells whole seconds.
SPREADING = timedelta(seconds=2)
# Problems that end with an answer of the registry; any other with another declaration, or with what it names.
UNANSWERED = frozenset({Reason.RESOLVING, Reason.REGISTRY_UNAVAILABLE, Reason.REGISTRY_REFUSED})


@dataclass(frozen=True, slots=True)
class Wait:
    """What the next step waits for, and until when as far as that is known."""

    reason: Reason
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The next move of a rollout."""

    aim: Aim | None
    """None while the current step holds, or waits for a person."""
    wait: Wait | None
    """What keeps the candidate from there; None where nothing does."""


def move_of(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Move | None:
    """Where the rollout goes next; None without one. A decision asks once, when nothing changes any more."""
    if memory.rollout is None:
        return None
    aim = aim_of(memory.rollout, now)
    return Move(aim, obstacle_to(aim, memory, observed, spec, now) if aim is not None else None)


def stage_of(memory: Memory, observed: Observed, move: Move | None) -> Aim | None:
    """The stage by which the requests shall be routed now; None while the candidate shall get nothing. Never more than
    what it has earned. ``move``: that of this memory."""
    rollout, candidate = memory.rollout, memory.candidate
    if rollout is None or candidate is None or move is None or new_to_us(memory, observed):
        return None
    serving = observed.serving
    if serving.health(candidate.revision).ready == 0:
        nobody = stranded(memory, observed) and serving.route.shares == {candidate.revision: ALL}
        if not nobody:
            return None
        # The stable revision has none either: nothing is gained by moving everything to that and back.
    if memory.stable is not None and serving.route.exists and not serving.route.knows(candidate.revision):
        # Also where somebody took it out of the route by hand: it comes back as it came in.
        return None
    aim = None if earns(memory, observed) else move.aim
    # What comes in the way after the route was written, such as a registry that goes, takes nothing back. A route
    # without the stable revision is none of ours, but one that a hand wrote.
    ours = memory.stable is None or memory.stable.revision in serving.route.weights
    written = ours and aim is not None and carries(memory, observed, aim)
    if aim is not None and (written or move.wait is None):
        return aim
    if ours and stranded(memory, observed) and carries(memory, observed, following(rollout)):
        # Not established, for nothing is while the stable revision is down; but whoever pauses it now, or the deadline,
        # would take requests that are answered to where nobody is.
        return following(rollout)
    return Aim(rollout.step, stage_in(rollout)) if rollout.step_started_at is not None else None


def earns(memory: Memory, observed: Observed) -> bool:
    """Whether this decision finds something by which the candidate may move on: a step that is established, or checks
    that pass. It moves on when that is remembered: after a crash in between its weight would fall back, and come again.
    """
    before, rollout = observed.status.rollout, memory.rollout
    if before is None or rollout is None or rollout.step_started_at is None:
        return False
    # What skips its steps goes by no verdict.
    passes = rollout.verdict is Verdict.PASS and before.verdict is not Verdict.PASS and not rollout.skip
    return passes or (before.step, before.step_started_at) != (rollout.step, rollout.step_started_at)


def new_to_us(memory: Memory, observed: Observed) -> bool:
    """Whether a first version, whose replicas are ready already, is to be remembered before it gets requests: a route
    that no status explains is that of a status that was lost."""
    candidate, known = memory.candidate, observed.status.candidate
    if memory.stable is not None or candidate is None or (known is not None and known.revision == candidate.revision):
        return False
    return observed.serving.health(candidate.revision).ready > 0


def obstacle_to(aim: Aim, memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Wait | None:
    """What keeps the candidate from the weight it aims at; None where nothing does."""
    candidate, stable, rollout = memory.candidate, memory.stable, memory.rollout
    if candidate is None or rollout is None:
        return None
    count = at_least(memory, observed, needed(spec, rollout, aim.stage))
    wait = _replicas_missing(count, candidate, rollout, observed, now)
    if wait is not None:
        return wait
    # Everything it had it gets back: the stable revision has had none of it.
    back = not aim.forward and aim.weight == ALL
    down = stable is not None and observed.serving.health(stable.revision).ready == 0
    # A person who orders to skip what is left has been told what is missing, and means it.
    if stable is not None and down and not back and not rollout.skip:
        return Wait(
            Reason.STABLE_UNAVAILABLE,
            f"a ready replica of the stable {stable.version}, or the order to promote {candidate.version} all the same",
        )
    stopped = observed.unmet or observed.registry_down
    # What it had it gets back, unless it may be just what is no longer declared.
    stops = aim.forward or isinstance(observed.target, Problem)
    if stops and stopped is not None and not rollout.skip:
        wanted = "the registry to answer" if stopped.reason in UNANSWERED else "a declaration that can be met"
        return Wait(stopped.reason, f"{wanted} ({stopped.message})")
    if stable is not None and not observed.serving.route.knows(candidate.revision):
        return Wait(Reason.WAITING_FOR_GATEWAY, gateway_answer(observed, f"to know {candidate.version}"))
    return None


def at_least(memory: Memory, observed: Observed, count: int) -> int:
    """Replicas without which the candidate gets no more. Where a person gave it everything and nobody else answers, one
    is better than none: the others may find no room before what is down has made it."""
    stable, rollout = memory.stable, memory.rollout
    down = stable is not None and observed.serving.health(stable.revision).ready == 0
    return 1 if down and rollout is not None and rollout.skip else count


def _replicas_missing(
    count: int, candidate: Revision, rollout: RolloutStatus, observed: Observed, now: datetime
) -> Wait | None:
    health = observed.serving.health(candidate.revision)
    stable_for = rollout.course.stable_for
    at = ready_at(health, count, span(stable_for))
    if at is None:
        pods = f": {health.failures[0].message}" if health.failures else ""
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"{health.ready} of {count} replicas of {candidate.version} to be ready{pods}",
        )
    if now < at:
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"replicas of {candidate.version} to be ready for {stable_for}",
            until=at,
        )
    return None


def gateway_answer(observed: Observed, wanted: str) -> str:
    """What is waited for from the gateway, in its own words where it has refused."""
    refusal = observed.serving.route.refusal
    return f"the gateway {wanted}" if refusal is None else f"the gateway, which refused the route: {refusal}"


def spread_at(memory: Memory, observed: Observed) -> datetime | None:
    """When the gateway's proxies have a route that is new to them; None where they knew it before.

    A first version is not called ready before: whoever waits for Ready and then asks would be told 404.
    """
    since = observed.serving.route.since
    return since + SPREADING if memory.stable is None and since is not None else None


def advance(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """The rollout, moved as far as replicas, clock, people and gateway allow at this moment."""
    while memory.rollout is not None and memory.candidate is not None:
        rollout, candidate = size(memory.rollout, memory.candidate, memory.stable, observed, spec, now)
        if rollout.step_started_at is not None and _lost(candidate, rollout, observed):
            rollout = _interrupted(rollout, now)
        if rollout is not memory.rollout or candidate is not memory.candidate:
            memory = replace(memory, rollout=rollout, candidate=candidate)
        aim = aim_of(rollout, now)
        wait = obstacle_to(aim, memory, observed, spec, now) if aim is not None else None
        # Where nothing is waited for the startup deadline does not run.
        since = _waiting_since(rollout, wait, candidate, observed, spec, now) if wait is not None else None
        if since != rollout.waiting_since:
            rollout = rollout.model_copy(update={"waiting_since": since})
            memory = replace(memory, rollout=rollout)
        if aim is None or wait is not None:
            return memory
        if not routed(memory, observed, aim):
            return memory
        if aim.last:
            spread = spread_at(memory, observed)
            return memory if spread is not None and now < spread else memory.promote(now, drain_of(observed, spec))
        analysis = rollout.course.analysis
        carried = next_step(analysis, memory.analysis) if analysis is not None else ()
        memory = replace(memory, rollout=_established(rollout, aim, now), analysis=carried)
    return memory


def skip(rollout: RolloutStatus) -> RolloutStatus:
    """The same rollout, with nothing left but its end. The replicas for that have the whole startup deadline."""
    return rollout.model_copy(update={"skip": True, "deadline_at": None, "waiting_since": None})


def _lost(candidate: Revision, rollout: RolloutStatus, observed: Observed) -> bool:
    """Whether the candidate lost what the step gives it: it has no replica left to carry it, or the gateway accepted a
    route that gives it nothing, which a hand wrote, or an operator that crashed before it could say why: that it is not
    declared any more, perhaps, and while that is not known again the route is believed before it is accepted."""
    route = observed.serving.route
    gets = candidate.revision in route.shares if rollout.weight > 0 else route.reaches(candidate.revision)
    unsure = isinstance(observed.target, Problem)
    taken = (route.accepted or unsure) and not gets
    return taken or observed.serving.health(candidate.revision).ready == 0


def _interrupted(rollout: RolloutStatus, now: datetime) -> RolloutStatus:
    """The step begins anew when the candidate has its weight again."""
    return rollout.model_copy(update={"step_started_at": None, "next_at": None, "waiting_since": now})


def _waiting_since(
    rollout: RolloutStatus,
    wait: Wait,
    candidate: Revision,
    observed: Observed,
    spec: ModelDeploymentSpec,
    now: datetime,
) -> datetime | None:
    """The startup deadline runs until the replicas are ready for long enough: readiness that comes and goes is none.
    It does not run while what would make them is refused."""
    # From now, not from the end of the hold: that may be long ago, and the replicas are asked for only now.
    since = rollout.waiting_since or now
    made = candidate.revision in observed.serving.revisions
    if not made and since + span(spec.serving.startup_deadline) <= now:
        # Nobody could make it until now: it has its whole time when it is there.
        since = now
    for_replicas = wait.reason is Reason.WAITING_FOR_REPLICAS and not observed.obstacles
    return since if for_replicas else None


def routed(memory: Memory, observed: Observed, aim: Aim) -> bool:
    """Whether the gateway has accepted exactly this stage."""
    return observed.serving.route.accepted and carries(memory, observed, aim)


def carries(memory: Memory, observed: Observed, aim: Aim) -> bool:
    """Whether the route is written for exactly this stage."""
    route, stage = observed.serving.route, None if aim.last else aim.stage
    return (
        route.shares == shares(memory, aim.weight)
        and route.matches == matches(memory, stage)
        and route.mirror == mirror(memory, stage)
    )


def _established(rollout: RolloutStatus, aim: Aim, now: datetime) -> RolloutStatus:
    ends = now + span(aim.stage.hold)
    paused = rollout.paused
    return rollout.model_copy(
        update={
            "step": aim.step,
            "progress": f"{min(aim.step, rollout.steps)}/{rollout.steps}",
            "weight": aim.weight,
            "mirror": aim.stage.mirror,
            # Kept when a step begins anew: a pod may show that it is not ready before it shows that it has crashed.
            "trial_since": rollout.trial_since or now,
            "step_started_at": now,
            "next_at": ends if paused is None else None,
            "paused": paused.model_copy(update={"next_at": ends}) if paused is not None else None,
            # It has all traffic: that was in time.
            "deadline_at": None if aim.weight == ALL else rollout.deadline_at,
            "verdict": None,
            "judged_at": None,
        }
    )
