"""What the operator remembers of one ModelDeployment between two decisions: the status, without its prose.

Every transition takes a Memory and returns another; nothing is changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from operator import attrgetter

from serin.api.analysis import CheckStatus
from serin.api.quantities import span
from serin.api.reasons import Reason
from serin.api.status import HISTORY_LENGTH
from serin.api.status import REJECTED_LENGTH
from serin.api.status import Course
from serin.api.status import Handled
from serin.api.status import HistoryEntry
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import PolicyUse
from serin.api.status import Rejection
from serin.api.status import Resolved
from serin.api.status import Retiring
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Share
from serin.rollout.course import bakes
from serin.rollout.course import first_course
from serin.rollout.decision import Event
from serin.rollout.observed import Declared
from serin.rollout.observed import Route

TAKEN_BACK = "undone by order"
# An autoscaler goes by the most that it recommended within 5 min (kubernetes pkg/controller/podautoscaler/horizontal.go
# stabilizeRecommendation, config/v1alpha1/defaults.go), by metrics that are up to a minute old: before that it would
# cut the revision that has just got everything down to what its share, or none, took.
SETTLING = timedelta(minutes=6)
LOOKED_AT_ANEW = frozenset({Reason.SIGNATURE_INCOMPATIBLE, Reason.QUALITY_TOO_LOW})
"""Rejections by gates, which look again at every decision; all others last until somebody asks."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Which revisions there are, in which roles, and how far the rollout is."""

    resolved: Resolved | None = None
    stable: Revision | None = None
    candidate: Revision | None = None
    previous: Revision | None = None
    fallback: Revision | None = None
    rollout: RolloutStatus | None = None
    traffic: tuple[Share, ...] = ()
    analysis: tuple[CheckStatus, ...] = ()
    retiring: tuple[Retiring, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    handled: Mapping[str, Handled] = field(default_factory=dict)
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
            fallback=status.fallback,
            rollout=status.rollout,
            traffic=status.traffic,
            analysis=status.analysis,
            retiring=status.retiring,
            history=status.history,
            rejected=status.rejected,
            handled=status.handled,
        )

    def lasting(self) -> tuple[object, ...]:
        """All that is remembered but how far the rollout is, and what the gateway makes of it."""
        return _lasting(self)

    def revisions(self) -> Iterator[Revision]:
        """The revisions that have a role."""
        return (revision for revision in (self.stable, self.candidate, self.previous) if revision is not None)

    def rejection(self, revision: str) -> Rejection | None:
        """Why the revision was rejected, if it was."""
        return next((rejection for rejection in self.rejected if rejection.revision == revision), None)

    def tell(self, event: Event) -> Memory:
        """The same, with one more thing to tell."""
        return replace(self, events=(*self.events, event))

    def pin(self, resolved: Resolved | None) -> Memory:
        """The same with this resolution."""
        return self if resolved is self.resolved else replace(self, resolved=resolved)

    def start(self, candidate: Revision, declared: Declared, now: datetime) -> Memory:
        """A rollout of the candidate begins, without traffic, by what is declared now."""
        course = declared.course if self.stable is not None else first_course(declared.rollout)
        begun = self._begin(candidate, course, declared.policy, now)
        return begun.tell(
            Event("Normal", Reason.DEPLOYING, f"rollout of {candidate.version} started ({candidate.revision})")
        )

    def go_back(self, target: Revision, now: datetime) -> Memory:
        """A rollout of a revision that was in use before begins: everything at once, as soon as it is ready."""
        return self._begin(target.model_copy(update={"since": now}), Course(), None, now, undo=True)

    def _begin(
        self, candidate: Revision, course: Course, policy: PolicyUse | None, now: datetime, *, undo: bool = False
    ) -> Memory:
        drains = any(one.revision == candidate.revision and one.had_traffic for one in self.retiring)
        warm = self.previous if _is(self.previous, candidate) else None
        return replace(
            self,
            # It keeps the replicas that it has from its last time.
            candidate=candidate.model_copy(
                update={"floor": warm.replicas if warm is not None else candidate.floor, "goes_at": None}
            ),
            # A candidate that was the previous revision, or still drained, is in use again.
            previous=None if warm is not None else self.previous,
            fallback=_asleep(warm) if warm is not None else self.fallback,
            retiring=tuple(leaving for leaving in self.retiring if leaving.revision != candidate.revision),
            analysis=(),
            rollout=RolloutStatus(
                step=0,
                steps=len(course.steps),
                progress=f"0/{len(course.steps)}",
                weight=0,
                course=course,
                policy=policy,
                started_at=now,
                waiting_since=now,
                deadline_at=now + span(course.deadline) if course.deadline is not None else None,
                # Of its last time, whose requests may still be under way.
                had_traffic=drains or warm is not None,
                # What is wrong with the registry, or with the revision in use, must not keep anybody from going back.
                skip=undo,
                undo=undo,
            ),
        )

    def end(self, outcome: Outcome, reason: Reason, message: str, route: Route, now: datetime) -> Memory:
        """The rollout ends without a promotion: the candidate loses its place and drains."""
        candidate, rollout = self.candidate, self.rollout
        if candidate is None or rollout is None:
            return self
        # A route that names it may have given it requests before: an operator that took them away and crashed at once
        # could not remember it.
        had_traffic = rollout.had_traffic or route.names(candidate.revision)
        ended = self._ended(candidate, rollout, outcome, reason, message, now)
        ended = ended.leave(Retiring(revision=candidate.revision, had_traffic=had_traffic))
        if self.stable is not None:
            ended = replace(ended, stable=_carrying(self.stable, rollout.base))
        before = self.fallback
        if before is None or before.goes_at is None:
            return ended
        if outcome in (Outcome.REVERTED, Outcome.SUPERSEDED):
            # Nothing is wrong with it: it is kept warm as if it had never been declared again.
            return replace(ended, previous=before, fallback=None)
        return replace(ended, fallback=cold(before))

    def reject(
        self, reason: Reason, message: str, route: Route, now: datetime, outcome: Outcome = Outcome.ROLLED_BACK
    ) -> Memory:
        """The candidate failed: it is not tried again until something about it changes."""
        candidate = self.candidate
        if candidate is None:
            return self
        ended = self.end(outcome, reason, message, route, now)
        return ended.remember(candidate, reason, message, now).tell(
            Event("Warning", Reason.ROLLED_BACK, f"{candidate.version} rejected: {message}")
        )

    def remember(self, revision: Revision, reason: Reason, message: str, now: datetime) -> Memory:
        """The revision is rejected: it gets no traffic until somebody asks for it."""
        rejection = Rejection(
            revision=revision.revision, version=revision.version, reason=reason, message=message, at=now
        )
        others = tuple(old for old in self.rejected if old.revision != rejection.revision)
        return replace(self, rejected=_kept((rejection, *others)))

    def forgive(self, revision: str) -> Memory:
        """The revision may be tried again."""
        return replace(self, rejected=tuple(old for old in self.rejected if old.revision != revision))

    def promote(self, now: datetime, drain: timedelta) -> Memory:
        """The candidate, which has all traffic, becomes the stable revision; the one before stays warm, and the one
        before that goes when its last requests are answered, ``drain`` after the gateway lets go of it."""
        if self.candidate is None or self.rollout is None:
            return self
        candidate, stable, previous, rollout = self.candidate, self.stable, self.previous, self.rollout
        baked = bakes(rollout.course, rollout.step)
        since = (rollout.step_started_at if baked else None) or now
        message = f"{candidate.version} has all traffic"
        promoted = self._ended(candidate, rollout, Outcome.PROMOTED, Reason.PROMOTED, message, now)
        if previous is not None:
            # It lost its last traffic when the stable one was promoted, which may be only moments ago.
            promoted = promoted.leave(Retiring(revision=previous.revision))
        if stable is not None and rollout.undo:
            # As where the one before is warm: what is rejected is not kept, and its room may be needed.
            promoted = promoted.undone(stable, now).leave(Retiring(revision=stable.revision))
            stable = None
        if stable is not None:
            kept = max(span(rollout.course.keep_previous), span(rollout.course.bake))
            # Until now a header reached it directly, also during the bake.
            keeps = {"goes_at": max(since + kept, now + drain)}
            stable = _carrying(stable, rollout.base).model_copy(update=keeps)
        carrying = _carrying(candidate, rollout.base)
        promoted = replace(
            promoted.forgive(candidate.revision),
            # It has had all traffic since then.
            stable=carrying.model_copy(update={"since": since, "floor_until": since + SETTLING}),
            previous=stable,
            fallback=None,
        )
        return promoted.tell(
            Event("Normal", Reason.PROMOTED, f"{candidate.version} has all traffic ({candidate.revision})")
        )

    def undone(self, revision: Revision, now: datetime) -> Memory:
        """The revision was in use and a person took it back."""
        entry = HistoryEntry(
            version=revision.version,
            revision=revision.revision,
            outcome=Outcome.UNDONE,
            reason=Reason.UNDONE,
            message=TAKEN_BACK,
            started_at=revision.since,
            ended_at=now,
        )
        history = (entry, *self.history)[:HISTORY_LENGTH]
        return replace(self, history=history).remember(revision, Reason.UNDONE, TAKEN_BACK, now)

    def route(self, traffic: tuple[Share, ...], route: Route) -> Memory:
        """The gateway sends the requests like this."""
        rollout, candidate = self.rollout, self.candidate
        reached = candidate is not None and route.reaches(candidate.revision)
        if rollout is not None and reached and not rollout.had_traffic:
            rollout = rollout.model_copy(update={"had_traffic": True})
        if rollout is self.rollout and traffic == self.traffic:
            return self
        return replace(self, traffic=traffic, rollout=rollout)

    def leave(self, leaving: Retiring) -> Memory:
        """The revision shall go once its last requests are answered."""
        if any(one.revision == leaving.revision for one in self.retiring):
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


_lasting: Callable[[Memory], tuple[object, ...]] = attrgetter(
    *(one.name for one in fields(Memory) if one.name not in {"rollout", "traffic", "events"})
)


def cold(revision: Revision) -> Revision:
    """The revision without its replicas. How many all the traffic needed is not forgotten: it may have to take it."""
    return revision.model_copy(update={"replicas": 0, "ready": 0, "goes_at": None})


def _asleep(revision: Revision) -> Revision:
    """The warm revision while it is the candidate again: it comes back as it was where that comes to nothing."""
    return cold(revision).model_copy(update={"goes_at": revision.goes_at})


def _carrying(revision: Revision, base: int | None) -> Revision:
    """The revision with what all the traffic needs for a floor, where an autoscaler found that."""
    known = [number for number in (revision.floor, base) if number is not None]
    return revision.model_copy(update={"floor": max(known, default=None), "floor_until": None})


def _kept(rejected: tuple[Rejection, ...]) -> tuple[Rejection, ...]:
    """As many as there are places. What gates refuse they refuse again: it takes no place from what would be rolled out
    anew if it were forgotten, but the newest of it is told in any case."""
    lasting = [one for one in rejected if one.reason not in LOOKED_AT_ANEW][:REJECTED_LENGTH]
    refused = [one for one in rejected if one.reason in LOOKED_AT_ANEW][: max(1, REJECTED_LENGTH - len(lasting))]
    return tuple(one for one in rejected if one in (*lasting, *refused))


def _is(revision: Revision | None, other: Revision) -> bool:
    return revision is not None and revision.revision == other.revision
