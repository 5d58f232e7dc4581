"""What shall be done about one ModelDeployment: the output of :func:`decide`.

``controller.reconcile`` carries it out without adding a wish of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import Scaling
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Template
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror


@dataclass(frozen=True, slots=True)
class PlannedRevision:
    """One revision that shall run."""

    revision: str
    version: str
    template: Template
    min_replicas: int
    max_replicas: int
    scaling: Scaling | None


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """The route that shall be. ``weights`` are percents of the revisions it names and sum to 100; a
    request that has the headers of a match goes where that says."""

    hostnames: tuple[str, ...]
    gateways: tuple[GatewayRef, ...]
    timeout: str
    weights: tuple[tuple[str, int], ...]
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """Everything that shall exist for one ModelDeployment."""

    name: str
    namespace: str
    uid: str
    revisions: tuple[PlannedRevision, ...] = ()
    route: PlannedRoute | None = None
    """None leaves a route that exists as it is: there is nothing ready that it could name instead."""
    keep: frozenset[str] = frozenset()
    """Revisions that are neither changed nor removed: they drain."""

    @property
    def names(self) -> frozenset[str]:
        """Revisions that must not be removed."""
        return self.keep | {planned.revision for planned in self.revisions}


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth an entry in ``kubectl describe``. The same event is recorded once."""

    kind: Literal["Normal", "Warning"]
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be, what shall be told, and when to look again."""

    status: ModelDeploymentStatus
    plan: ServingPlan | None = None
    """None: nothing in the cluster is touched."""
    events: tuple[Event, ...] = ()
    may_wait: bool = False
    """True where the status only tells anew what is waited for: nothing is lost if it is written a moment later."""
    look_again_at: datetime | None = None
    """The next moment at which anything may change without an event, at once where something has to be remembered
    first; None where there is no such moment."""
