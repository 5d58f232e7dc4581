"""What the operator remembers of one ModelDeployment between two decisions: the status, without its prose.

Every transition takes a Memory and returns another; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.api.modeldeployment import Rollout
from serin.api.reasons import Reason
from serin.api.status import HISTORY_LENGTH
from serin.api.status import REJECTED_LENGTH
from serin.api.status import HistoryEntry
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import PlannedStep
from serin.api.status import Rejection
from serin.api.status import Resolved
from serin.api.status import Retiring
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Share
from serin.rollout.decision import Event
from serin.rollout.observed import Route


@dataclass(frozen=True, slots=True)
class Memory:
    """Which revisions there are, in which roles, and how far the rollout is."""

    resolved: Resolved | None = None
    stable: Revision | None = None
    candidate: Revision | None = None
    previous: Revision | None = None
    rollout: RolloutStatus | None = None
    traffic: tuple[Share, ...] = ()
    retiring: tuple[Retiring, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    events: tuple[Event, ...] = ()
    """What happened in this decision and is worth telling."""

    @classmethod
    def of(cls, status: ModelDeploymentStatus) -> Memory:
        """What the status remembers."""
        return cls(
            resolved=status.resolved,
            stable=status.stable,
            candidate=status.candidate,
            previous=status.previous,
            rollout=status.rollout,
            traffic=status.traffic,
            retiring=status.retiring,
            history=status.history,
            rejected=status.rejected,
        )

    def revisions(self) -> Iterator[Revision]:
        """The revisions that have a role."""
        return (revision for revision in (self.stable, self.candidate, self.previous) if revision is not None)

    def rejection(self, revision: str) -> Rejection | None:
        """Why the revision was rejected, if it was."""
        return next((rejection for rejection in self.rejected if rejection.revision == revision), None)

    def tell(self, event: Event) -> Memory:
        """The same, with one more thing to tell."""
        return replace(self, events=(*self.events, event))

    def start(self, candidate: Revision, rollout: Rollout, now: datetime) -> Memory:
        """A rollout of the candidate begins, without traffic."""
        plan = tuple(PlannedStep(weight=step.weight, hold=step.hold) for step in rollout.steps)
        steps = plan if self.stable is not None else ()
        drains = any(one.revision == candidate.revision and one.had_traffic for one in self.retiring)
        return replace(
            self,
            candidate=candidate,
            # A candidate that was the previous revision, or still drained, is in use again.
            previous=None if _is(self.previous, candidate) else self.previous,
            retiring=tuple(leaving for leaving in self.retiring if leaving.revision != candidate.revision),
            rollout=RolloutStatus(
                step=0,
                steps=len(steps),
                progress=f"0/{len(steps)}",
                weight=0,
                plan=steps,
                started_at=now,
                waiting_since=now,
                # Of its last time, whose requests may still be under way.
                had_traffic=drains or _is(self.previous, candidate),
            ),
        ).tell(Event("Normal", Reason.DEPLOYING, f"rollout of {candidate.version} started ({candidate.revision})"))

    def end(self, outcome: Outcome, reason: Reason, message: str, route: Route, now: datetime) -> Memory:
        """The rollout ends without a promotion: the candidate loses its place and drains."""
        candidate, rollout = self.candidate, self.rollout
        if candidate is None or rollout is None:
            return self
        # The gateway may have carried out what it has not accepted yet, or what is not in the route any more.
        had_traffic = rollout.had_traffic or candidate.revision in route.shares
        ended = self._ended(candidate, rollout, outcome, reason, message, now)
        return ended.leave(Retiring(revision=candidate.revision, had_traffic=had_traffic))

    def reject(self, reason: Reason, message: str, route: Route, now: datetime) -> Memory:
        """The candidate failed: it is not tried again until something about it changes."""
        if self.candidate is None:
            return self
        rejection = Rejection(
            revision=self.candidate.revision,
            version=self.candidate.version,
            reason=reason,
            message=message,
            at=now,
        )
        others = tuple(old for old in self.rejected if old.revision != rejection.revision)
        ended = self.end(Outcome.ROLLED_BACK, reason, message, route, now)
        return replace(ended, rejected=(rejection, *others)[:REJECTED_LENGTH]).tell(
            Event("Warning", Reason.ROLLED_BACK, f"{rejection.version} rejected: {message}")
        )

    def promote(self, now: datetime, timeout: timedelta) -> Memory:
        """The candidate, which has all traffic, becomes the stable revision; the one before stays warm, and the one
        before that goes when its last requests, which may take ``timeout``, are answered."""
        if self.candidate is None or self.rollout is None:
            return self
        candidate, stable, previous = self.candidate, self.stable, self.previous
        message = f"{candidate.version} has all traffic"
        promoted = self._ended(candidate, self.rollout, Outcome.PROMOTED, Reason.PROMOTED, message, now)
        if previous is not None and stable is not None:
            # It lost its traffic when the stable one was promoted, which may be only moments ago.
            promoted = promoted.leave(Retiring(revision=previous.revision, drained_at=stable.since + timeout))
        return replace(promoted, stable=candidate.model_copy(update={"since": now}), previous=stable).tell(
            Event("Normal", Reason.PROMOTED, f"{candidate.version} has all traffic ({candidate.revision})")
        )

    def route(self, traffic: tuple[Share, ...]) -> Memory:
        """The gateway sends the requests like this."""
        rollout, candidate = self.rollout, self.candidate
        if rollout is not None and any(
            candidate is not None and share.revision == candidate.revision for share in traffic
        ):
            rollout = rollout.model_copy(update={"had_traffic": True})
        return replace(self, traffic=traffic, rollout=rollout)

    def leave(self, leaving: Retiring) -> Memory:
        """The revision shall go once its last requests are answered."""
        if any(other.revision == leaving.revision for other in self.retiring):
            return self
        return replace(self, retiring=(*self.retiring, leaving))

    def _ended(
        self,
        candidate: Revision,
        rollout: RolloutStatus,
        outcome: Outcome,
        reason: Reason,
        message: str,
        now: datetime,
    ) -> Memory:
        """Without the rollout, which is history now."""
        entry = HistoryEntry(
            version=candidate.version,
            revision=candidate.revision,
            outcome=outcome,
            reason=reason,
            message=message,
            started_at=rollout.started_at,
            ended_at=now,
        )
        return replace(self, history=(entry, *self.history)[:HISTORY_LENGTH], candidate=None, rollout=None)


def _is(revision: Revision | None, other: Revision) -> bool:
    return revision is not None and revision.revision == other.revision
