"""What happens to a rollout that has not got everything by its deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.rollout import OnInconclusive
from serin.api.status import RolloutStatus
from serin.rollout.aim import awaits_approval
from serin.rollout.aim import following
from serin.rollout.awaited import waiting_for
from serin.rollout.give_up import give_up
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.pause import pause
from serin.rollout.steps import carries
from serin.rollout.steps import skip


def past_deadline(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """What was declared for a rollout that takes too long."""
    rollout = memory.rollout
    if rollout is None or rollout.deadline_at is None or now < rollout.deadline_at:
        return memory
    if rollout.skip and carries(memory, observed, following(rollout)):
        # The route for everything is written: what comes in the way after that takes nothing back.
        return memory
    course = rollout.course
    if course.on_inconclusive is OnInconclusive.PROMOTE and _may_have_everything(memory, rollout, observed):
        # No person's word: looked at anew at every decision until it has everything.
        skipping = skip(rollout).model_copy(update={"deadline_at": rollout.deadline_at})
        return memory if rollout.skip else replace(memory, rollout=skipping)
    rollout = rollout.model_copy(update={"skip": False})
    memory = replace(memory, rollout=rollout)
    late = f"not promoted within {course.deadline}: waiting for {waiting_for(memory, observed, spec, now)}"
    if course.on_inconclusive is OnInconclusive.ROLLBACK:
        return give_up(memory, observed, Reason.DEADLINE_EXCEEDED, late, now)
    return replace(memory, rollout=pause(rollout, Reason.DEADLINE_EXCEEDED, late, now))


def _may_have_everything(memory: Memory, rollout: RolloutStatus, observed: Observed) -> bool:
    """Whether too little evidence is all that keeps the candidate. That nobody declares it, that it never had a step,
    that the stable revision is down or that a person is asked is for a person to override."""
    asks = awaits_approval(rollout) or any(step.approval for step in rollout.course.steps[rollout.step :])
    answers = observed.unmet is None and observed.registry_down is None
    serves = memory.stable is not None and observed.serving.health(memory.stable.revision).ready > 0
    return not asks and answers and serves and rollout.step > 0
