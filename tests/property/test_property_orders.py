"""The same histories with people in them: orders at any moment, shadows, headers, approvals, bakes and deadlines.

What was ordered is what happens next: an abort leaves the candidate nothing in the very next route that is written, an
undo gives everything to a previous revision that is warm, a pause lets no weight rise, and each order counts once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize
from hypothesis.stateful import invariant
from hypothesis.stateful import precondition
from hypothesis.stateful import rule

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.status import Handled
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.api.status import PlannedStep
from serin.rollout.course import stages
from serin.rollout.health import capacity
from serin.rollout.orders import Verb
from tests.property import cluster
from tests.property import test_property_rollout as base
from tests.unit.rollout.scene import spec

MOST = 8
BETA = {"headers": {"x-cohort": "beta"}}
PLANS: tuple[dict[str, Any], ...] = (
    {"steps": [{"weight": 0, "mirror": 30, "hold": "60s"}, {"weight": 50, "hold": "60s"}], "bake": "60s"},
    {"steps": [{"weight": 10, "match": BETA, "hold": "30s", "approval": True}, {"weight": 100, "hold": "60s"}]},
    {"steps": [{"weight": 10, "hold": "60s"}, {"weight": 50, "approval": True}], "deadline": "5m"},
    {"steps": [{"weight": 20, "hold": "60s"}], "deadline": "3m", "onInconclusive": "Rollback", "bake": "2m"},
    {"steps": [{"weight": 20, "hold": "5m"}], "deadline": "3m", "onInconclusive": "Promote"},
    {"bake": "60s"},
)
GIVEN_UP = (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.UNDONE)
VERBS = st.sampled_from([verb.value for verb in Verb])


def declared(plan: dict[str, Any], *, autoscaled: bool) -> ModelDeploymentSpec:
    most = {"maxReplicas": MOST, "scaling": {"target": 50}} if autoscaled else {}
    return spec(
        serving={"minReplicas": base.REPLICAS, "startupDeadline": "10m", **most},
        traffic={"timeout": "60s"},
        rollout={"readiness": {"stableFor": "10s"}, "keepPrevious": "5m", **plan},
    )


class Ordered(base.Rollouts):
    """One ModelDeployment, and people who give orders."""

    def __init__(self) -> None:
        super().__init__()
        self.autoscaled = False
        self.number = 0
        self.handled: set[tuple[str, str]] = set()
        """Orders that were handled, ever."""
        self.reached: dict[tuple[str, datetime], tuple[int, datetime]] = {}
        """For each trial the highest stage that the gateway accepted, and since when."""

    # rules: people

    @initialize(plan=st.sampled_from(PLANS), first=st.sampled_from([False, False, False, True]), sizes=st.booleans())
    def begin(self, plan: dict[str, Any], *, first: bool, sizes: bool) -> None:
        self.autoscaled = sizes
        self.store.parent = replace(self.store.parent, spec=declared(plan, autoscaled=sizes))
        if not first:
            self.calm()

    @rule(plan=st.sampled_from(PLANS))
    def change_the_plan(self, plan: dict[str, Any]) -> None:
        """The policy, or the rollout in the spec, says something else from now on."""
        parent = self.store.parent
        changed = declared(plan, autoscaled=self.autoscaled).model_copy(update={"suspend": parent.spec.suspend})
        generation = parent.generation + 1
        self.store.parent = replace(parent, version=self.store.next(), generation=generation, spec=changed)

    @rule(verb=VERBS, whose=st.sampled_from(["the right one", "the right one", "the right one", "another", ""]))
    def order(self, verb: str, whose: str) -> None:
        """Somebody writes an annotation, and others before it may not be handled yet."""
        self.number += 1
        right = self.whom(verb)
        revision = right if whose == "the right one" else "fraud-v9-x" if whose else ""
        self.write_order(verb, f"{revision}#anna/{self.number}")

    @precondition(lambda self: self.status.candidate is not None)
    @rule(verb=VERBS, moments=base.MOMENTS)
    def order_in_a_rollout(self, verb: str, moments: int) -> None:
        """Somebody gives an order, and all goes well for a while."""
        self.order(verb, "the right one")
        self.all_goes_well(moments)

    @precondition(lambda self: self.autoscaled and self.status.stable is not None)
    @rule(count=st.integers(1, MOST))
    def autoscaler(self, count: int) -> None:
        """The stable revision has as many replicas as its autoscaler wants."""
        assert self.status.stable is not None
        name = self.status.stable.revision
        service = self.store.services.get(name)
        if service is not None:
            pods = (cluster.Pod(self.world.now),) * max(count, service.replicas)
            self.store.services[name] = replace(service, pods=pods)

    def write_order(self, verb: str, value: str) -> None:
        parent = self.store.parent
        self.store.parent = replace(parent, version=self.store.next(), orders={**parent.orders, verb: value})

    def whom(self, verb: str) -> str:
        status = self.status
        if verb == Verb.RETRY:
            return status.rejected[0].revision if status.rejected else ""
        role = status.stable if verb == Verb.UNDO else status.candidate
        return role.revision if role is not None else ""

    def answered(self) -> bool:
        verb = {Phase.PAUSED: "resume", Phase.AWAITING_APPROVAL: "approve"}.get(self.status.phase)
        if verb is not None:
            self.number += 1
            self.write_order(verb, f"{self.whom(verb)}#anna/{self.number}")
        return verb is not None

    # checks

    def is_aborted(self) -> bool:
        candidate = self.status.candidate
        return candidate is not None and self.new_orders().get("abort") == candidate.revision

    def route_is_earned(self, weights: dict[str, int]) -> None:
        status, orders = self.status, self.new_orders()
        for name in self.forgiven(status):
            self.failed.discard(name)
        candidate, stable, previous = status.candidate, status.stable, status.previous
        if candidate is not None and stable is not None:
            if orders.get("abort") == candidate.revision:
                assert weights.get(candidate.revision, 0) == 0, "what is aborted gets requests"
            assert status.rollout is not None
            free = candidate.revision in (orders.get("resume"), orders.get("promote"))
            paused = status.rollout.paused
            lifted = (
                paused is not None and paused.reason is Reason.SUSPENDED and not self.operator.seen.parent.spec.suspend
            )
            if paused is not None and not free and not lifted:
                given = weights.get(candidate.revision, 0)
                assert given <= status.rollout.weight, f"{given} % in a pause at {status.rollout.weight} %"
        if previous is not None and stable is not None and orders.get("undo") == stable.revision and not candidate:
            route = self.operator.seen.route
            knows = route is not None and route.observed().knows(previous.revision)
            if knows and self.ready(previous.revision) >= (previous.floor or base.REPLICAS):
                assert weights[previous.revision] == 100, "an undo to a warm revision gives it everything at once"
                return
        super().route_is_earned(weights)

    def trial_is_earned(self, name: str, weight: int) -> None:
        rollout, orders = self.status.rollout, self.new_orders()
        assert self.ready(name) >= 1, "traffic for a revision without a ready replica"
        assert self.may_know(name), "traffic before the gateway knows it"
        if rollout is None or self.status.candidate is None or self.status.candidate.revision != name:
            # It was warm, so its first step is due in the same breath.
            return
        if rollout.skip or rollout.undo or name in (orders.get("promote"), orders.get("approve")):
            return
        ahead = [*stages(rollout.course), PlannedStep(weight=100)]
        reached, since = self.reached.get((name, rollout.started_at), (0, rollout.started_at))
        highest = max((stage.weight for stage in ahead[: reached + 1]), default=0)
        late = rollout.deadline_at is not None and rollout.deadline_at <= self.world.now
        if weight <= max((stage.weight for stage in ahead[:reached]), default=0) or late:
            return
        assert weight <= highest, f"{weight} % after stage {reached}"
        assert self.ready(name) >= capacity(base.REPLICAS, weight), "traffic before the capacity that it needs"
        if reached:
            held = timedelta(seconds=seconds(ahead[reached - 1].hold))
            assert self.world.now - since >= held, f"{weight} % after {self.world.now - since}"
            assert not ahead[reached - 1].approval or rollout.approved_step == reached, "nobody approved"

    def capacity_stays(self, name: str, replicas: int) -> None:
        status, route = self.status, self.store.route
        if status.stable is not None and name == status.stable.revision:
            assert replicas >= base.REPLICAS, "the stable revision loses replicas"
        share = 0 if route is None or route.by_hand else route.weights.get(name, 0)
        assert replicas >= capacity(base.REPLICAS, share), f"{replicas} replicas for {share} %"

    def memory_is_kept(self, after: ModelDeploymentStatus) -> None:
        before = self.status
        self.orders_count_once(before, after)
        promoted = [(one.revision, one.started_at) for one in after.history if one.outcome is Outcome.PROMOTED]
        assert len(set(promoted)) == len(promoted), "promoted twice"
        known = {(one.revision, one.ended_at, one.outcome) for one in before.history}
        new = [one for one in after.history if (one.revision, one.ended_at, one.outcome) not in known]
        if before.stable is not None:
            assert after.stable is not None, "the stable revision is forgotten"
            if after.stable.revision != before.stable.revision:
                ways = {(one.revision, one.outcome) for one in new}
                taken_back = (before.stable.revision, Outcome.UNDONE) in ways
                assert taken_back or (after.stable.revision, Outcome.PROMOTED) in ways
        self.failed |= {one.revision for one in new if one.outcome in GIVEN_UP}
        self.failed -= self.forgiven(after)

    def orders_count_once(self, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        for verb, one in after.handled.items():
            if verb in before.handled and before.handled[verb].value == one.value:
                continue
            assert self.operator.seen.parent.orders.get(verb) == one.value, "an order that nobody gave"
            assert (verb, one.value) not in self.handled, "an order is carried out twice"
            self.handled.add((verb, one.value))
            if one.result == "Done":
                self.it_was_done(verb, one, after)

    def it_was_done(self, verb: str, done: Handled, after: ModelDeploymentStatus) -> None:
        revision = done.value.partition("#")[0]
        running = after.candidate is not None and after.candidate.revision == revision
        rejected = {one.revision for one in after.rejected}
        if verb in ("abort", "undo"):
            going_back = after.rollout is not None and after.rollout.undo
            # What it went back to crashed in the same breath.
            last = next(iter(after.history), None)
            going_back |= last is not None and (last.started_at, last.outcome) == (done.at, Outcome.ROLLED_BACK)
            assert revision in rejected or going_back or running, f"{verb} is called done and nothing was"
            assert verb == "undo" or not running or "retry" in self.new_orders(), "what was aborted goes on"
        if verb == "pause" and running:
            assert after.rollout is not None
            assert after.rollout.paused is not None, "a pause is called done and nothing stands still"

    @invariant()
    def the_version_in_use_has_its_share(self) -> None:
        status, route = self.status, self.store.route
        if status.stable is None or route is None or route.by_hand or status.rollout is None:
            return
        named = {status.stable.revision}
        named |= {role.revision for role in (status.candidate, status.previous) if role is not None}
        shares = {name for name, weight in route.weights.items() if weight}
        assert shares <= named | {one.revision for one in status.retiring}, "somebody without a role gets requests"

    def nobody_needs(self, name: str) -> None:
        super().nobody_needs(name)
        for role in (self.status.candidate, self.status.previous):
            assert role is None or role.revision != name, "a revision goes that has a role"

    # what is known

    def new_orders(self) -> dict[str, str]:
        """The revisions of the orders that the operator sees and has not handled."""
        handled = {verb: one.value for verb, one in self.status.handled.items()}
        given = self.operator.seen.parent.orders
        return {verb: value.partition("#")[0] for verb, value in given.items() if handled.get(verb) != value}

    def forgiven(self, status: ModelDeploymentStatus) -> set[str]:
        """Revisions that somebody asked for again, or that are in use."""
        asked = {one.value.partition("#")[0] for verb, one in status.handled.items() if verb == "retry"}
        asked |= {self.new_orders().get("retry", "")}
        roles = {role.revision for role in (status.stable, status.candidate) if role is not None}
        return asked | (roles if status.rollout is None or status.rollout.undo else roles - self.under(status))

    def under(self, status: ModelDeploymentStatus) -> set[str]:
        return {status.candidate.revision} if status.candidate is not None else set()

    def note(self) -> None:
        """Keep account of how far the gateway has gone with the candidate."""
        super().note()
        status, route = self.status, self.store.route
        rollout, candidate = status.rollout, status.candidate
        if rollout is None or candidate is None or route is None or route.by_hand:
            return
        if route.accepted != route.generation or not route.observed().reaches(candidate.revision):
            return
        trial = (candidate.revision, rollout.started_at)
        percent = route.mirror.percent if route.mirror is not None else None
        given = (route.weights.get(candidate.revision, 0), percent)
        reached, _ = self.reached.get(trial, (0, None))
        ahead = [(stage.weight, stage.mirror) for stage in stages(rollout.course)]
        stage = reached + 1 if given in ahead[reached : reached + 1] else reached
        if stage > reached:
            self.reached[trial] = (stage, self.world.now)


TestOrdered = Ordered.TestCase
