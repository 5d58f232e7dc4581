"""What the last look says of the candidate, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from serin.analysis.verdict import Versions
from serin.analysis.verdict import judge
from serin.analysis.verdict import overall
from serin.api.analysis import CheckStatus
from serin.api.analysis import Verdict
from serin.api.quantities import format_time
from serin.api.quantities import milliseconds
from serin.api.reasons import Reason
from serin.api.rollout import OnFailure
from serin.rollout.aim import aim_of
from serin.rollout.give_up import give_up
from serin.rollout.looks import passes_until
from serin.rollout.looks import waived
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.pause import pause
from serin.rollout.pause import seen
from serin.rollout.steps import carries

REASONS = {
    Verdict.PASS: Reason.ANALYSIS_PASSING,
    Verdict.FAIL: Reason.ANALYSIS_FAILED,
    Verdict.INCONCLUSIVE: Reason.ANALYSIS_INCONCLUSIVE,
    Verdict.ERROR: Reason.ANALYSIS_ERROR,
}


def weigh(memory: Memory, observed: Observed, now: datetime) -> Memory:
    """The rollout after a look that is new: the verdicts, and the end of a candidate that fails."""
    rollout, look = memory.rollout, observed.look
    candidate, stable = memory.candidate, memory.stable
    if rollout is None or candidate is None or stable is None or look is None or waived(rollout):
        return memory
    analysis, at = rollout.course.analysis, milliseconds(look.at)
    if analysis is None or look.since != rollout.step_started_at or at <= (rollout.judged_at or look.since):
        return memory
    checks = judge(analysis, look.measured, memory.analysis, Versions(candidate.version, stable.version))
    verdict = overall(checks)
    if verdict is not Verdict.FAIL and not rollout.skip and _moves_on(memory, observed, now):
        # The route of the next step is written: it was decided upon what was known then, and only a failure undoes it.
        verdict = Verdict.PASS
    judged = rollout.model_copy(update={"verdict": verdict, "judged_at": at})
    memory = replace(memory, analysis=checks, rollout=judged)
    if verdict is not Verdict.FAIL or (rollout.paused is not None and seen(rollout.paused)):
        return memory
    message = said(checks, Verdict.FAIL)
    if rollout.course.on_failure is OnFailure.FREEZE:
        return replace(memory, rollout=pause(judged, Reason.FROZEN, f"a check failed: {message}", now))
    return give_up(memory, observed, Reason.ANALYSIS_FAILED, message, now)


def lapse(memory: Memory, observed: Observed, now: datetime) -> Memory:
    """The rollout without a pass that is too old to go by: it waits for another look."""
    rollout, until = memory.rollout, passes_until(memory.rollout)
    if rollout is None or until is None or now < until or _moves_on(memory, observed, now):
        return memory
    return replace(memory, rollout=rollout.model_copy(update={"verdict": Verdict.INCONCLUSIVE}))


def _moves_on(memory: Memory, observed: Observed, now: datetime) -> bool:
    aim = aim_of(memory.rollout, now) if memory.rollout is not None else None
    return aim is not None and carries(memory, observed, aim)


def said(checks: Iterable[CheckStatus], verdict: Verdict) -> str:
    """What the first check of that verdict that decides something says."""
    return next((one.message for one in checks if one.verdict is verdict and not one.dry_run), "")


def lacking(memory: Memory) -> str:
    """What keeps the checks from passing, for people."""
    verdict, judged_at = overall(memory.analysis), memory.rollout.judged_at if memory.rollout is not None else None
    if verdict is Verdict.PASS and judged_at is not None:
        return f"the checks to be judged again: they passed at {format_time(judged_at)}, which is too long ago"
    names = [one for one in memory.analysis if one.verdict is verdict and not one.dry_run]
    if not names:
        return "the checks to be judged"
    return f"check {names[0].check} to pass: {names[0].message}"
