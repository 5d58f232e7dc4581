"""Every state that can be reached, shortest histories first, and for each whether all comes to rest from there."""

from __future__ import annotations

import gc
from collections import Counter
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field

from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.course import stages
from serin.rollout.orders import Verb
from tests.modelcheck.core import VERSIONS
from tests.modelcheck.core import course
from tests.modelcheck.core import name
from tests.modelcheck.nature import accepted
from tests.modelcheck.nature import complete
from tests.modelcheck.nature import decided
from tests.modelcheck.nature import due
from tests.modelcheck.nature import later
from tests.modelcheck.nature import with_service
from tests.modelcheck.people import people_act
from tests.modelcheck.promises import Broken
from tests.modelcheck.reconcile import synced
from tests.modelcheck.reconcile import told
from tests.modelcheck.state import Account
from tests.modelcheck.state import Measured
from tests.modelcheck.state import Order
from tests.modelcheck.state import Parent
from tests.modelcheck.state import State
from tests.modelcheck.state import canonical
from tests.modelcheck.state import memory_of
from tests.modelcheck.world import looked
from tests.modelcheck.world import successors

PATIENCE = 400
BLIND = Account(blind=True)


class Counterexample(Exception):  # noqa: N818 (a finding)
    """A promise that a history breaks; the text is the history."""


@dataclass
class Explored:
    """What was visited."""

    states: int = 0
    transitions: int = 0
    rested: int = 0
    """States from which it was followed to its rest."""
    deepest: int = 0
    complete: bool = True
    """False where it was stopped at a number of states."""
    phases: Counter[str] = field(default_factory=Counter)


def phase_of(state: State) -> Phase:
    """What the status says next."""
    return decided(state).phase


def fresh(plan: str, people: int, faults: int) -> State:
    """Nothing is there but the declaration of v1."""
    return State(Parent(1, plan), canonical(ModelDeploymentStatus()), people=people, faults=faults)


def in_use(plan: str, people: int, faults: int) -> State:
    """v1 has been in use for long, and v2 is declared."""
    state = rest(fresh(plan, 0, 0))
    return state._replace(parent=Parent(2, plan), account=Account(), people=people, faults=faults)


def alone(plan: str, people: int, faults: int) -> State:
    """v2 has its largest share, and the last replica of v1 has just gone."""
    state, last = in_use(plan, 0, 0), len(stages(course(plan)))
    while (rollout := memory_of(state.memory).rollout) is None or rollout.step < last:
        state = _by_itself(state)
    stable = state.service(name(1))
    assert stable is not None
    return with_service(state, name(1), stable._replace(pods=()))._replace(people=people, faults=faults)


def approved(plan: str, people: int, faults: int) -> State:
    """v2 waits for an approval, which has just been given."""
    state = in_use(plan, 0, 0)
    while phase_of(state) is not Phase.AWAITING_APPROVAL:
        state = _by_itself(state)
    orders = dict(people_act(state))
    return orders[f"somebody orders {Verb.APPROVE} {name(2)}"]._replace(people=people, faults=faults)


def _by_itself(state: State) -> State:
    """What comes next, without a fault and without anybody."""
    after = _works(state)
    if after != state:
        return after
    length = due(state)
    assert length is not None, f"it waits for somebody:\n{describe(state)}"
    return later(state, length)


def explore(start: State, *, most: int | None = None, rest_every: int = 1) -> Explored:
    """Visit everything. Raises Counterexample. ``most``: stop after so many states; ``rest_every``: of how many states
    one is followed to its rest."""
    with _without_collector():
        return _explore(start, most, rest_every)


@contextmanager
def _without_collector() -> Iterator[None]:
    """States have no cycles: the garbage collector would only look at all of them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _explore(start: State, most: int | None, rest_every: int) -> Explored:
    found = Explored()
    number, came = {start: 0}, [(-1, "")]
    queue = deque([(start, 0)])
    resting: set[State] = set()
    while queue:
        state, depth = queue.popleft()
        here = number[state]
        found.deepest = max(found.deepest, depth)
        try:
            found.phases[phase_of(state)] += 1
            if here % rest_every == 0:
                found.rested += 1
                rest(state, resting)
            for label, after in successors(state):
                found.transitions += 1
                if after not in number:
                    number[after] = len(came)
                    came.append((here, label))
                    queue.append((after, depth + 1))
        except (Broken, AssertionError) as broken:
            raise Counterexample(_history(start, came, here, broken)) from broken
        if most is not None and len(number) >= most:
            found.complete = False
            break
    found.states = len(number)
    return found


def rest(state: State, known: set[State] | None = None) -> State:
    """Faults end and everybody does their work: the state at rest. Raises Broken where it never comes, or is wrong.

    ``known``: states on the way of which it is known that they come to a good rest; those of this way are added.
    """
    known = set() if known is None else known
    state = synced(state._replace(people=0, faults=0, down=False, measured=Measured.GOOD, account=BLIND))
    way: set[State] = set()
    while state not in known:
        if state in way or len(way) > PATIENCE:
            # What stands still is judged all the same, again and again: it goes on when a person says so.
            answered = _answered(state) if len(way) <= PATIENCE else None
            if answered is None:
                raise Broken(f"it never comes to rest:\n{describe(state)}")
            state = answered
        way.add(state)
        after = _works(state)
        if after != state:
            state = after
            continue
        length = due(state)
        if length is not None:
            state = later(state, length)
            continue
        answered = _answered(state)
        if answered is None:
            _at_rest(state)
            break
        state = answered
    known |= way
    return state


def _works(state: State) -> State:
    """Everybody does their work once, in no time."""
    state = looked(state)
    for revision, service in state.services:
        if complete(service) != service:
            state = with_service(state, revision, complete(service))
    if state.route is not None and state.route.answer != "accepted":
        state = accepted(state)
    return looked(state)


def _answered(state: State) -> State | None:
    """A person does what is waited for; None where nobody is waited for."""
    parent, memory = state.parent, memory_of(state.memory)
    phase = phase_of(state)
    if phase is Phase.SUSPENDED:
        return state._replace(parent=parent._replace(suspended=False))
    verb = {Phase.PAUSED: "resume", Phase.AWAITING_APPROVAL: "approve"}.get(phase)
    if verb is None or memory.candidate is None:
        return None
    last = next((order.number for order in parent.orders if order.verb == verb), 0)
    others = tuple(order for order in parent.orders if order.verb != verb)
    order = Order(verb, memory.candidate.revision, last + 1)
    return state._replace(parent=parent._replace(orders=tuple(sorted((*others, order)))))


def _at_rest(state: State) -> None:
    """What rest must be: what is declared has everything, or it was given up and the one in use has."""
    memory = memory_of(state.memory)
    phase = phase_of(state)
    wanted = name(state.parent.version)
    if memory.stable is None or memory.candidate is not None or memory.rollout is not None:
        raise Broken(f"it rests in the middle of a rollout:\n{describe(state)}")
    stable = memory.stable.revision
    given_up = wanted in {one.revision for one in memory.rejected}
    if phase is not (Phase.HEALTHY if stable == wanted else Phase.ROLLED_BACK) or (stable != wanted and not given_up):
        raise Broken(f"it rests as {phase}:\n{describe(state)}")
    left = {one for one, _ in state.services} - {stable}
    shares = [one for one in state.gateway.weights if one[1]] if state.gateway is not None else []
    clean = state.gateway is not None and not state.gateway.matches and state.gateway.mirror is None
    if left or memory.retiring or shares != [(stable, 100)] or not clean:
        raise Broken(f"something of a rollout is left:\n{describe(state)}")


def _history(start: State, came: list[tuple[int, str]], last: int, broken: Exception) -> str:
    labels: list[str] = []
    while last > 0:
        last, label = came[last]
        labels.append(label)
    lines, state = [f"   {describe(start)}"], start
    for number, label in enumerate(reversed(labels), 1):
        state = dict(successors(state))[label]
        lines.append(f"{number:2} {label}\n   {describe(state)}")
    return "\n".join([*lines, f"=> {broken}"])


def describe(state: State) -> str:
    """A state in a few words."""
    text = _described(state)
    for version in VERSIONS:
        text = text.replace(name(version), f"v{version}")
    return text


def _described(state: State) -> str:
    memory, parent = memory_of(state.memory), state.parent
    roles = [
        f"{role} {revision.revision}"
        for role in ("stable", "candidate", "previous", "fallback")
        if (revision := getattr(memory, role)) is not None
    ]
    rollout = memory.rollout
    if rollout is not None:
        words = ["paused" if rollout.paused else "", "skip" if rollout.skip else "", "undo" if rollout.undo else ""]
        roles.append(" ".join(["step", rollout.progress, f"{rollout.weight} %", *filter(None, words)]))
    pods = [f"{one} {service.ready}/{service.replicas}" for one, service in state.services]
    route = "no route" if state.route is None else f"{told(state.route.sent)} {state.route.answer}"
    orders = [f"{order.verb} {order.value}" for order in parent.orders]
    parts = [
        f"v{parent.version} declared{', suspended' if parent.suspended else ''}",
        *([f"measured: {state.measured.value}"] if state.measured is not Measured.GOOD else []),
        *roles,
        "route " + route,
        "pods " + (" ".join(pods) or "none"),
        *(["gave up " + " ".join(one.revision for one in memory.rejected)] if memory.rejected else []),
        *(["ordered " + " ".join(orders)] if orders else []),
    ]
    return "; ".join(parts)
