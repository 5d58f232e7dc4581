"""Orders by people: annotations that name the revision they are for. A value is carried out once, when it comes.

``serin.dev/abort: fraud-v13-1a2b3c4d#anna/2026-11-20T22:10:05Z``: what follows the ``#`` makes an order another one
than the last of its kind, and tells who gave it. An order for a revision that is not the one it is for any more is
refused: a late one cannot hit the wrong version. The annotations are read and never written; ``status.handled`` keeps
what became of the last order of each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from serin.analysis.verdict import anew
from serin.api.group import GROUP
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import Handled
from serin.api.status import Outcome
from serin.api.status import Retiring
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.aim import awaits_approval
from serin.rollout.course import crowd
from serin.rollout.decision import Event
from serin.rollout.lost import forgotten
from serin.rollout.memory import TAKEN_BACK
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.pause import pause
from serin.rollout.pause import resume
from serin.rollout.pause import seen
from serin.rollout.revision import version_in
from serin.rollout.steps import skip

VALUE_LENGTH = 512


class Verb(StrEnum):
    """What can be ordered, in the sequence in which orders given together are carried out.

    Nobody knows which came first, so the most careful one counts: what ends a rollout first, and a pause last.
    """

    ABORT = "abort"
    UNDO = "undo"
    RETRY = "retry"
    RESUME = "resume"
    APPROVE = "approve"
    PROMOTE = "promote"
    PAUSE = "pause"

    @property
    def annotation(self) -> str:
        """The annotation by which it is given."""
        return f"{GROUP}/{self.value}"


@dataclass(frozen=True, slots=True)
class Order:
    """One order, as its annotation says it."""

    verb: Verb
    value: str

    @property
    def revision(self) -> str:
        """Name of the revision it is for."""
        return self.value.partition("#")[0].strip()

    @property
    def by(self) -> str | None:
        """Who gave it, where the command line wrote it."""
        who, slash, _ = self.value.partition("#")[2].partition("/")
        return who or None if slash else None


@dataclass(frozen=True, slots=True)
class Moment:
    """What an order is carried out upon, as far as that takes no spec."""

    observed: Observed
    now: datetime


@dataclass(frozen=True, slots=True)
class Scene(Moment):
    """What an order is carried out upon."""

    spec: ModelDeploymentSpec
    aborted: frozenset[str]
    """Revisions for which abort was given together with it."""


class Refused(Exception):  # noqa: N818 (an answer, not an error)
    """The order makes no sense now; the words say why and what would."""


Carried = tuple[Memory, str]
"""What the operator remembers afterwards, and what was done in words."""


def annotated(annotations: Mapping[str, str]) -> dict[str, str]:
    """The values of the order annotations, by verb."""
    return {verb.value: annotations[verb.annotation] for verb in Verb if annotations.get(verb.annotation)}


def ordered(verb: Verb, revision: str, values: Mapping[str, str], handled: Mapping[str, Handled]) -> bool:
    """Whether there is an order of this kind for the revision that is not handled yet."""
    return any(order.verb is verb and order.revision == revision for order in _new(values, handled))


def carry_out(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """Everything that was ordered and not handled yet, and what became of it."""
    orders = tuple(_new(observed.orders, memory.handled))
    scene = Scene(observed, now, spec, frozenset(one.revision for one in orders if one.verb is Verb.ABORT))
    for order in orders:
        memory = _carried(memory, order, partial(_DO[order.verb], memory, order, scene), now)
    return memory


def abort(memory: Memory, observed: Observed, now: datetime) -> Memory:
    """Of what was ordered only that: it takes no spec, and waits for none that can be read."""
    for order in _new(observed.orders, memory.handled):
        if order.verb is Verb.ABORT:
            memory = _carried(memory, order, partial(_abort, memory, order, Moment(observed, now)), now)
    return memory


def _carried(memory: Memory, order: Order, do: Callable[[], Carried], now: datetime) -> Memory:
    try:
        memory, message = do()
        result = "Done"
    except Refused as refusal:
        message, result = str(refusal), "Refused"
    told = Handled.model_validate(
        {"value": order.value, "at": now, "by": order.by, "result": result, "message": message}
    )
    return replace(memory, handled={**memory.handled, order.verb.value: told})


def _new(values: Mapping[str, str], handled: Mapping[str, Handled]) -> Iterator[Order]:
    for verb in Verb if values else ():
        value = values.get(verb.value, "")[:VALUE_LENGTH]
        known = handled.get(verb.value)
        if value and (known is None or known.value != value):
            yield Order(verb, value)


def _under_way(memory: Memory, order: Order) -> tuple[Revision, RolloutStatus]:
    """The rollout that the order is for."""
    candidate, rollout, stable = memory.candidate, memory.rollout, memory.stable
    if candidate is None or rollout is None:
        if stable is not None and stable.revision == order.revision:
            raise Refused(f"no rollout is running: {stable.version} is in use already")
        raise Refused("no rollout is running")
    if candidate.revision != order.revision:
        raise Refused(f"the candidate is {candidate.version} ({candidate.revision}), not {order.revision or 'nothing'}")
    return candidate, rollout


def _alone(candidate: Revision, memory: Memory, observed: Observed, first: str) -> str:
    """Why nothing can be done about what is in use: there is nothing, or the status does not remember it."""
    used = forgotten(memory, observed)
    if used is None:
        return f"{candidate.version} is the first version: {first}"
    return f"the status was lost, and by the route {version_in(used)} is in use ({used}): declare what shall serve"


def _abort(memory: Memory, order: Order, scene: Moment) -> Carried:
    candidate, _ = _under_way(memory, order)
    if memory.stable is None:
        raise Refused(_alone(candidate, memory, scene.observed, "there is none to go back to"))
    by = f" ({order.by})" if order.by else ""
    ended = memory.reject(
        Reason.ABORTED, f"aborted by order{by}", scene.observed.serving.route, scene.now, Outcome.ABORTED
    )
    return ended, f"all traffic goes to {memory.stable.version}; {candidate.version} is rejected until it is retried"


def _undo(memory: Memory, order: Order, scene: Scene) -> Carried:
    stable, target = memory.stable, memory.previous or memory.fallback
    if stable is None or stable.revision != order.revision:
        in_use = f"{stable.version} ({stable.revision}) is in use" if stable is not None else "nothing is in use yet"
        raise Refused(f"{in_use}, not {order.revision or 'nothing'}")
    if memory.candidate is not None:
        raise Refused(f"a rollout of {memory.candidate.version} is running: abort it first")
    if target is None:
        raise Refused("no revision before this one is known; declare the version that shall serve")
    rejection = memory.rejection(target.revision)
    if rejection is not None:
        raise Refused(f"{target.version} is rejected ({rejection.message}): retry it first, or declare another version")
    serving = scene.observed.serving
    ready = serving.health(target.revision).ready
    # Where nobody else answers one of them is better than none.
    least = crowd(scene.spec, target.floor) if serving.health(stable.revision).ready > 0 else 1
    warm = memory.previous is not None and ready >= least
    if not (warm and serving.route.knows(target.revision)):
        return memory.go_back(target, scene.now), f"{target.version} gets all traffic as soon as it is ready"
    back = target.model_copy(update={"since": scene.now, "goes_at": None})
    memory = memory.undone(stable, scene.now).forgive(target.revision)
    draining = tuple(one for one in memory.retiring if one.revision != back.revision)
    memory = replace(memory, stable=back, previous=None, fallback=None, retiring=draining)
    memory = memory.leave(Retiring(revision=stable.revision))
    told = Event("Warning", Reason.UNDONE, f"{stable.version} {TAKEN_BACK}; {target.version} serves")
    return memory.tell(told), f"all traffic goes to {target.version}; {stable.version} is rejected until it is retried"


def _retry(memory: Memory, order: Order, scene: Scene) -> Carried:
    rejection = memory.rejection(order.revision)
    if rejection is None:
        raise Refused(f"{order.revision or 'nothing'} is not among the rejected revisions")
    if order.revision in scene.aborted:
        # Whichever came first: tried again, it would get requests that somebody wanted to take from it.
        raise Refused("it was ordered together with abort, which counts: order it again")
    return memory.forgive(order.revision), f"{rejection.version} is tried again where it is what is declared"


def _pause(memory: Memory, order: Order, scene: Scene) -> Carried:
    candidate, rollout = _under_way(memory, order)
    if rollout.paused is not None:
        raise Refused(f"the rollout stands still already: {rollout.paused.message}")
    by = f" by {order.by}" if order.by else ""
    stopped = pause(rollout, Reason.PAUSED, f"paused{by}", scene.now)
    return replace(memory, rollout=stopped), f"{candidate.version} stays at {rollout.weight} % until it is resumed"


def _resume(memory: Memory, order: Order, scene: Scene) -> Carried:
    candidate, rollout = _under_way(memory, order)
    if rollout.paused is None:
        raise Refused("the rollout is not paused")
    analysis, checks = rollout.course.analysis, memory.analysis
    if seen(rollout.paused):
        checks = anew(analysis, checks) if analysis is not None else ()
    going = replace(memory, rollout=resume(rollout, scene.now), analysis=checks)
    return going, f"the rollout of {candidate.version} goes on"


def _approve(memory: Memory, order: Order, scene: Scene) -> Carried:
    _, rollout = _under_way(memory, order)
    if not awaits_approval(rollout):
        raise Refused(f"step {rollout.progress} waits for no approval")
    approved = rollout.model_copy(update={"approved_step": rollout.step})
    return replace(memory, rollout=approved), f"step {rollout.progress} is approved"


def _promote(memory: Memory, order: Order, scene: Scene) -> Carried:
    candidate, rollout = _under_way(memory, order)
    if memory.stable is None:
        raise Refused(_alone(candidate, memory, scene.observed, "it gets all traffic as soon as it is ready"))
    return replace(
        memory, rollout=skip(resume(rollout, scene.now))
    ), f"{candidate.version} gets all traffic as soon as its replicas are ready"


_DO: dict[Verb, Callable[[Memory, Order, Scene], Carried]] = {
    Verb.ABORT: _abort,
    Verb.UNDO: _undo,
    Verb.RETRY: _retry,
    Verb.PAUSE: _pause,
    Verb.RESUME: _resume,
    Verb.APPROVE: _approve,
    Verb.PROMOTE: _promote,
}
