"""The operator's rings of I/O on states: what one reconcile writes, and where it may end before it is through.

The order of the writes, and what is read live before a deletion, are those of ``controller.reconcile`` and
``controller.perform``. A write that was decided upon an old view of its object is a conflict and ends the reconcile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.modelcheck import promises
from tests.modelcheck.core import verdict
from tests.modelcheck.promises import Look
from tests.modelcheck.state import LiveRoute
from tests.modelcheck.state import Sent
from tests.modelcheck.state import Service
from tests.modelcheck.state import State

PARENT, ROUTE, SERVICES = "parent", "route", "services"


class Write(NamedTuple):
    """One write."""

    kind: str
    name: str = ""
    sent: Sent | None = None
    replicas: int = 0
    """0 to delete."""

    def __str__(self) -> str:
        if self.sent is not None:
            return "the route " + told(self.sent)
        if self.kind == PARENT:
            return "the status"
        return f"{self.name} with {self.replicas} replicas" if self.replicas else f"the deletion of {self.name}"


def told(sent: Sent) -> str:
    """A route in words."""
    words = " ".join(f"{name}={weight}" for name, weight in sent.weights)
    copies = f" copies {sent.mirror.percent} % to {sent.mirror.revision}" if sent.mirror is not None else ""
    return f"{words}{copies}{' by headers, too' if sent.matches else ''}"


def look_of(state: State) -> Look:
    """What the operator sees, as old as its views are, and what it decides."""
    parent = state.parent if state.seen_parent is None else state.seen_parent[0]
    route = state.route if state.seen_route is None else state.seen_route[0]
    services = state.services if state.seen_services is None else state.seen_services[0]
    return Look(parent, route, services, verdict(parent, state.memory, route, services, state.down, state.measured))


def synced(state: State, *stale: str) -> State:
    """The watches catch up, but for these."""
    if state.seen_parent is None and state.seen_route is None and state.seen_services is None:
        return state
    return state._replace(
        seen_parent=state.seen_parent if PARENT in stale else None,
        seen_route=state.seen_route if ROUTE in stale else None,
        seen_services=state.seen_services if SERVICES in stale else None,
    )


def reconcile(state: State) -> Iterator[tuple[State, Write | None, State]]:
    """Each write: the state before it, the write, and the state after it. The last has None for a write: the end."""
    look = look_of(state)
    for write in _writes(state, look):
        after = _apply(state, look, write)
        if after is None:
            # A conflict: the object is read, and the queue comes back to it.
            state = _read(state, write.kind)
            yield state, None, state
            return
        yield state, write, after
        state = after
    surplus = _surplus(state, look)
    if surplus:
        # Read live before anything is deleted.
        state = state._replace(seen_route=None)
        for name in surplus:
            if state.route is not None and name in dict(state.route.sent.weights):
                continue
            write = Write(SERVICES, name)
            after = _apply(state, look, write)
            if after is None:
                state = _read(state, SERVICES)
                break
            yield state, write, after
            state = after
    yield state, None, state


def _writes(state: State, look: Look) -> Iterator[Write]:
    """All but what is deleted."""
    decided, routed = look.verdict, False
    if decided.route is not None and (look.route is None or look.route.sent != decided.route):
        routed = True
        yield Write(ROUTE, sent=decided.route)
    present = dict(look.services)
    for name, replicas in decided.sizes:
        if name not in present or present[name].replicas != replicas:
            yield Write(SERVICES, name, replicas=replicas)
    if decided.memory != state.memory and not (routed and decided.may_wait):
        yield Write(PARENT)


def _surplus(state: State, look: Look) -> list[str]:
    decided = look.verdict
    routed = decided.route is not None and (look.route is None or look.route.sent != decided.route)
    if not decided.touches or (routed and decided.may_wait):
        return []
    seen = state.services if state.seen_services is None else state.seen_services[0]
    return [name for name, _ in seen if name not in decided.names]


def _apply(state: State, look: Look, write: Write) -> State | None:
    """The state after a write; None where it is a conflict."""
    if write.kind == ROUTE:
        if state.seen_route is not None:
            return None
        assert write.sent is not None
        promises.route_write(state, look, write.sent)
        return state._replace(route=LiveRoute(write.sent))
    if write.kind == PARENT:
        if state.seen_parent is not None:
            return None
        return state._replace(memory=look.verdict.memory, account=promises.status_write(state, look))
    return _apply_service(state, look, write)


def _apply_service(state: State, look: Look, write: Write) -> State | None:
    live, name = dict(state.services), write.name
    seen = dict(look.services)
    if (live.get(name) and live[name].replicas) != (seen.get(name) and seen[name].replicas):
        # Already gone is as good as deleted.
        return state if write.replicas == 0 and name not in live else None
    if write.replicas:
        promises.size_write(state, look, name, write.replicas)
        live[name] = live[name]._replace(replicas=write.replicas) if name in live else Service(write.replicas)
        seen[name] = seen[name]._replace(replicas=write.replicas) if name in seen else Service(write.replicas)
    else:
        promises.delete(state, name)
        live.pop(name)
        seen.pop(name)
    services = tuple(sorted(live.items()))
    view = None if state.seen_services is None else (tuple(sorted(seen.items())),)
    return state._replace(services=services, seen_services=None if view == (services,) else view)


def _read(state: State, kind: str) -> State:
    return state._replace(
        seen_parent=None if kind == PARENT else state.seen_parent,
        seen_route=None if kind == ROUTE else state.seen_route,
        seen_services=None if kind == SERVICES else state.seen_services,
    )
