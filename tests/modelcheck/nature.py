"""What happens by itself: pods, gateway and time go on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

from tests.modelcheck.core import FRESH
from tests.modelcheck.core import OLD_ENOUGH
from tests.modelcheck.core import STABLE_FOR
from tests.modelcheck.core import TIMEOUT
from tests.modelcheck.core import Verdict
from tests.modelcheck.core import deadline
from tests.modelcheck.core import verdict
from tests.modelcheck.promises import stage_of
from tests.modelcheck.state import Account
from tests.modelcheck.state import Measured
from tests.modelcheck.state import Pod
from tests.modelcheck.state import Service
from tests.modelcheck.state import Services
from tests.modelcheck.state import State
from tests.modelcheck.state import aged
from tests.modelcheck.state import memory_of
from tests.modelcheck.state import shifted

# Longer than any hold, and than most deadlines.
SUSPENDED_SECONDS = 30

Step = tuple[str, State]
View = TypeVar("View")


def goes_on(state: State) -> Iterator[Step]:
    """What happens by itself."""
    for revision, service in state.services:
        now = grown(service)
        if now != service:
            yield f"a pod of {revision} goes or becomes ready", with_service(state, revision, now)
        if any(pod.trouble for pod in service.pods):
            yield f"the pods of {revision} recover", with_service(state, revision, healed(service))
    route = state.route
    if route is not None and route.answer != "accepted":
        yield "the gateway accepts the route", accepted(state)
        if state.gateway != route.sent:
            yield "the gateway acts by the route before it says so", acted(state)
    if state.measured in (Measured.NOTHING, Measured.LATE):
        yield "Prometheus is back", state._replace(measured=Measured.GOOD)
    if state.down:
        yield "the registry is back", state._replace(down=False)
    # Suspended, nothing changes by itself; time passes all the same.
    after = SUSPENDED_SECONDS if state.parent.suspended else due(state)
    if after:
        yield f"{after} s pass", later(state, after)


def decided(state: State) -> Verdict:
    """What the operator decides when it sees everything as it is."""
    return verdict(state.parent, state.memory, state.route, state.services, state.down, state.measured)


def due(state: State) -> int | None:
    """Seconds until something changes by itself."""
    return decided(state).after


def later(state: State, length: int) -> State:
    """So much time passes."""
    memory, known = memory_of(state.memory), state.account
    # A suspension that nobody has seen stops no clock.
    stands = memory.rollout is not None and memory.rollout.paused is not None
    if known.blind:
        return _older(state, length, known)
    asked = tuple((one, age + length) for one, age in known.asked if age + length < TIMEOUT)
    known = known._replace(
        asked=requests(state._replace(account=known._replace(asked=asked))).asked,
        held=known.held if stands or not known.stage else min(known.held + length, OLD_ENOUGH),
        lasted=known.lasted if stands or not deadline_of(known) else min(known.lasted + length, OLD_ENOUGH),
        ago=min(known.ago + length, FRESH) if known.passing else 0,
    )
    return _older(state, length, known)


def _older(state: State, length: int, known: Account) -> State:
    old = state.seen_services
    return state._replace(
        memory=shifted(state.memory, length),
        services=aged(state.services, length, STABLE_FOR),
        seen_services=None if old is None else (aged(old[0], length, STABLE_FOR),),
        account=known,
    )


def deadline_of(known: Account) -> int:
    """Seconds that the candidate's rollout may take; 0 for any."""
    return deadline(known.plan) if known.candidate else 0


@cache
def grown(service: Service) -> Service:
    """One step towards what is wanted: pods too many go, or one that is missing becomes ready."""
    pods = service.pods[: service.replicas]
    return service._replace(pods=in_order((*pods, Pod(0))) if len(pods) < service.replicas else pods)


@cache
def healed(service: Service) -> Service:
    """New pods take the place of those that fail."""
    return service._replace(pods=tuple(pod for pod in service.pods if not pod.trouble))


@cache
def complete(service: Service) -> Service:
    """All that is wanted, ready."""
    while grown(healed(service)) != service:
        service = grown(healed(service))
    return service


def in_order(pods: tuple[Pod, ...]) -> tuple[Pod, ...]:
    return tuple(sorted(pods, reverse=True))


def with_service(state: State, revision: str, service: Service | None) -> State:
    """The state in which one service is another; the operator's view becomes an old one."""
    changed = ((one, service if one == revision else that) for one, that in state.services)
    services: Services = tuple((one, that) for one, that in changed if that is not None)
    return state._replace(services=services, seen_services=old_view(state, state.seen_services, state.services))


def old_view(state: State, seen: tuple[View] | None, value: View) -> tuple[View] | None:
    """The view that the operator had, as long as it can still matter that it is old."""
    return seen if seen is not None or not state.faults else (value,)


def requests(state: State) -> Account:
    """The account in which everybody who gets requests has just got one."""
    known = state.account
    if known.blind:
        return known
    present = [one for one, _ in state.services]
    asked = {one: age for one, age in known.asked if one in present}
    if state.gateway is not None and not known.by_hand:
        asked |= {one: 0 for one in present if state.gateway.reaches(one)}
    told = tuple(sorted(asked.items()))
    return known if told == known.asked else known._replace(asked=told)


def acted(state: State) -> State:
    """The gateway sends requests by the route as it is."""
    route, known = state.route, requests(state)
    if route is not None and not route.by_hand and known.by_hand:
        known = known._replace(by_hand=False)
    state = state._replace(gateway=route.sent if route is not None else None, account=known)
    return state._replace(account=requests(state))


def accepted(state: State) -> State:
    """The gateway has acted, and says so."""
    state, route = acted(state), state.route
    assert route is not None
    seen = old_view(state, state.seen_route, route)
    state = state._replace(route=route._replace(answer="accepted"), seen_route=seen)
    known = state.account
    if route.by_hand or known.blind or not known.candidate:
        return state
    stage = stage_of(route.sent, known.candidate, known.plan)
    if stage != known.stage:
        known = known._replace(stage=stage, held=0, passing=False, ago=0, earned=max(stage, known.earned))
    return state._replace(account=known)
