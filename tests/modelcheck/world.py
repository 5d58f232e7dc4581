"""Everything that can happen next: the operator looks, pods, gateway and time go on, people act, things fail.

What goes on by itself may happen at any time and costs nothing. What people do and what fails is counted: a state knows
how much of it may still come, and that bounds the model.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.modelcheck.faults import fails
from tests.modelcheck.nature import Step
from tests.modelcheck.nature import goes_on
from tests.modelcheck.people import people_act
from tests.modelcheck.reconcile import PARENT
from tests.modelcheck.reconcile import ROUTE
from tests.modelcheck.reconcile import SERVICES
from tests.modelcheck.reconcile import reconcile
from tests.modelcheck.reconcile import synced
from tests.modelcheck.state import State


def successors(state: State) -> Iterator[Step]:
    """Everything that can happen next."""
    yield from looks(state)
    yield from goes_on(state)
    if state.people:
        yield from people_act(state._replace(people=state.people - 1))
    if state.faults:
        yield from fails(_without_idle_views(state._replace(faults=state.faults - 1)))


# the operator


def looks(state: State) -> Iterator[Step]:
    """A reconcile that comes to its end; with a fault, on old views, or one that ends at a write."""
    fresh = synced(state)
    yield "the operator looks", looked(fresh)
    if not state.faults:
        return
    fewer = state._replace(faults=state.faults - 1)
    old = [kind for kind, view in zip((PARENT, ROUTE, SERVICES), state[6:9], strict=True) if view is not None]
    for stale in _subsets(old):
        after = looked(synced(fewer, *stale))
        yield f"the operator looks, its view of {' and '.join(stale)} being old", _without_idle_views(after)
    for before, write, after in reconcile(synced(fewer)):
        if write is None:
            continue
        yield f"the operator looks and crashes after {write}", synced(after)
        if write.kind != PARENT:
            # The answer is lost: it is done, and the operator goes on without knowing.
            unknown = _without_idle_views(_unknown(before, write.kind, after))
            yield f"the operator looks and gets no answer to {write}", unknown


def looked(state: State) -> State:
    """After a reconcile that came to its end."""
    for _, _, after in reconcile(state):
        state = after
    return state


def _without_idle_views(state: State) -> State:
    """To look at an old view is a fault: where none may come any more, all views that are old are alike."""
    return state if state.faults else synced(state)


def _unknown(before: State, kind: str, after: State) -> State:
    if kind == ROUTE:
        return after._replace(seen_route=(before.route,))
    return after._replace(seen_services=(before.services,))


def _subsets(kinds: list[str]) -> Iterator[tuple[str, ...]]:
    for number in range(1, 2 ** len(kinds)):
        yield tuple(kind for place, kind in enumerate(kinds) if number >> place & 1)
