"""A small model of a cluster and of the operator's I/O around the pure core, in virtual time.

Objects have resourceVersions, writes name the one they were decided upon, the operator sees each kind as of some
moment, may crash before or after every write and may lose an answer. The order of the writes and what is read live
before a deletion are those of ``controller.reconcile`` and ``controller.perform``. What the gateway really does with
requests (``gateway``) is apart from what it says (``accepted``): it may act before it speaks.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from functools import cached_property

from serin.api.base import to_wire
from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Resolved
from serin.rollout.decision import Decision
from serin.rollout.decision import PlannedRoute
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import Declared
from serin.rollout.observed import Failure
from serin.rollout.observed import Health
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.observed import ServingState
from tests.unit.rollout.scene import PLATFORM
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import decide_once
from tests.unit.rollout.scene import declared

PARENT, ROUTE, SERVICES = "parent", "route", "services"


class Conflict(Exception):  # noqa: N818 (an answer, not an error)
    """The object is not the one that was decided upon."""


@dataclass(frozen=True)
class Pod:
    """A replica: ready since some moment, or not; with what it says about itself."""

    ready_since: datetime | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Service:
    """The backend's object of a revision."""

    version: int
    replicas: int
    pods: tuple[Pod, ...] = ()


@dataclass(frozen=True)
class LiveRoute:
    """The route as the API server has it."""

    version: int
    generation: int
    weights: dict[str, int]
    accepted: int = 0
    """The generation that the gateway accepted last."""
    refused: int = 0
    by_hand: bool = False
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None
    gateways: tuple[GatewayRef, ...] = ()
    hostnames: tuple[str, ...] = ()

    def observed(self) -> Route:
        """As the operator sees it."""
        return Route(
            exists=True,
            weights=dict(self.weights),
            matches=self.matches,
            mirror=self.mirror,
            gateways=self.gateways,
            hostnames=self.hostnames,
            accepted=self.accepted == self.generation,
            pending=0 < self.accepted < self.generation > self.refused,
            refusal="no" if self.refused == self.generation else None,
        )

    def is_as(self, planned: PlannedRoute) -> bool:
        """Whether nothing has to be written for it to be as planned."""
        return (self.weights, self.matches, self.mirror) == (dict(planned.weights), planned.matches, planned.mirror)


@dataclass(frozen=True)
class Parent:
    """The ModelDeployment."""

    version: int
    generation: int
    spec: ModelDeploymentSpec
    status: dict[str, object]
    orders: dict[str, str] = field(default_factory=dict)
    """Annotations by verb."""

    @cached_property
    def read(self) -> ModelDeploymentStatus:
        """The status as the operator reads it."""
        return ModelDeploymentStatus.model_validate(self.status)

    @cached_property
    def declared(self) -> Declared:
        """How its spec says that a rollout goes."""
        return declared(self.spec)


@dataclass
class Store:
    """What the API server has. Values are replaced, never changed, so that a view of them stays as it was."""

    parent: Parent
    route: LiveRoute | None = None
    services: dict[str, Service] = field(default_factory=dict)
    clock: int = 1

    def next(self) -> int:
        self.clock += 1
        return self.clock


Witness = Callable[[str, str, object], None]
"""Told of every write of the operator, before it takes effect: verb, name, new value."""


class Operator:
    """The rings of I/O around ``decide``, as far as promises depend on them."""

    def __init__(self, store: Store, witness: Witness) -> None:
        self.store = store
        self.witness = witness
        self.seen = Store(store.parent)
        self.uncertain = False
        self.restart()

    def restart(self) -> None:
        """A new process: it lists everything and remembers nothing."""
        self.uncertain = False
        self.sync(PARENT, ROUTE, SERVICES)

    def sync(self, *kinds: str) -> None:
        """The watches of these kinds catch up."""
        for kind in kinds:
            value = getattr(self.store, kind)
            setattr(self.seen, kind, dict(value) if kind == SERVICES else value)

    def observed(self, target: Resolved | Problem, down: Problem | None) -> Observed:
        seen, route = self.seen, self.seen.route
        return Observed(
            name="fraud",
            namespace="payments",
            uid="uid-1",
            generation=seen.parent.generation,
            spec=seen.parent.spec,
            status=seen.parent.read,
            target=target,
            registry_down=down,
            serving=ServingState(
                revisions={name: health(service) for name, service in seen.services.items()},
                route=Route() if route is None else route.observed(),
            ),
            rollout=seen.parent.declared,
            orders=seen.parent.orders,
            platform=PLATFORM,
        )

    def reconcile(
        self, target: Resolved | Problem, down: Problem | None, now: datetime, stop: int | None, *, lost: bool
    ) -> Decision | None:
        """One reconcile. ``stop``: the write at which it ends, which is ``lost`` (done, unanswered) or not done."""
        if self.uncertain:
            self.sync(PARENT)
            self.uncertain = False
        observed = self.observed(target, down)
        decision = decide_once(observed, now)
        try:
            for number, (kind, write) in enumerate(self._writes(decision, observed)):
                if number == stop:
                    self.uncertain = kind == PARENT
                    if lost:
                        write()
                    return None
                write()
                self.sync(kind)
        except Conflict as conflict:
            self.sync(str(conflict))
            return None
        return decision

    def _writes(self, decision: Decision, observed: Observed) -> Iterator[tuple[str, Callable[[], None]]]:
        plan, routed = decision.plan, False
        if plan is not None:
            wanted, route = plan.route, self.seen.route
            if wanted is not None and (route is None or not route.is_as(wanted)):
                yield ROUTE, lambda: self._write_route(wanted)
                routed = True
            for planned in plan.revisions:
                service = self.seen.services.get(planned.revision)
                if service is None or service.replicas != planned.min_replicas:
                    yield SERVICES, lambda p=planned: self._write_service(p.revision, p.min_replicas)  # type: ignore[misc]
        if routed and decision.may_wait:
            return
        if decision.status != observed.status:
            yield PARENT, lambda: self._write_status(decision.status)
        for name in self._surplus(plan) if plan is not None else ():
            yield SERVICES, lambda n=name: self._delete(n)  # type: ignore[misc]

    def _surplus(self, plan: ServingPlan) -> list[str]:
        names = [name for name in self.seen.services if name not in plan.names]
        if names:
            # Read live before anything is deleted.
            self.sync(ROUTE)
        named = self.seen.route.weights if self.seen.route is not None else {}
        return [name for name in names if name not in named]

    def _write_route(self, planned: PlannedRoute) -> None:
        before, known = self.store.route, self.seen.route
        if (before and before.version) != (known and known.version):
            raise Conflict(ROUTE)
        weights = dict(planned.weights)
        self.witness("route", "fraud", weights)
        generation = 1 if before is None else before.generation + 1
        accepted, refused = (0, 0) if before is None else (before.accepted, before.refused)
        self.store.route = LiveRoute(
            self.store.next(),
            generation,
            weights,
            accepted,
            refused,
            matches=planned.matches,
            mirror=planned.mirror,
            gateways=planned.gateways,
            hostnames=planned.hostnames,
        )

    def _write_service(self, name: str, replicas: int) -> None:
        before, known = self.store.services.get(name), self.seen.services.get(name)
        if (before and before.version) != (known and known.version):
            raise Conflict(SERVICES)
        self.witness("service", name, replicas)
        pods = () if before is None else before.pods
        self.store.services[name] = Service(self.store.next(), replicas, pods)

    def _delete(self, name: str) -> None:
        before = self.store.services.get(name)
        if before is None:
            return
        if before.version != self.seen.services[name].version:
            raise Conflict(SERVICES)
        self.witness("delete", name, None)
        del self.store.services[name]

    def _write_status(self, status: ModelDeploymentStatus) -> None:
        before = self.store.parent
        if before.version != self.seen.parent.version:
            raise Conflict(PARENT)
        self.witness("status", "fraud", status)
        self.store.parent = replace(before, version=self.store.next(), status=to_wire(status))


def health(service: Service) -> Health:
    failures = [pod.failure for pod in service.pods if pod.failure is not None]
    return Health(
        ready_since=tuple(sorted(pod.ready_since for pod in service.pods if pod.ready_since is not None)),
        failures=tuple(sorted(failures, key=lambda failure: not failure.hopeless)),
    )


@dataclass
class World:
    """The cluster around the operator, and the time."""

    store: Store
    now: datetime = START
    gateway: dict[str, int] = field(default_factory=dict)
    """What the gateway really does with requests, by revision."""
    reached: set[str] = field(default_factory=set)
    """Revisions that get any request, also by a header."""
    known: set[str] = field(default_factory=set)
    """Revisions that the gateway can send requests to at once."""
    gateway_by_hand: bool = False
    last_request: dict[str, datetime] = field(default_factory=dict)
    """Until when each revision got requests by a route that the operator wrote."""

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._requests()

    def program(self) -> None:
        """The gateway acts by the route as it is."""
        self._requests()
        route = self.store.route
        self.gateway = {} if route is None else {name: weight for name, weight in route.weights.items() if weight}
        self.reached = set() if route is None else {name for name in route.weights if route.observed().reaches(name)}
        self.known = set() if route is None else set(route.weights)
        self.gateway_by_hand = route is not None and route.by_hand
        self._requests()

    def accept(self, *, refuse: bool = False) -> None:
        """The gateway speaks about the route as it is; where it accepts, it has acted."""
        route = self.store.route
        if route is None:
            return
        if refuse:
            self.store.route = replace(route, version=self.store.next(), refused=route.generation)
            return
        self.program()
        self.store.route = replace(route, version=self.store.next(), accepted=route.generation)

    def edit_route(self, weights: dict[str, int] | None) -> None:
        """Somebody edits the route by hand, or deletes it. Nobody has to answer for requests that go astray then."""
        route = self.store.route
        if route is None:
            return
        self.last_request.clear()
        self.gateway_by_hand = True
        self.store.route = (
            None
            if weights is None
            else replace(
                route, version=self.store.next(), generation=route.generation + 1, weights=weights, by_hand=True
            )
        )

    def kubelet(self, name: str, *, ready: bool) -> None:
        """Missing pods of a revision are made, those too many go, and those without a failure become ready."""
        service = self.store.services[name]
        pods = service.pods[: service.replicas] + (Pod(),) * (service.replicas - len(service.pods))
        if ready:
            pods = tuple(
                replace(pod, ready_since=self.now) if pod.ready_since is None and pod.failure is None else pod
                for pod in pods
            )
        self._pods(name, pods)

    def fail(self, name: str, failure: Failure, *, ready: bool) -> None:
        """One pod of a revision says this."""
        pods = self.store.services[name].pods
        if pods:
            since = pods[0].ready_since if ready else None
            self._pods(name, (replace(pods[0], failure=failure, ready_since=since), *pods[1:]))

    def vanish(self, name: str, count: int) -> None:
        """A node is lost with so many pods."""
        self._pods(name, self.store.services[name].pods[count:])

    def heal(self, name: str) -> None:
        """New pods take the place of those that fail."""
        self._pods(name, tuple(pod for pod in self.store.services[name].pods if pod.failure is None))

    def delete_service(self, name: str) -> None:
        """Somebody deletes a revision's object by hand."""
        self.store.services.pop(name, None)

    def _pods(self, name: str, pods: tuple[Pod, ...]) -> None:
        self.store.services[name] = replace(self.store.services[name], pods=pods)

    def _requests(self) -> None:
        if not self.gateway_by_hand:
            for name in self.reached:
                self.last_request[name] = self.now
