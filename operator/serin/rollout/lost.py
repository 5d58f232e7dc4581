"""A status that was emptied, in whole or in part, by a hand or by a restore, while the route still says what serves.

Begun anew, the declared version would be taken for a first one and get everything at once, also one that was only on
trial or was taken back. So nothing is changed until a person declares the version in use; that one begins as a first
version does, with what it has already. Where only the place of a rollout was lost it is known what is in use, and the
rollout begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import STABLE
from serin.api.status import Outcome
from serin.api.status import Retiring
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.course import stages
from serin.rollout.decision import Event
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.revision import version_in


def lost(memory: Memory, goal: Revision | Problem, observed: Observed) -> Problem | None:
    """Why nothing may be changed, or None where the status remembers what the route gives requests to."""
    used, shares = forgotten(memory, observed), observed.serving.route.shares
    if used is None:
        return None
    if isinstance(goal, Problem):
        return goal
    # What is known to be on trial still is, when it has everything.
    if goal.revision == used or (memory.candidate is None and set(shares) == {goal.revision}):
        return None
    return Problem(
        Reason.STATUS_LOST,
        f"the status was lost, and by the route {version_in(used)} is in use ({used}): nothing is changed until that "
        f"is declared; {goal.version} ({goal.revision}) can be declared again when it has all traffic",
    )


def forgotten(memory: Memory, observed: Observed) -> str | None:
    """The revision that is in use by the route, where the status does not remember it."""
    route = observed.serving.route
    return _in_use(route) if route.shares and not _remembers(memory, observed) else None


def without_trial(memory: Memory, observed: Observed, now: datetime) -> Memory:
    """The same without a rollout of which it was lost what is in use beside it: that may be taken up now."""
    if _remembers(memory, observed) or memory.candidate is None:
        return memory
    message = "the status was lost: nobody remembers what was in use beside it"
    return memory.end(Outcome.REVERTED, Reason.STATUS_LOST, message, observed.serving.route, now)


def placed(memory: Memory, now: datetime) -> Memory:
    """The same with a rollout that is somewhere on its course, or none. What a candidate has earned that is nowhere is
    not known: it begins anew, and stands still where it did. Without its course it begins by what is declared."""
    candidate, rollout = memory.candidate, memory.rollout
    if candidate is None:
        return memory if rollout is None else replace(memory, rollout=None)
    told = Event(
        "Warning", Reason.STATUS_LOST, f"{candidate.version} is at no step of its rollout by the status: it begins anew"
    )
    if rollout is None or rollout.steps != len(rollout.course.steps):
        gone = Retiring(revision=candidate.revision)
        return replace(memory, candidate=None, rollout=None).leave(gone).tell(told)
    if _on_course(rollout):
        return memory
    begun: dict[str, object] = {
        "step": 0,
        "progress": f"0/{rollout.steps}",
        "weight": 0,
        "mirror": None,
        "step_started_at": None,
        "next_at": None,
        "waiting_since": now,
        "verdict": None,
        "judged_at": None,
        "approved_step": None,
    }
    if rollout.paused is not None:
        begun["paused"] = rollout.paused.model_copy(update={"next_at": None})
    return replace(memory, rollout=rollout.model_copy(update=begun)).tell(told)


def _remembers(memory: Memory, observed: Observed) -> bool:
    """Whether it is remembered what is in use, or that nothing was before the candidate."""
    candidate, rollout = memory.candidate, memory.rollout
    if memory.stable is not None:
        return True
    if candidate is None or rollout is None or rollout.undo or stages(rollout.course) or rollout.course.analysis:
        return False
    # A first version has neither steps nor checks, nor has one that shall get everything at once; but then another one
    # was promoted before, and has the requests.
    others = set(observed.serving.route.shares) - {candidate.revision} - {one.revision for one in memory.retiring}
    return not others or all(entry.outcome is not Outcome.PROMOTED for entry in memory.history)


def _on_course(rollout: RolloutStatus) -> bool:
    """Whether the step it is in is one of its course, with that one's weight."""
    if rollout.step == 0:
        return rollout.step_started_at is None and rollout.weight == 0
    ahead = stages(rollout.course)
    return 0 < rollout.step <= len(ahead) and ahead[rollout.step - 1].weight == rollout.weight


def _in_use(route: Route) -> str:
    """Whom the header for the stable revision reaches, as long as a rollout runs; otherwise who gets most."""
    stable = (one.revision for one in route.matches if (DIRECT_HEADER, STABLE) in one.headers)
    return next(stable, None) or max(sorted(route.shares), key=lambda revision: route.shares[revision])
