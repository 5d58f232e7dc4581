"""A scene for the pure core: what is declared and what the cluster shows, in virtual time.

Every decision taken in a scene is checked for what must hold of all of them (see :func:`check`), so each table proves
more than its own row.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from functools import cache
from functools import lru_cache
from typing import Any

from serin.analysis.checks import Measurement
from serin.analysis.gates import Record
from serin.api.base import to_wire
from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modeldeployment import Protocol
from serin.api.modeldeployment import Serving
from serin.api.reasons import Reason
from serin.api.rollout import Rollout
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.api.status import Resolved
from serin.rollout import goal
from serin.rollout.decide import decide
from serin.rollout.decision import Decision
from serin.rollout.decision import PlannedRoute
from serin.rollout.gates import question_of
from serin.rollout.looks import Look
from serin.rollout.looks import next_look
from serin.rollout.memory import Memory
from serin.rollout.observed import Declared
from serin.rollout.observed import Failure
from serin.rollout.observed import Health
from serin.rollout.observed import Observed
from serin.rollout.observed import Platform
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.observed import Runtime
from serin.rollout.observed import ServingState
from serin.rollout.orders import Verb
from serin.rollout.records import Question
from serin.rollout.records import Records
from serin.rollout.revision import revision_name

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GATEWAY = GatewayRef(name="public", namespace="gateways")
MLSERVER = Runtime("kserve-mlserver", "MLServer", Protocol.V2, "mlflow", ("python_function",))
PLATFORM = Platform(domain="models.test", gateways=(GATEWAY,), runtimes=(MLSERVER,))
FOR_EVER = timedelta(days=3650)
HOUR = 3600.0
Decide = Callable[[Observed, datetime], Decision]
DECIDED: deque[tuple[datetime, Observed, Decision]] = deque(maxlen=4)
"""The last decisions, newest first. What was decided is mostly seen again at once: to check it, and to come to rest."""


class _Same:
    """One object, and no other that is equal to it."""

    __slots__ = ("itself",)

    def __init__(self, itself: Any) -> None:
        self.itself = itself

    def __hash__(self) -> int:
        return id(self.itself)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.itself is other.itself


@lru_cache(maxsize=256)
def _named(name: str, namespace: str, target: _Same, serving: _Same) -> str | Problem:
    return revision_name(name, namespace, target.itself, serving.itself)


def _name_once(name: str, namespace: str, target: Resolved, serving: Serving) -> str | Problem:
    """A name is a tenth of a decision, and the same in all that are made of the same declaration."""
    return _named(name, namespace, _Same(target), _Same(serving))


goal.revision_name = _name_once  # type: ignore[attr-defined, assignment]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def resolved(version: int, **changes: Any) -> Resolved:
    """Version ``version`` of the model, as the registry port resolves it."""
    facts: dict[str, Any] = {
        "registry": "default",
        "name": "fraud-detector",
        "version": version,
        "run_id": f"run{version}",
        "artifact_uri": f"s3://models/{version}",
        "digest": f"{version:064x}",
        "flavors": ("python_function",),
    }
    return Resolved(**{**facts, **changes})


def spec(version: int = 1, **sections: Any) -> ModelDeploymentSpec:
    """A spec; ``sections`` are serving, traffic, rollout (mappings as on the wire) and suspend."""
    return ModelDeploymentSpec.model_validate({"model": {"name": "fraud-detector", "version": version}, **sections})


def declared(spec: ModelDeploymentSpec | Problem) -> Declared:
    """What a spec itself says about its rollout."""
    inline = None if isinstance(spec, Problem) else spec.rollout
    return (
        Declared()
        if inline is None
        else Declared(Rollout.model_validate(inline.model_dump(exclude={"policy"}, exclude_unset=True)))
    )


def routed(planned: PlannedRoute, *, accepted: bool, before: Route) -> Route:
    """The route as it is once it is written, in place of the one before."""
    return Route(
        exists=True,
        timeout=planned.timeout,
        weights=dict(planned.weights),
        matches=planned.matches,
        mirror=planned.mirror,
        gateways=planned.gateways,
        hostnames=planned.hostnames,
        accepted=accepted,
        pending=not accepted and (before.accepted or before.pending),
    )


def kstatus(status: ModelDeploymentStatus, generation: int, *, deleting: bool = False) -> str:
    """What Flux and Helm 4 make of a status: sigs.k8s.io/cli-utils pkg/kstatus, in its order."""
    if deleting:
        return "Terminating"
    if status.observed_generation != generation:
        return "InProgress"
    known = {condition.type: condition.status for condition in status.conditions}
    if known.get(ConditionType.RECONCILING) == "True":
        return "InProgress"
    if known.get(ConditionType.STALLED) == "True":
        return "Failed"
    return "Current" if known.get(ConditionType.READY, "True") == "True" else "InProgress"


@dataclass
class Scene:
    """One ModelDeployment and its surroundings."""

    spec: ModelDeploymentSpec | Problem = field(default_factory=spec)
    target: Resolved | Problem = field(default_factory=lambda: resolved(1))
    now: datetime = START
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    platform: Platform = PLATFORM
    down: Problem | None = None
    obstacles: tuple[Problem, ...] = ()
    halted: Problem | None = None
    surplus: Problem | None = None
    deleting: bool = False
    generation: int = 1
    namespace: str = "payments"
    pods: dict[str, tuple[datetime, ...]] = field(default_factory=dict)
    """For each revision whose object exists, since when its ready replicas are ready."""
    failures: dict[str, tuple[Failure, ...]] = field(default_factory=dict)
    without_pods: set[str] = field(default_factory=set)
    """Revisions of which the backend makes nothing."""
    route: Route = field(default_factory=Route)
    become_ready: bool = True
    """Whether replicas are ready as soon as they are asked for."""
    accepts: bool = True
    """Whether the gateway accepts a route as soon as it is written."""
    policy: Declared | Problem | None = None
    """What a RolloutPolicy says, where one is named."""
    orders: dict[str, str] = field(default_factory=dict)
    """What people have ordered, by verb."""
    measured: dict[str, Measurement] = field(default_factory=dict)
    """What every look measures, by check; without any, no look is ever answered."""
    records: dict[int, Record] = field(default_factory=dict)
    """What the registry has of each version, where gates ask for it; without any it does not answer."""
    asked: list[Question] = field(default_factory=list)
    """What was asked of it so far."""
    told: list[str] = field(default_factory=list)
    """Reasons of the events so far."""
    writes: int = 0
    """Writes of status and children so far."""
    urgent: int = 0
    """Of these, statuses that could not wait."""
    read: ModelDeploymentStatus | None = None
    """The status that came back from the API server last."""

    # what people and the world do

    def declare(self, version: int, **sections: Any) -> Scene:
        """Write another spec, which the registry resolves."""
        self.spec, self.target = spec(version, **sections), resolved(version)
        self.generation += 1
        return self

    def wait(self, length: float) -> Scene:
        """Let time pass without a look."""
        self.now += seconds(length)
        return self

    def ready(self, revision: str, count: int) -> Scene:
        """Exactly so many replicas are ready, the new ones from now on."""
        before = self.pods.get(revision, ())[:count]
        self.pods[revision] = before + (self.now,) * (count - len(before))
        return self

    def fail(self, revision: str, failure: Failure, ready: int = 0) -> Scene:
        """A pod of the revision says this, and only ``ready`` replicas are left."""
        self.failures[revision] = (failure,)
        return self.ready(revision, ready)

    def order(self, verb: Verb, revision: str, nonce: str = "") -> Scene:
        """A person annotates the ModelDeployment."""
        self.orders[verb.value] = f"{revision}#{nonce}" if nonce else revision
        return self

    def accept(self) -> Scene:
        """The gateway accepts the route as it is."""
        self.route = replace(self.route, accepted=True, pending=False, refusal=None)
        return self

    # the operator

    def observed(self) -> Observed:
        observed = self._observed()
        question = question_of(observed, Memory.of(self.status))
        return observed if question is None else replace(observed, records=self._answer(question))

    def _answer(self, question: Question) -> Records | Problem | None:
        self.asked.append(question)
        if self.down is not None or not self.records:
            return self.down
        stable = self.records[question.stable.version] if question.stable is not None else None
        return Records(question, self.records[question.candidate.version], stable)

    def _observed(self) -> Observed:
        names = set(self.pods) | set(self.failures) | self.without_pods
        return Observed(
            name="fraud",
            namespace=self.namespace,
            uid="uid-1",
            generation=self.generation,
            spec=self.spec,
            status=self.status,
            deleting=self.deleting,
            target=self.target,
            registry_down=self.down,
            rollout=self.policy or declared(self.spec),
            orders=dict(self.orders),
            look=self._look(),
            serving=ServingState(
                revisions={
                    name: Health(
                        ready_since=tuple(sorted(self.pods.get(name, ()))),
                        failures=self.failures.get(name, ()),
                        without_pods=name in self.without_pods,
                    )
                    for name in names
                },
                route=self.route,
            ),
            obstacles=self.obstacles,
            halted=self.halted,
            surplus=self.surplus,
            platform=self.platform,
        )

    def _look(self) -> Look | None:
        """The measurements of this moment, where a look is due."""
        due, rollout = next_look(self.status.rollout), self.status.rollout
        if due is None or rollout is None or rollout.step_started_at is None or due > self.now or not self.measured:
            return None
        return Look(since=rollout.step_started_at, at=self.now, measured=dict(self.measured))

    def look(self) -> Decision:
        """One decision, carried out and remembered."""
        observed = self.observed()
        decision = check(observed, self.now, decide_once)
        self._carry_out(decision)
        if decision.status != self.status:
            self.writes += 1
            self.urgent += not decision.may_wait
        self.told += [event.reason for event in decision.events]
        if self.status is not self.read or decision.status != self.status:
            # As it comes back from the API server.
            self.status = self.read = ModelDeploymentStatus.model_validate(to_wire(decision.status))
            assert self.status == decision.status
        return decision

    def settle(self) -> Decision:
        """Look until nothing changes at this moment any more."""
        for _ in range(50):
            before = (self.status, dict(self.pods), self.route)
            decision = self.look()
            if before == (self.status, self.pods, self.route):
                return decision
        raise AssertionError(f"never comes to rest: {self.status.phase} {self.status.message}")

    def run(self, length: float) -> Decision:
        """Let time pass, and look whenever a decision asked for it."""
        end = self.now + seconds(length)
        while True:
            decision = self.settle()
            moment = decision.look_again_at
            if moment is None or moment > end:
                self.now = end
                return self.settle()
            self.now = moment

    def outlast(self, length: float) -> Decision:
        """Let time pass in which nothing ends that is due within an hour: after that one look at the end is enough."""
        self.run(HOUR)
        return self.wait(length - HOUR).settle()

    def _carry_out(self, decision: Decision) -> None:
        plan = decision.plan
        if plan is None:
            return
        if plan.route is not None:
            route = routed(plan.route, accepted=self.accepts, before=self.route)
            answers = ("accepted", "pending", "since", "refusal")
            said = {name: getattr(self.route, name) for name in answers}
            if replace(route, **said) != self.route:
                self.route = route
                self.writes += 1
        for planned in plan.revisions:
            before = self.pods.get(planned.revision)
            if before is None:
                self.writes += 1
                before = self.pods[planned.revision] = ()
            if self.become_ready and planned.revision not in self.failures:
                self.ready(planned.revision, planned.min_replicas)
        for gone in set(self.pods) - plan.names - set(self.route.weights):
            self.pods.pop(gone)
            self.failures.pop(gone, None)
            self.writes += 1

    # what is asserted

    def moment(self, ago: float = 0) -> datetime:
        """A moment so many seconds ago."""
        return self.now - seconds(ago)

    @property
    def stable(self) -> str:
        assert self.status.stable is not None, "there is no stable revision"
        return self.status.stable.revision

    @property
    def candidate(self) -> str:
        assert self.status.candidate is not None, f"there is no candidate: {self.status.message}"
        return self.status.candidate.revision

    @property
    def weight(self) -> int:
        """Percent of the requests that the live route gives to the candidate."""
        return self.route.weights.get(self.candidate, 0)

    @property
    def kstatus(self) -> str:
        return kstatus(self.status, self.generation, deleting=self.deleting)

    def condition(self, kind: ConditionType) -> tuple[str, Reason] | None:
        """Status and reason of a condition, None where it is absent."""
        found = [(one.status, one.reason) for one in self.status.conditions if one.type is kind]
        return found[0] if found else None

    def outcomes(self) -> list[tuple[str, str]]:
        """Version and outcome of the rollouts that ended, newest first."""
        return [(entry.version, str(entry.outcome)) for entry in self.status.history]


def healthy(version: int = 1, **sections: Any) -> Scene:
    """A scene in which this version has had all traffic for an hour."""
    return deepcopy(_healthy(version, json.dumps(sections)))


@cache
def _healthy(version: int, sections: str) -> Scene:
    scene = Scene(spec=spec(version, **json.loads(sections)), target=resolved(version))
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY, scene.status.message
    scene.told.clear()
    scene.writes = scene.urgent = 0
    return scene


def rolling(weights: Mapping[int, str], version: int = 2, **sections: Any) -> Scene:
    """A scene in which ``version`` was declared beside a healthy v1, these steps; not looked at yet."""
    steps = [{"weight": weight, "hold": hold} for weight, hold in weights.items()]
    rollout = {"steps": steps, **sections.pop("rollout", {})}
    return healthy(1, rollout=rollout, **sections).declare(version, rollout=rollout, **sections)


def decide_once(observed: Observed, now: datetime) -> Decision:
    """What the core decides, which is pure: of the same, what it decided a moment ago."""
    for moment, seen, decided in DECIDED:
        if moment == now and seen == observed:
            return decided
    decision = decide(observed, now)
    DECIDED.appendleft((now, observed, decision))
    return decision


def forget() -> None:
    """For whoever asks what a test runs by itself: it takes over nothing that others decided."""
    DECIDED.clear()
    _healthy.cache_clear()
    _named.cache_clear()


def check(observed: Observed, now: datetime, decide: Decide = decide) -> Decision:
    """The decision, after a look at what must hold of every one. ``decide``: the core, or who knows what it decides."""
    decision = decide(observed, now)
    status, plan = decision.status, decision.plan
    if not observed.deleting:
        _truthful(status, observed.generation)
    if plan is not None and plan.route is not None:
        weights = dict(plan.route.weights)
        assert sum(weights.values()) == 100, weights
        assert all(0 <= weight <= 100 for weight in weights.values()), weights
        assert set(weights) <= plan.names, "the route names a revision that is not planned"
        assert plan.route.gateways, "the route is taken from its gateways"
        _capacity_before_traffic(observed, decision)
    assert decision.look_again_at is None or decision.look_again_at >= now
    if decision.look_again_at == now:
        assert status != observed.status, "what is looked at again at once is never settled"
        return decision
    # Deciding again on what was just written comes to the same, now and until the next moment that matters.
    known = replace(observed, status=status)
    later = now + FOR_EVER if decision.look_again_at is None else decision.look_again_at - timedelta(milliseconds=1)
    for moment in {now, max(now, later)}:
        other = decide(known, moment)
        if (other.status, other.plan, other.events) != (status, plan, ()):
            raise AssertionError(
                f"decided at {now}, and again at {moment}, where nothing is due: "
                f"{_unequal(status, other.status)} {plan if other.plan != plan else ''} {other.events}"
            )
    return decision


def _capacity_before_traffic(observed: Observed, decision: Decision) -> None:
    """Nobody gets more requests by a decision that takes replicas from him, unless fewer are declared."""
    before, plan = observed.status, decision.plan
    if before.observed_generation != observed.generation or plan is None or plan.route is None:
        return
    had = {one.revision: one.replicas for one in (before.stable, before.candidate, before.previous) if one is not None}
    for planned in plan.revisions:
        name = planned.revision
        if dict(plan.route.weights).get(name, 0) > observed.serving.route.weights.get(name, 0):
            least = planned.min_replicas
            assert least >= had.get(name, 0), f"{least} of {had[name]} replicas for {name}, which gets more"


def _unequal(one: ModelDeploymentStatus, other: ModelDeploymentStatus) -> dict[str, tuple[object, object]]:
    left, right = to_wire(one), to_wire(other)
    return {
        key: (left.get(key), right.get(key)) for key in left.keys() | right.keys() if left.get(key) != right.get(key)
    }


def _truthful(status: ModelDeploymentStatus, generation: int) -> None:
    """The conditions say to machines what the phase says to people."""
    known = {condition.type: condition for condition in status.conditions}
    assert len(known) == len(status.conditions)
    assert all(condition.observed_generation == generation for condition in status.conditions)
    for abnormal in (ConditionType.RECONCILING, ConditionType.STALLED):
        assert abnormal not in known or known[abnormal].status == "True", f"{abnormal} must be absent when not true"
    assert not (ConditionType.RECONCILING in known and ConditionType.STALLED in known)
    expected = {Phase.HEALTHY: "Current", Phase.ROLLED_BACK: "Failed"}.get(status.phase)
    told = kstatus(status, generation)
    assert expected in (None, told), f"{status.phase} is {told}"
    assert (told == "Current") == (status.phase is Phase.HEALTHY), f"{status.phase} is {told}"
    assert status.message
