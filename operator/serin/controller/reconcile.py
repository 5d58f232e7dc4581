"""One look at one ModelDeployment: gather, decide, carry out, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from typing import Any

import structlog

from serin.api.base import to_wire
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.cluster import events
from serin.cluster.client import Client
from serin.controller.cache import Parents
from serin.controller.gather import Gathered
from serin.controller.gather import Gatherer
from serin.controller.perform import SILENCE
from serin.controller.perform import Done
from serin.controller.perform import Performer
from serin.controller.queue import Key
from serin.controller.refusals import Blocked
from serin.controller.refusals import forbidden
from serin.controller.telemetry import Telemetry
from serin.errors import ClusterError
from serin.rollout.decide import decide
from serin.rollout.decision import Decision
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem

log = structlog.get_logger(__name__)

# A status that would only tell of waiting for the gateway is held back this long: the answer mostly comes sooner.
PATIENCE = timedelta(seconds=1)
# What was refused is tried again after this long, unless something changes before.
AFTER_REFUSAL = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile ended."""

    result: str
    """success, requeue_after or gone, as in controller_runtime_reconcile_total."""
    look_again_at: datetime | None = None


@dataclass(slots=True)
class _Failing:
    """A ModelDeployment whose every look fails."""

    since: datetime
    told: Problem | None = None


class _SurplusError(ClusterError):
    """What is not needed any more could not be removed. Everything else is done and told."""


class Reconciler:
    """Does what decisions say, and nothing else."""

    def __init__(
        self,
        gatherer: Gatherer,
        performer: Performer,
        client: Client,
        parents: Parents,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        identity: str,
        gone: Callable[[Key], None],
    ) -> None:
        self._gatherer = gatherer
        self._performer = performer
        self._client = client
        self._parents = parents
        self._telemetry = telemetry
        self._clock = clock
        self._identity = identity
        self._gone = gone
        self._doubtful: dict[Key, str] = {}
        """Where a write failed, the uid: it was decided upon an old view, or it may be done and the cache not know."""
        self._held: dict[Key, datetime] = {}
        """Since when the gateway has been asked and the status has not told that it is waited for."""
        self._failing: dict[Key, _Failing] = {}
        self._surplus: dict[Key, Problem] = {}
        """Why what is not needed any more cannot be removed."""

    async def reconcile(self, key: Key) -> Outcome:
        """Look at one ModelDeployment. Raises ClusterError for what passes: the queue comes back to it. What does not
        pass is told before."""
        try:
            outcome = await self._look(key)
        except ClusterError as error:
            problem = self._lasting(key, error)
            if problem is not None:
                await self._complain(key, error, problem)
            raise
        self._failing.pop(key, None)
        return outcome

    def _lasting(self, key: Key, error: ClusterError) -> Problem | None:
        """What people must know: what is forbidden, at once, and what fails for longer than mostly passes."""
        now = self._clock()
        failing = self._failing.setdefault(key, _Failing(now))
        problem = forbidden(error)
        if problem is None and now - failing.since >= SILENCE:
            problem = Problem(Reason.BACKEND_UNAVAILABLE, f"the API server keeps failing: {error.message}")
            if failing.told is not None and failing.told.reason is problem.reason:
                # Words that change with every try would be as many writes.
                problem = failing.told
        if problem is not None:
            failing.told = problem
        return problem

    async def _complain(self, key: Key, error: ClusterError, problem: Problem) -> None:
        """Tell it, upon what the caches have. Nothing else is changed."""
        if isinstance(error, _SurplusError):
            # Told with the rest, by the next look: this one has just written the status.
            self._surplus[key] = problem
            return
        gathered = await self._gatherer.gather(key)
        if gathered is not None:
            now = self._clock()
            await self._tell(key, gathered, decide(replace(gathered.observed, halted=problem), now), now)

    async def _look(self, key: Key) -> Outcome:
        fresh = key in self._doubtful
        if fresh:
            await self._refresh(key, self._doubtful[key])
            del self._doubtful[key]
        gathered = await self._gatherer.gather(key)
        if gathered is None:
            self._telemetry.gone(key)
            self._gone(key)
            self._held.pop(key, None)
            self._surplus.pop(key, None)
            self._performer.forget(key)
            return Outcome("gone")
        try:
            return await self._carry_out(key, gathered, fresh=fresh)
        except ClusterError:
            # Read live before the next decision: on an older status it could move traffic that was moved since.
            self._doubtful[key] = gathered.observed.uid
            raise

    async def _carry_out(self, key: Key, gathered: Gathered, *, fresh: bool) -> Outcome:
        """``fresh``: the object was read live just before it was gathered."""
        observed, now = replace(gathered.observed, surplus=self._surplus.get(key)), self._clock()
        decision = decide(observed, now)
        plan, done, refused = decision.plan, Done(), False
        before = observed.status
        if plan is not None and not fresh and self._misses(plan, gathered):
            # It was there once. An old view of the parent brings back what has been given up since, or went with it.
            await self._refresh(key, observed.uid)
            if self._overtaken(key, gathered):
                return Outcome("requeue_after", now)
        if plan is not None and _gives(plan, observed, before) and await self._stale(key, gathered, fresh=fresh):
            return Outcome("requeue_after", now)
        if plan is not None:
            try:
                done = await self._performer.perform(plan, gathered.live, now)
            except Blocked as blocked:
                refused = True
                if blocked.silence is not None:
                    # It got no good answer, and may be done all the same.
                    self._doubtful[key] = observed.uid
                log.warning("refused", name=key.name, namespace=key.namespace, problem=str(blocked))
                decision = decide(replace(observed, obstacles=(blocked.problem,)), now)
                decision = replace(decision, look_again_at=_earliest(decision.look_again_at, now + AFTER_REFUSAL))
        if done.waits:
            decision = replace(decision, look_again_at=_earliest(decision.look_again_at, now + AFTER_REFUSAL))
        waits = plan is not None and not refused and decision.may_wait
        if waits and (until := self._hold(key, now, asked=done.route)) is not None:
            return Outcome("requeue_after", until)
        self._held.pop(key, None)
        # A status that was written was decided upon the newest version, or it would have been refused.
        told = await self._tell(key, gathered, decision, now)
        if plan is not None:
            cleared = await self._clear(key, gathered, decision, plan, fresh=fresh, told=told)
            if self._surplus.pop(key, None) is not None or cleared:
                return Outcome("requeue_after", now)
        return Outcome("success" if decision.look_again_at is None else "requeue_after", decision.look_again_at)

    def _misses(self, plan: ServingPlan, gathered: Gathered) -> bool:
        status = gathered.observed.status
        return self._performer.misses(plan, gathered.live, _roles(status), route=bool(status.traffic))

    def _overtaken(self, key: Key, gathered: Gathered) -> bool:
        """Whether the object is another one by now, or other, than was gathered: that took its time, too."""
        return self._parents.get(key) != gathered.body

    async def _stale(self, key: Key, gathered: Gathered, *, fresh: bool) -> bool:
        """Whether the object or its pods, read live, are other than was thought: watches that are silent, or late, show
        neither a crash nor the order to abort."""
        if not fresh:
            await self._refresh(key, gathered.observed.uid)
        return await self._gatherer.reread_pods(key, gathered.live) or self._overtaken(key, gathered)

    def _hold(self, key: Key, now: datetime, *, asked: bool) -> datetime | None:
        """Until when a status is held back that only tells what is waited for; None where it is told now."""
        if asked:
            # The watch shows our own write before it shows the answer: the time runs on from the first.
            self._held.setdefault(key, now)
        since = self._held.get(key)
        return None if since is None or now >= since + PATIENCE else since + PATIENCE

    async def _tell(self, key: Key, gathered: Gathered, decision: Decision, now: datetime) -> bool:
        """The status if it differs, then the events of what it tells, then the metrics. True where it differed."""
        observed, body, status = gathered.observed, gathered.body, decision.status
        differs = not observed.deleting and to_wire(status) != body["status"]
        if differs:
            written = await self._client.apply_status(
                MODEL_DEPLOYMENT,
                key.namespace,
                key.name,
                to_wire(status),
                version=body["metadata"]["resourceVersion"],
            )
            self._parents.put(written)
            await self._record(body["metadata"], decision, status, now)
            self._count(key, observed.status, status)
        self._telemetry.decided(key, status)
        return differs

    async def _clear(
        self, key: Key, gathered: Gathered, decision: Decision, plan: ServingPlan, *, fresh: bool, told: bool
    ) -> bool:
        """What may go. True where the object must be looked at again, because something went or the view was stale.
        ``told``: the status was written just now."""
        # While it is not known what is declared, a revision that the status never heard of may be just that: made
        # before a crash, and not remembered yet.
        unsure = isinstance(gathered.observed.target, Problem)
        status = decision.status
        known = {entry.revision for entry in status.history} | {entry.revision for entry in status.rejected}
        only = frozenset(known) if unsure else None
        if not self._performer.surplus(plan, only):
            return False
        if not fresh and not told:
            await self._refresh(key, gathered.observed.uid)
        if told or not self._overtaken(key, gathered):
            try:
                await self._performer.clear(plan, only)
            except ClusterError as error:
                raise _SurplusError(error.status, error.message, retry_after=error.retry_after) from error
        return True

    async def _refresh(self, key: Key, uid: str) -> None:
        """The view was stale: read the object live, so that the next look is at what is."""
        live = await self._client.get(MODEL_DEPLOYMENT, key.namespace, key.name)
        if live is None:
            self._parents.drop(key, uid)
        else:
            self._parents.put(live)

    async def _record(
        self, about: dict[str, Any], decision: Decision, status: ModelDeploymentStatus, now: datetime
    ) -> None:
        occasion = str(status.rollout.started_at if status.rollout else status.stable.since if status.stable else "")
        for event in decision.events:
            try:
                await events.record(
                    self._client,
                    MODEL_DEPLOYMENT,
                    about,
                    event_type=event.kind,
                    reason=event.reason,
                    note=event.message,
                    occasion=occasion,
                    reporter=self._identity,
                    now=now,
                )
            except ClusterError as error:
                # An event is a courtesy: what happened is in the status already.
                log.warning("event was not recorded", reason=event.reason, error=error.message)

    def _count(self, key: Key, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        known = {(entry.revision, entry.ended_at) for entry in before.history}
        for entry in after.history:
            if (entry.revision, entry.ended_at) not in known:
                self._telemetry.ended(key, entry)


def _roles(status: ModelDeploymentStatus) -> frozenset[str]:
    """Revisions that the status has in a role, which therefore were made before."""
    roles = (status.stable, status.candidate, status.previous)
    return frozenset(role.revision for role in roles if role is not None)


def _gives(plan: ServingPlan, observed: Observed, status: ModelDeploymentStatus) -> bool:
    """Whether the candidate gets requests, or copies of them, that it does not get by the route as it is."""
    candidate, wanted, route = status.candidate, plan.route, observed.serving.route
    if candidate is None or status.stable is None or wanted is None:
        return False
    name = candidate.revision
    more = dict(wanted.weights).get(name, 0) > route.weights.get(name, 0)
    chosen = {one for one in wanted.matches if one.revision == name} - set(route.matches)
    copied = wanted.mirror is not None and wanted.mirror != route.mirror
    return more or bool(chosen) or copied


def _earliest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)
