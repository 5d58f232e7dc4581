"""What people do: a declaration, an order, a change by hand of what is declared."""

from __future__ import annotations

from collections.abc import Iterator

from serin.rollout.orders import Verb
from tests.modelcheck.core import name
from tests.modelcheck.nature import Step
from tests.modelcheck.nature import old_view
from tests.modelcheck.state import Order
from tests.modelcheck.state import Parent
from tests.modelcheck.state import State
from tests.modelcheck.state import memory_of


def people_act(state: State) -> Iterator[Step]:
    """A declaration, an order, a change by hand of what is declared."""
    parent, memory = state.parent, memory_of(state.memory)
    known = {role.revision for role in (memory.stable, memory.candidate, memory.previous, memory.fallback) if role}
    newest = max([parent.version, *(version for version in (1, 2, 3) if name(version) in known)])
    # Versions that nobody has seen yet are all alike: the next one stands for them.
    for version in range(1, min(newest + 1, 3) + 1):
        if version != parent.version:
            yield f"v{version} is declared", _edited(state, parent._replace(version=version))
    suspended = not parent.suspended
    yield f"suspend is {suspended}".lower(), _edited(state, parent._replace(suspended=suspended))
    for verb, revision in _sensible(state):
        last = next((order.number for order in parent.orders if order.verb == verb), 0)
        order = Order(verb, revision, last + 1)
        others = tuple(one for one in parent.orders if one.verb != verb)
        changed = parent._replace(orders=tuple(sorted((*others, order))))
        yield f"somebody orders {verb} {revision}", _edited(state, changed)


def _sensible(state: State) -> Iterator[tuple[str, str]]:
    """Orders that make sense, and for each verb one that is late."""
    memory = memory_of(state.memory)
    stable = memory.stable.revision if memory.stable is not None else ""
    candidate = memory.candidate.revision if memory.candidate is not None else ""
    for verb in Verb:
        if verb is Verb.RETRY:
            right = [one.revision for one in memory.rejected]
        else:
            right = [stable] if verb is Verb.UNDO else [candidate]
        for revision in right:
            if revision:
                yield verb.value, revision
    late = stable if candidate else name(3)
    yield Verb.PROMOTE.value, late
    yield Verb.ABORT.value, late


def _edited(state: State, parent: Parent) -> State:
    return state._replace(parent=parent, seen_parent=old_view(state, state.seen_parent, state.parent))
