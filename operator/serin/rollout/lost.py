"""A status that was emptied, by a hand or by a restore, while the route still says that something serves.

Begun anew, the declared version would be taken for a first one and get everything at once, also one that was only on
trial or was taken back. So nothing is changed until a person declares the version in use; that one begins as a first
version does, with what it has already.
"""

from __future__ import annotations

from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import STABLE
from serin.api.status import Revision
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.revision import version_in


def lost(memory: Memory, goal: Revision | Problem, observed: Observed) -> Problem | None:
    """Why nothing may be changed, or None where the status remembers what the route gives requests to."""
    shares = observed.serving.route.shares
    if memory.stable is not None or memory.candidate is not None or not shares:
        return None
    if isinstance(goal, Problem):
        return goal
    used = _in_use(observed.serving.route)
    if goal.revision == used or set(shares) == {goal.revision}:
        return None
    return Problem(
        Reason.STATUS_LOST,
        f"the status was lost, and by the route {version_in(used)} is in use ({used}): nothing is changed until that "
        f"is declared; {goal.version} ({goal.revision}) can be declared again when it has all traffic",
    )


def _in_use(route: Route) -> str:
    """Whom the header for the stable revision reaches, as long as a rollout runs; otherwise who gets most."""
    stable = (one.revision for one in route.matches if (DIRECT_HEADER, STABLE) in one.headers)
    return next(stable, None) or max(sorted(route.shares), key=lambda revision: route.shares[revision])
