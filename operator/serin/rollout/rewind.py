"""Times that are yet to come, of things that have happened: those of a clock that was ahead, before it was set right or
on the node of another operator.

Until it is that late by this clock nobody would judge the candidate, and its crashes would be older than its trial.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.api.status import Pause
from serin.api.status import RolloutStatus
from serin.rollout.observed import Observed


def rewind(observed: Observed, now: datetime) -> Observed:
    """The same with the rollout's times by this clock: the last of what happened was just now."""
    rollout = observed.status.rollout
    if rollout is None:
        return observed
    paused = rollout.paused
    happened = (
        rollout.started_at,
        rollout.waiting_since,
        rollout.trial_since,
        rollout.step_started_at,
        rollout.judged_at,
        paused.since if paused is not None else None,
    )
    ahead = max(moment for moment in happened if moment is not None) - now
    if ahead <= timedelta():
        return observed
    earlier: dict[str, object] = {**_earlier(rollout, ahead)}
    if paused is not None:
        earlier["paused"] = paused.model_copy(update=_earlier(paused, ahead))
    status = observed.status.model_copy(update={"rollout": rollout.model_copy(update=earlier)})
    return replace(observed, status=status)


def _earlier(timed: RolloutStatus | Pause, ahead: timedelta) -> dict[str, datetime]:
    moments = ((name, getattr(timed, name)) for name in type(timed).model_fields)
    return {name: moment - ahead for name, moment in moments if isinstance(moment, datetime)}
