"""What the next move of a rollout waits for, and until when.

Messages name moments, never how long something has lasted: time that passes is no difference.
"""

from __future__ import annotations

from datetime import datetime

from serin.api.analysis import Verdict
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import format_time
from serin.api.reasons import Reason
from serin.api.status import RolloutStatus
from serin.rollout.aim import awaits_approval
from serin.rollout.aim import awaits_evidence
from serin.rollout.aim import held
from serin.rollout.course import bakes
from serin.rollout.evidence import REASONS
from serin.rollout.evidence import lacking
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.schedule import startup_deadline
from serin.rollout.steps import Move
from serin.rollout.steps import Wait
from serin.rollout.steps import gateway_answer
from serin.rollout.steps import move_of
from serin.rollout.steps import routed
from serin.rollout.steps import spread_at

ACCEPT = "to accept the route"


def waiting_for(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> str:
    """What the rollout's next move waits for, and until when; "" without a rollout."""
    move = move_of(memory, observed, spec, now)
    wait = awaited(memory, observed, spec, move, now) if move is not None else None
    return wait.message if wait is not None else ""


def awaited(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, move: Move, now: datetime) -> Wait | None:
    """The same of this ``move``, with its reason; None without a rollout."""
    rollout, aim, wait = memory.rollout, move.aim, move.wait
    if rollout is None:
        return None
    if aim is None:
        return _patience(memory, rollout, now)
    if wait is None:
        spread = spread_at(memory, observed) if routed(memory, observed, aim) else None
        if spread is not None:
            told = f"the gateway's proxies to take over the new route, at {format_time(spread)}"
            return Wait(Reason.WAITING_FOR_GATEWAY, told)
        return _gateway(observed, gateway_answer(observed, f"{ACCEPT} with {aim.weight} %"))
    if wait.reason is Reason.WAITING_FOR_GATEWAY:
        wait = _gateway(observed, wait.message)
    if wait.until is not None:
        return Wait(wait.reason, f"{wait.message}, at {format_time(wait.until)}", wait.until)
    deadline = startup_deadline(memory, spec)
    # Past it nothing happens by itself, to a first version say.
    due = deadline is not None and now < deadline
    return Wait(wait.reason, f"{wait.message} (until {_moment(deadline)})") if due else wait


def _gateway(observed: Observed, message: str) -> Wait:
    refused = observed.serving.route.refusal is not None
    return Wait(Reason.ROUTE_REFUSED if refused else Reason.WAITING_FOR_GATEWAY, message)


def _patience(memory: Memory, rollout: RolloutStatus, now: datetime) -> Wait:
    """What ends a step that is where it shall be: somebody, time, or evidence. The reason is of what comes first."""
    if rollout.paused is not None:
        # A first version has nothing to skip, and nobody to go back to.
        may = "resume, promote or abort" if memory.stable is not None else "resume"
        if rollout.skip and not rollout.undo:
            # Somebody promoted it before, and who resumes it may not know that.
            may = "resume it, which gives it everything, or to abort"
        failed = "a ready replica of the stable revision, to take it back, or " if rollout.paused.failed else ""
        return Wait(rollout.paused.reason, f"{failed}somebody to {may} it ({rollout.paused.message})")
    waits = []
    if not held(rollout, now):
        bake = bakes(rollout.course, rollout.step)
        what, reason = ("the bake", Reason.BAKING) if bake else ("the hold", Reason.PROGRESSING)
        waits.append(Wait(reason, f"{what} to end at {_moment(rollout.next_at)}"))
    if awaits_evidence(rollout):
        waits.append(Wait(REASONS[rollout.verdict or Verdict.INCONCLUSIVE], lacking(memory)))
    if awaits_approval(rollout):
        waits.append(Wait(Reason.AWAITING_APPROVAL, f"somebody to approve step {rollout.progress}"))
    until = f" (until {format_time(rollout.deadline_at)})" if rollout.deadline_at is not None else ""
    told = ", then ".join(wait.message for wait in waits)
    return Wait(waits[0].reason, f"{told}{until if held(rollout, now) else ''}")


def _moment(when: datetime | None) -> str:
    return format_time(when) if when is not None else "once"
