"""The promises, held against everything that may go wrong: random histories of a rollout in virtual time.

``Rollouts`` is a state machine over the real ``decide``: people, pods, the gateway, the registry and the operator's own
crashes are its rules, and what product and operator promise are its checks. Each check looks at what happens in the
modelled cluster, and keeps its own account of it: none of them asks the core what it thinks.

``HYPOTHESIS_PROFILE=thorough`` runs it for minutes with new histories each time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from hypothesis.stateful import initialize
from hypothesis.stateful import invariant
from hypothesis.stateful import precondition
from hypothesis.stateful import rule

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.rollout.health import capacity
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from tests.property.cluster import PARENT
from tests.property.cluster import ROUTE
from tests.property.cluster import SERVICES
from tests.property.cluster import Operator
from tests.property.cluster import Parent
from tests.property.cluster import Store
from tests.property.cluster import World
from tests.unit.rollout.scene import check
from tests.unit.rollout.scene import decide_once
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import spec

# Weights and holds: with more capacity for each step, with the same, without a hold, and none.
PLANS = (((10, 60), (50, 120)), ((10, 60), (20, 120)), ((10, 60), (50, 120)), ((1, 0), (100, 30)), ())
TIMEOUT = timedelta(seconds=60)
REPLICAS = 4


def declared(steps: tuple[tuple[int, int], ...]) -> ModelDeploymentSpec:
    return spec(
        serving={"minReplicas": REPLICAS, "startupDeadline": "10m"},
        traffic={"timeout": "60s"},
        rollout={
            "steps": [{"weight": weight, "hold": f"{hold}s"} for weight, hold in steps],
            "readiness": {"stableFor": "10s"},
            "keepPrevious": "5m",
        },
    )


DOWN = Problem(Reason.REGISTRY_UNAVAILABLE, "the registry does not answer")
VERSIONS = st.sampled_from([1, 2, 3])
LENGTHS = st.sampled_from([0.25, 1, 5, 10, 10, 30, 60, 60, 120, 300, 700])
ANY = st.integers(0, 5)
# Of 10 seconds each: from the first moment of a rollout to its end.
MOMENTS = st.integers(1, 26)
TROUBLES = st.sampled_from(["crash", "crash loop", "unschedulable", "a pod vanishes", "all pods vanish", "heal"])


class Rollouts(RuleBasedStateMachine):
    """One ModelDeployment, and everybody around it."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: tuple[tuple[int, int], ...] = ()
        self.store = Store(Parent(1, 1, declared(()), {}))
        self.world = World(self.store)
        self.operator = Operator(self.store, self.witness)
        self.version = 1
        self.down: Problem | None = None
        self.held_since: dict[str, tuple[int, datetime]] = {}
        """For each revision under trial the weight that the gateway accepted, and since when."""
        self.earned: dict[tuple[str, datetime | None], int] = {}
        """The largest weight that a rollout's candidate has earned."""
        self.failed: set[str] = set()
        """Revisions that were rolled back."""
        self.clocks: dict[tuple[datetime, int], datetime | None] = {}

    # rules: people

    @initialize(steps=st.sampled_from(PLANS), first=st.sampled_from([False, False, False, True]))
    def begin(self, steps: tuple[tuple[int, int], ...], *, first: bool) -> None:
        """Most histories begin with a version in use."""
        self.steps = steps
        self.store.parent = replace(self.store.parent, spec=declared(steps))
        if not first:
            self.calm()

    @rule(version=VERSIONS, edited=st.booleans())
    def declare(self, version: int, *, edited: bool) -> None:
        """The alias moves, or the spec is edited."""
        self.version = version
        if edited:
            self.edit(suspend=False)

    @rule()
    def suspend(self) -> None:
        self.edit(suspend=True)

    def edit(self, *, suspend: bool) -> None:
        parent = self.store.parent
        changed = parent.spec.model_copy(update={"suspend": suspend})
        self.store.parent = replace(parent, version=self.store.next(), generation=parent.generation + 1, spec=changed)

    @precondition(lambda self: self.store.services)
    @rule(what=st.sampled_from(["service", "route", "weights"]), which=ANY, weight=st.sampled_from([0, 20, 100]))
    def by_hand(self, what: str, which: int, weight: int) -> None:
        """Somebody deletes a revision's object or the route, or edits the route."""
        if what == "service":
            self.world.delete_service(self.pick(which))
        else:
            weights = {self.pick(which): weight, self.pick(which + 1): 100 - weight}
            self.world.edit_route(weights if what == "weights" else None)

    # rules: pods, gateway, registry, time

    @rule(length=LENGTHS)
    def wait(self, length: float) -> None:
        self.world.pass_time(length)

    @rule(ready=st.sampled_from([True, True, True, False]))
    def kubelets_work(self, *, ready: bool) -> None:
        for name in list(self.store.services):
            self.world.kubelet(name, ready=ready)

    @precondition(lambda self: self.store.services)
    @rule(what=TROUBLES, which=ANY)
    def trouble(self, what: str, which: int) -> None:
        """Pods of any revision fail, vanish or recover."""
        self.happens(what, self.pick(which))

    @precondition(lambda self: self.under_trial in self.store.services)
    @rule(what=TROUBLES)
    def candidate_in_trouble(self, what: str) -> None:
        self.happens(what, cast("str", self.under_trial))

    def happens(self, what: str, name: str) -> None:
        at = self.world.now.replace(microsecond=0)
        if what == "unschedulable":
            self.world.fail(name, Failure(Reason.UNSCHEDULABLE, "no room"), ready=False)
        elif what in ("crash", "crash loop"):
            failure = Failure(Reason.LOAD_FAILED, "ended", at=at, hopeless=what == "crash loop")
            self.world.fail(name, failure, ready=False)
        elif what == "heal":
            self.world.heal(name)
        else:
            self.world.vanish(name, 1 if what == "a pod vanishes" else REPLICAS)

    @rule(how=st.sampled_from(["accepts", "accepts", "refuses", "acts before it speaks"]))
    def gateway(self, how: str) -> None:
        if how == "acts before it speaks":
            self.world.program()
        else:
            self.world.accept(refuse=how == "refuses")
            self.note()

    @rule(down=st.booleans())
    def registry(self, *, down: bool) -> None:
        self.down = DOWN if down else None

    # rules: the operator

    @rule(stale=st.one_of(st.just(set()), st.sets(st.sampled_from([PARENT, ROUTE, SERVICES]))))
    def look(self, stale: set[str]) -> None:
        """A reconcile, some of whose watches are late."""
        self.operator.sync(*{PARENT, ROUTE, SERVICES} - stale)
        self.operator.reconcile(resolved(self.version), self.down, self.world.now, None, lost=False)

    @rule(stop=st.integers(0, 3), lost=st.booleans(), restart=st.booleans())
    def look_and_stop(self, stop: int, *, lost: bool, restart: bool) -> None:
        """The operator crashes before a write or after it, or only the answer is lost."""
        self.operator.sync(PARENT, ROUTE, SERVICES)
        self.operator.reconcile(resolved(self.version), self.down, self.world.now, stop, lost=lost)
        if restart:
            self.operator.restart()

    @rule(moments=MOMENTS)
    def all_goes_well(self, moments: int) -> None:
        """Everybody does their work for a while."""
        for _ in range(moments):
            self.everybody()
            self.world.pass_time(10)

    @rule(version=VERSIONS, moments=MOMENTS)
    def rollout(self, version: int, moments: int) -> None:
        """A version is declared, and all goes well for a while."""
        self.version = version
        self.all_goes_well(moments)

    def reconcile(self) -> datetime | None:
        self.operator.sync(PARENT, ROUTE, SERVICES)
        decision = self.operator.reconcile(resolved(self.version), self.down, self.world.now, None, lost=False)
        return None if decision is None else decision.look_again_at

    def everybody(self) -> None:
        self.reconcile()
        for name in list(self.store.services):
            self.world.kubelet(name, ready=True)
        self.world.accept()
        self.note()

    # checks

    def witness(self, verb: str, name: str, value: object) -> None:
        """Everything the operator writes is looked at before it takes effect."""
        if verb == "route":
            self.who_answers_goes_on(cast("dict[str, int]", value))
            self.route_is_earned(cast("dict[str, int]", value))
        elif verb == "delete":
            self.nobody_needs(name)
        elif verb == "service":
            self.capacity_stays(name, cast("int", value))
        else:
            self.memory_is_kept(cast("ModelDeploymentStatus", value))

    def who_answers_goes_on(self, weights: dict[str, int]) -> None:
        """Requests that somebody answers do not all go to where nobody is ready, unless a person says so."""
        route = self.operator.seen.route
        if route is None or route.by_hand or not route.observed().accepted or self.is_aborted():
            return
        shares = ({name for name, weight in one.items() if weight > 0} for one in (route.weights, weights))
        before, after = ({name for name in names if self.ready(name)} for names in shares)
        assert after or not before, f"{before} answers, and nobody will"

    def is_aborted(self) -> bool:
        """Whether somebody ordered to end the rollout, whoever answers then."""
        return False

    def route_is_earned(self, weights: dict[str, int]) -> None:
        status = self.status
        assert sum(weights.values()) == 100, weights
        # The stable one may be gone by hand; it is put back in the same breath, and there is no better one.
        known = {*self.operator.seen.services, *([status.stable.revision] if status.stable is not None else [])}
        shares = {name: weight for name, weight in weights.items() if weight > 0}
        known |= {name for name in shares if self.keeps_everything(name, shares[name])}
        assert set(weights) <= known, "the route names a revision that does not exist"
        assert not set(shares) & self.failed, "a rejected revision gets traffic"
        for name, weight in shares.items():
            trial = status.stable is not None and name != status.stable.revision
            if trial and not self.keeps_everything(name, weight):
                self.trial_is_earned(name, weight)
        if self.store.route is None or self.store.route.by_hand:
            # What somebody took away by hand and the operator gives back is not held anew.
            return
        for name in list(self.held_since):
            if name not in shares:
                del self.held_since[name]

    def keeps_everything(self, name: str, weight: int) -> bool:
        """Whether it has all the requests and keeps them although it cannot answer: the stable one cannot either, and
        nothing is gained by moving them there and back."""
        route, stable = self.operator.seen.route, self.status.stable
        has = route is not None and not route.by_hand and route.weights.get(name) == weight == 100
        return has and stable is not None and self.ready(stable.revision) == self.ready(name) == 0

    def trial_is_earned(self, name: str, weight: int) -> None:
        """A revision that is not promoted yet has this weight by its steps, and the replicas for it."""
        rollout, now = self.status.rollout, self.world.now
        assert self.may_know(name), "traffic for a revision that the gateway does not know yet"
        assert self.ready(name) >= 1, "traffic for a revision without a ready replica"
        trial = (name, None if rollout is None else rollout.started_at)
        if weight <= self.earned.get(trial, 0):
            # It lost its replicas, or a hand took it out of the route, in this very step.
            return
        assert self.ready(name) >= capacity(REPLICAS, weight), "traffic before the capacity that it needs"
        before = [step for step in self.steps if step[0] < weight]
        if before:
            held, hold = before[-1]
            since = self.held_since.get(name)
            assert since is not None, f"{weight} % for {name}, which has held nothing"
            assert since[0] == held, f"{weight} % for {name}, which has held {since[0]} %"
            assert now - since[1] >= timedelta(seconds=hold), f"{weight} % after {now - since[1]}"
        else:
            assert weight == [*self.steps, (100, 0)][0][0]
        self.earned[trial] = weight

    def may_know(self, name: str) -> bool:
        """Whether the gateway knows the revision. Without a route it knows nobody: there is nothing to spare by naming
        one after the other. What a hand gave it before the gateway answered is believed to be the operator's own, which
        would be sound."""
        route = self.operator.seen.route
        by_hand = route is not None and route.by_hand and route.observed().reaches(name)
        return name in self.world.known or route is None or by_hand

    def nobody_needs(self, name: str) -> None:
        status, route, now = self.status, self.store.route, self.world.now
        assert route is None or name not in route.weights, "a revision goes that the route names"
        assert status.stable is None or name != status.stable.revision, "the stable revision goes"
        by_hand = self.world.gateway_by_hand
        assert by_hand or name not in self.world.reached, "a revision goes that gets requests"
        last = self.world.last_request.get(name)
        assert last is None or by_hand or now - last >= TIMEOUT, f"requests of {name} are cut after {now - last}"

    def capacity_stays(self, name: str, replicas: int) -> None:
        status = self.status
        if status.stable is not None and name == status.stable.revision:
            assert replicas == REPLICAS, "the stable revision loses replicas"
        share = 0 if self.store.route is None or self.store.route.by_hand else self.store.route.weights.get(name, 0)
        assert replicas >= capacity(REPLICAS, share), f"{replicas} replicas for {share} %"

    def memory_is_kept(self, after: ModelDeploymentStatus) -> None:
        before = self.status
        promoted = [(one.revision, one.started_at) for one in after.history if one.outcome is Outcome.PROMOTED]
        assert len(set(promoted)) == len(promoted), "promoted twice"
        if before.stable is not None:
            assert after.stable is not None, "the stable revision is forgotten"
            if after.stable.revision != before.stable.revision:
                assert after.history[0].outcome is Outcome.PROMOTED
                assert after.history[0].revision == after.stable.revision
                assert after.stable.revision not in self.failed
        self.failed |= {one.revision for one in after.history if one.outcome is Outcome.ROLLED_BACK}
        if after.rollout is not None:
            at = (after.rollout.started_at, after.rollout.step)
            told = self.clocks.get(at)
            if told is not None and after.rollout.step_started_at is not None:
                assert after.rollout.step_started_at == told, "a step's clock was restarted"
            self.clocks[at] = after.rollout.step_started_at

    @invariant()
    def the_version_in_use_has_its_share(self) -> None:
        """What requests go to exists, unless somebody deleted it by hand or the routes are not the operator's."""
        status, route = self.status, self.store.route
        if status.stable is None or route is None or route.by_hand:
            return
        least = 100 - max((weight for weight, _ in self.steps), default=0) if status.candidate is not None else 0
        everything = status.candidate is not None and route.weights.get(status.candidate.revision) == 100
        assert everything or route.weights.get(status.stable.revision, 0) >= least

    @invariant()
    def deciding_is_settled(self) -> None:
        """Nothing is written when nothing changed, and time alone changes nothing before the moment that was named."""
        observed = self.operator.observed(resolved(self.version), self.down)
        check(observed, self.world.now, decide_once)

    def teardown(self) -> None:
        self.calm()

    def calm(self) -> None:
        """When faults stop, it comes to rest, and then nothing is written any more."""
        self.down = None
        self.edit(suspend=False)
        self.operator.restart()
        for name in list(self.store.services):
            self.world.heal(name)
        for _ in range(60):
            before = self.store.clock
            self.everybody()
            moment = self.reconcile()
            accepted = self.store.route is not None
            if self.store.clock == before + accepted and moment is None:
                if self.answered():
                    continue
                break
            self.world.pass_time((moment - self.world.now).total_seconds() if moment is not None else 1)
        status = self.status
        assert status.phase in (Phase.HEALTHY, Phase.ROLLED_BACK), f"{status.phase}: {status.message}"
        assert status.stable is not None
        assert self.world.gateway == {status.stable.revision: 100}
        assert set(self.store.services) == {status.stable.revision}
        assert status.retiring == ()
        assert self.store.clock == before + accepted, "somebody besides the gateway still writes"

    def answered(self) -> bool:
        """Whether somebody was waited for, and did what was asked."""
        return False

    # what is known

    @property
    def status(self) -> ModelDeploymentStatus:
        """What the API server has."""
        return self.store.parent.read

    @property
    def under_trial(self) -> str | None:
        """The candidate, as the API server has it."""
        candidate = self.status.candidate
        return None if candidate is None else candidate.revision

    def pick(self, which: int) -> str:
        names = sorted(self.store.services)
        return names[which % len(names)]

    def ready(self, name: str) -> int:
        service = self.operator.seen.services.get(name)
        return 0 if service is None else sum(pod.ready_since is not None for pod in service.pods)

    def note(self) -> None:
        """Keep account of which weights the gateway accepted, and since when."""
        route = self.store.route
        if route is None or route.by_hand or route.accepted != route.generation:
            return
        for name, weight in route.weights.items():
            if self.held_since.get(name, (None,))[0] != weight:
                self.held_since[name] = (weight, self.world.now)


TestRollouts = Rollouts.TestCase
