"""What a rollout aims at next, and the replicas that this takes. It follows from what is remembered and from the time
alone; whether the candidate may have it is for ``steps`` to say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serin.api.analysis import Verdict
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import PlannedStep
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.course import ALL
from serin.rollout.course import crowd
from serin.rollout.course import stages
from serin.rollout.health import capacity
from serin.rollout.pause import resume

EVERYTHING = PlannedStep(weight=ALL)


@dataclass(frozen=True, slots=True)
class Aim:
    """The stage that shall be established next."""

    step: int
    """From 1; for the end, when the candidate is promoted, the last one."""
    stage: PlannedStep
    forward: bool = True
    """False where the step was established before and lost its replicas."""
    last: bool = False
    """True for the end: nothing but the candidate is routed to any more."""

    @property
    def weight(self) -> int:
        """Percent of the requests for the candidate."""
        return self.stage.weight


def aim_of(rollout: RolloutStatus, now: datetime) -> Aim | None:
    """What to establish next; None while the current step holds, or waits for a person."""
    ahead = stages(rollout.course)
    if rollout.step > 0 and rollout.step_started_at is None:
        return Aim(rollout.step, ahead[rollout.step - 1], forward=False)
    if rollout.paused is not None:
        return None
    holds = rollout.next_at is not None and now < rollout.next_at
    if not rollout.skip and (holds or awaits_approval(rollout) or awaits_evidence(rollout)):
        return None
    return following(rollout)


def following(rollout: RolloutStatus) -> Aim:
    """What comes after the step it is in."""
    ahead = stages(rollout.course)
    if rollout.step < len(ahead) and not rollout.skip:
        return Aim(rollout.step + 1, ahead[rollout.step])
    return Aim(len(ahead), EVERYTHING, last=True)


def awaits_approval(rollout: RolloutStatus) -> bool:
    """Whether the step it is in needs a person's word that it has not got yet. Its hold may still run."""
    ahead = stages(rollout.course)
    asks = 0 < rollout.step <= len(ahead) and ahead[rollout.step - 1].approval
    return asks and rollout.approved_step != rollout.step


def awaits_evidence(rollout: RolloutStatus) -> bool:
    """Whether the step it is in gives the candidate requests, and its checks do not all pass yet. Where only requests
    with certain headers reach it, nobody knows how many will come: there the checks can fail and need not pass."""
    analysis = rollout.course.analysis
    if analysis is None or not analysis.checks:
        return False
    judged = rollout.weight > 0 or rollout.mirror is not None
    return judged and rollout.verdict is not Verdict.PASS


def held(rollout: RolloutStatus, now: datetime) -> bool:
    """Whether the hold of the step it is in is over."""
    return rollout.step_started_at is not None and (rollout.next_at is None or rollout.next_at <= now)


def needed_replicas(spec: ModelDeploymentSpec, rollout: RolloutStatus, now: datetime) -> int:
    """Replicas without which the candidate does not move on: those of the weight it shall get next. A pause takes none
    of them: the gateway may still act by the route that was written before."""
    aim = aim_of(resume(rollout, now), now)
    return needed(spec, rollout, aim.stage if aim is not None else stage_in(rollout))


def replicas_for(spec: ModelDeploymentSpec, candidate: Revision, rollout: RolloutStatus, now: datetime) -> int:
    """Replicas that the candidate shall have: those that it needs, before it needs them, and those it came with."""
    return max(needed_replicas(spec, rollout, now), min(candidate.floor or 1, spec.serving.most_replicas))


def needed(spec: ModelDeploymentSpec, rollout: RolloutStatus, stage: PlannedStep) -> int:
    """Replicas for a stage. How many requests have its headers is not known: the weight must cover them. Copies are
    made of all requests, also of those that it gets: both together may be more than everything, but never more
    replicas than are declared."""
    wanted = capacity(crowd(spec, rollout.base), stage.weight + (stage.mirror or 0))
    return min(wanted, spec.serving.most_replicas)


def stage_in(rollout: RolloutStatus) -> PlannedStep:
    """The stage it is in, from the first step on."""
    return stages(rollout.course)[rollout.step - 1]
