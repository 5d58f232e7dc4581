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

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import span
from serin.api.reasons import Reason
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.decision import Event
from serin.rollout.health import capacity
from serin.rollout.health import ready_at
from serin.rollout.memory import Memory
from serin.rollout.naming import ALL
from serin.rollout.naming import shares
from serin.rollout.observed import Observed


@dataclass(frozen=True, slots=True)
class Aim:
    """The step that shall be established next."""

    step: int
    """From 1; one more than there are steps for the end, when the candidate gets everything."""
    weight: int
    forward: bool
    """False where the step was established before and lost its replicas."""


def aim_of(rollout: RolloutStatus, now: datetime) -> Aim | None:
    """What to establish next; None while the current step holds."""
    if rollout.step > 0 and rollout.step_started_at is None:
        return Aim(rollout.step, rollout.plan[rollout.step - 1].weight, forward=False)
    if rollout.next_at is not None and now < rollout.next_at:
        return None
    weight = rollout.plan[rollout.step].weight if rollout.step < len(rollout.plan) else ALL
    return Aim(rollout.step + 1, weight, forward=True)


def replicas_for(spec: ModelDeploymentSpec, rollout: RolloutStatus, now: datetime) -> int:
    """Replicas that the candidate needs: those of the weight it shall get next, before it gets it."""
    aim = aim_of(rollout, now)
    return capacity(spec.serving.min_replicas, rollout.weight if aim is None else aim.weight)


def weight_of(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> int:
    """Percent of the requests that the candidate shall have now. Never more than what it has earned."""
    rollout, candidate = memory.rollout, memory.candidate
    if rollout is None or candidate is None:
        return 0
    serving = observed.serving
    if serving.health(candidate.revision).ready == 0:
        return 0
    if memory.stable is not None and serving.route.exists and not serving.route.knows(candidate.revision):
        # Also where somebody took it out of the route by hand: it comes back as it came in.
        return 0
    aim = aim_of(rollout, now)
    if aim is not None and obstacle_to(aim, memory, observed, spec, now) is None:
        return aim.weight
    return rollout.weight if rollout.step_started_at is not None else 0


@dataclass(frozen=True, slots=True)
class Wait:
    """What the next step waits for, and until when as far as that is known."""

    reason: Reason
    message: str
    until: datetime | None = None


def obstacle_to(aim: Aim, memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Wait | None:
    """What keeps the candidate from the weight it aims at; None where nothing does."""
    candidate, stable = memory.candidate, memory.stable
    if candidate is None:
        return None
    needed = capacity(spec.serving.min_replicas, aim.weight)
    stable_for = spec.rollout.readiness.stable_for
    health = observed.serving.health(candidate.revision)
    at = ready_at(health, needed, span(stable_for))
    if at is None:
        pods = f": {health.failures[0].message}" if health.failures else ""
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"{health.ready} of {needed} replicas of {candidate.version} to be ready{pods}",
        )
    if now < at:
        return Wait(
            Reason.WAITING_FOR_REPLICAS,
            f"replicas of {candidate.version} to be ready for {stable_for}",
            until=at,
        )
    held = observed.unmet or observed.registry_down
    if aim.forward and held is not None:
        return Wait(held.reason, held.message)
    if stable is not None and observed.serving.health(stable.revision).ready == 0:
        return Wait(Reason.STABLE_UNAVAILABLE, f"a ready replica of the stable {stable.version}")
    if stable is not None and not observed.serving.route.knows(candidate.revision):
        return Wait(Reason.WAITING_FOR_GATEWAY, gateway_answer(observed, f"to know {candidate.version}"))
    return None


def gateway_answer(observed: Observed, wanted: str) -> str:
    """What is waited for from the gateway, in its own words where it has refused."""
    refusal = observed.serving.route.refusal
    return f"the gateway {wanted}" if refusal is None else f"the gateway, which refused the route: {refusal}"


def advance(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """The rollout, moved as far as replicas, clock and gateway allow at this moment."""
    while memory.rollout is not None and memory.candidate is not None:
        rollout, candidate = memory.rollout, memory.candidate
        if rollout.step_started_at is not None and _lost(candidate, rollout, observed):
            rollout = _interrupted(rollout, now)
            memory = replace(memory, rollout=rollout)
        aim = aim_of(rollout, now)
        if aim is None:
            return memory
        wait = obstacle_to(aim, memory, observed, spec, now)
        if wait is not None:
            return replace(memory, rollout=_waiting(rollout, wait, now))
        memory = replace(memory, rollout=rollout.model_copy(update={"waiting_since": None}))
        if not _routed(memory, observed, aim.weight):
            return memory
        if aim.step > len(rollout.plan):
            return memory.promote(now, span(spec.traffic.timeout))
        memory = _establish(memory, aim, now)
    return memory


def _lost(candidate: Revision, rollout: RolloutStatus, observed: Observed) -> bool:
    """Whether the candidate lost the step's weight: it has no replica left to carry it, or the gateway accepted a route
    that gives it nothing, which a hand wrote, or an operator that crashed before it could say why."""
    route = observed.serving.route
    taken = rollout.weight > 0 and route.accepted and candidate.revision not in route.shares
    return taken or observed.serving.health(candidate.revision).ready == 0


def _interrupted(rollout: RolloutStatus, now: datetime) -> RolloutStatus:
    """The step begins anew when the candidate has its weight again."""
    return rollout.model_copy(update={"step_started_at": None, "next_at": None, "waiting_since": now})


def _waiting(rollout: RolloutStatus, wait: Wait, now: datetime) -> RolloutStatus:
    """The startup deadline runs only while replicas are missing."""
    for_replicas = wait.reason is Reason.WAITING_FOR_REPLICAS and wait.until is None
    # From now, not from the end of the hold: that may be long ago, and the replicas are asked for only now.
    since = (rollout.waiting_since or now) if for_replicas else None
    return rollout.model_copy(update={"waiting_since": since})


def _routed(memory: Memory, observed: Observed, weight: int) -> bool:
    """Whether the gateway has accepted exactly these weights."""
    route = observed.serving.route
    return route.accepted and route.shares == shares(memory, weight)


def _establish(memory: Memory, aim: Aim, now: datetime) -> Memory:
    rollout, candidate = memory.rollout, memory.candidate
    if rollout is None or candidate is None:
        return memory
    hold = rollout.plan[aim.step - 1].hold
    established = rollout.model_copy(
        update={
            "step": aim.step,
            "progress": f"{aim.step}/{rollout.steps}",
            "weight": aim.weight,
            # Kept when a step begins anew: a pod may show that it is not ready before it shows that it has crashed.
            "trial_since": rollout.trial_since or now,
            "step_started_at": now,
            "next_at": now + span(hold),
            "waiting_since": None,
        }
    )
    told = f"step {aim.step}/{rollout.steps}: {aim.weight} % of the requests go to {candidate.version} for {hold}"
    return replace(memory, rollout=established).tell(Event("Normal", Reason.PROGRESSING, told))
