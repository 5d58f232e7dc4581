"""A rollout that stays where it is until somebody decides. Its clocks stand still meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.quantities import span
from serin.api.reasons import Reason
from serin.api.status import Pause
from serin.api.status import RolloutStatus
from serin.rollout.course import stages
from serin.rollout.memory import Memory
from serin.rollout.observed import Problem


def pause(
    rollout: RolloutStatus, reason: Reason, message: str, now: datetime, failed: Reason | None = None
) -> RolloutStatus:
    """The same rollout, standing still. Where it stood still already, what was left of its times then is left."""
    going = _going(rollout, now)
    stopped = Pause(
        reason=reason,
        message=message,
        since=now,
        next_at=going.next_at,
        deadline_at=going.deadline_at,
        failed=failed,
    )
    return going.model_copy(update={"paused": stopped, "next_at": None, "deadline_at": None})


def resume(rollout: RolloutStatus, now: datetime) -> RolloutStatus:
    """The same rollout, going on: what was left of its times is left. A deadline that has passed is not set anew."""
    going, paused = _going(rollout, now), rollout.paused
    if paused is None or not seen(paused):
        return going
    # Who lets it go on has seen what failed: the step begins anew, and so does what it is judged by.
    fresh: dict[str, object] = {"verdict": None, "judged_at": None}
    if paused.failed is not None and rollout.trial_since is not None:
        fresh["trial_since"] = now
    if rollout.step_started_at is not None:
        hold = span(stages(rollout.course)[rollout.step - 1].hold)
        fresh |= {"step_started_at": now, "next_at": now + hold}
    return going.model_copy(update=fresh)


def seen(paused: Pause) -> bool:
    """Whether a person who lets it go on does so in spite of a failure."""
    return paused.reason is Reason.FROZEN or paused.failed is not None


def _going(rollout: RolloutStatus, now: datetime) -> RolloutStatus:
    """With its times as they are when it goes on now."""
    paused = rollout.paused
    if paused is None:
        return rollout
    next_at = paused.next_at
    if next_at is not None:
        # A step that began anew meanwhile has stood still only since then. A hold that was over stays so.
        next_at += now - max(paused.since, rollout.step_started_at or paused.since)
    late = Reason.DEADLINE_EXCEEDED in (paused.reason, paused.failed)
    deadline_at = None if late or paused.deadline_at is None else paused.deadline_at + (now - paused.since)
    return rollout.model_copy(update={"paused": None, "next_at": next_at, "deadline_at": deadline_at})


def suspend(memory: Memory, why: Problem, now: datetime) -> Memory:
    """What stands still because everything does: no deadline passes while nobody may meet it."""
    rollout = memory.rollout
    if rollout is None:
        return memory
    stopped = pause(rollout, why.reason, why.message, now) if rollout.paused is None else rollout
    # Also in a pause by a person, who takes no replicas from a step: those it lost may not be made now.
    return replace(memory, rollout=stopped.model_copy(update={"waiting_since": None}))


def unsuspend(memory: Memory, now: datetime) -> Memory:
    """Go on with what a suspension stopped. The replicas that were waited for have their whole deadline again."""
    rollout = memory.rollout
    if rollout is None or rollout.paused is None or rollout.paused.reason is not Reason.SUSPENDED:
        return memory
    return replace(memory, rollout=resume(rollout, now))
