"""What is promised, checked at every write of the operator before it takes effect.

The checks keep their own account (``state.Account``) of what was accepted, for how long it was held, who got the last
request when, and what people ordered; they ask the core for nothing but which revision is in which role.
"""

from __future__ import annotations

from typing import NamedTuple

from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import OnInconclusive
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.api.status import PlannedStep
from serin.rollout.course import ALL
from serin.rollout.course import stages
from serin.rollout.health import capacity
from tests.modelcheck.core import FRESH
from tests.modelcheck.core import REPLICAS
from tests.modelcheck.core import TIMEOUT
from tests.modelcheck.core import Verdict
from tests.modelcheck.core import course
from tests.modelcheck.core import deadline
from tests.modelcheck.core import judged
from tests.modelcheck.core import look_due
from tests.modelcheck.state import Account
from tests.modelcheck.state import LiveRoute
from tests.modelcheck.state import Measured
from tests.modelcheck.state import Order
from tests.modelcheck.state import Parent
from tests.modelcheck.state import Sent
from tests.modelcheck.state import Services
from tests.modelcheck.state import State
from tests.modelcheck.state import memory_of

TOLD = (Phase.HEALTHY, Phase.ROLLED_BACK, Phase.BAKING)
"""Phases that say who has everything."""
GIVEN_UP = (Outcome.ROLLED_BACK, Outcome.ABORTED, Outcome.UNDONE)


class Broken(Exception):  # noqa: N818 (a finding, not an error of the model)
    """A promise was broken."""


class Look(NamedTuple):
    """One reconcile: what the operator sees, and what it decides."""

    parent: Parent
    route: LiveRoute | None
    services: Services
    verdict: Verdict


def stage_of(sent: Sent | None, candidate: str, plan: str) -> int:
    """Which stage of the plan a route is for the candidate: 0 for none, one more than there are for the end.

    Raises Broken for what no stage has.
    """
    if sent is None or not candidate or not sent.reaches(candidate):
        return 0
    given = dict(sent.weights).get(candidate, 0), sent.mirror.percent if sent.mirror is not None else None
    ahead = stages(course(plan))
    to_candidate = any(match.revision == candidate for match in sent.matches)
    if given == (ALL, None) and not to_candidate:
        return len(ahead) + 1
    for number, stage in reversed(list(enumerate(ahead, 1))):
        if (stage.weight, stage.mirror) == given:
            return number
    raise Broken(f"{given} for {candidate}, which no step has")


def _stage(plan: str, number: int) -> PlannedStep:
    ahead = stages(course(plan))
    return ahead[number - 1] if number <= len(ahead) else PlannedStep(weight=ALL)


def trial(state: State, look: Look) -> Account:
    """The account of the revision that is the candidate by this decision; of a new one it is empty."""
    after = memory_of(look.verdict.memory)
    candidate = after.candidate.revision if after.candidate is not None else ""
    known = state.account
    if known.blind or not candidate or candidate == known.candidate:
        return known
    return known._replace(
        candidate=candidate, plan=look.parent.plan, stage=0, held=0, earned=0, lasted=0, promote=False
    )


def new_orders(look: Look, memory: ModelDeploymentStatus) -> dict[str, Order]:
    """What was ordered, as the operator sees it, and is not handled yet; nothing while it is suspended."""
    if look.parent.suspended:
        return {}
    known = {verb: one.value for verb, one in memory.handled.items()}
    return {order.verb: order for order in look.parent.orders if known.get(order.verb) != order.value}


def route_write(state: State, look: Look, sent: Sent) -> None:
    """The route gives nobody what he has not earned."""
    weights, memory = dict(sent.weights), memory_of(state.memory)
    existing = dict(look.services)
    if sum(weights.values()) != ALL:
        raise Broken(f"the weights are {weights}")
    in_use = memory.stable or memory_of(look.verdict.memory).stable
    stable = in_use.revision if in_use is not None else ""
    strangers = set(weights) - set(existing) - {stable}
    if strangers:
        raise Broken(f"the route names {strangers}, which does not exist")
    _answered_on(look, memory, sent)
    reached = {name for name in weights if sent.reaches(name)} | ({sent.mirror.revision} if sent.mirror else set())
    back = _orders_kept(look, memory, sent)
    for name in reached - {stable, back}:
        _earned(state, look, sent, name)
    if memory.rollout is not None and memory.candidate is not None and memory.rollout.paused is not None:
        free = {"resume", "promote", "abort"} & set(new_orders(look, memory))
        unsuspended = memory.rollout.paused.reason is Reason.SUSPENDED and not look.parent.suspended
        given = weights.get(memory.candidate.revision, 0)
        answers = any(service.ready for name, service in look.services if name == stable)
        if answers and not free and not unsuspended and given > memory.rollout.weight and stable:
            raise Broken(f"{given} % for a rollout that is paused at {memory.rollout.weight} %")


def _answered_on(look: Look, memory: ModelDeploymentStatus, sent: Sent) -> None:
    """Requests that somebody answers do not all go to where nobody is ready, unless a person says so."""
    route, candidate = look.route, memory.candidate
    if route is None or route.by_hand or route.answer != "accepted":
        return
    if candidate is not None and _ordered(look, memory, "abort", candidate.revision):
        return
    ready = {name for name, service in look.services if service.ready}
    before, after = ({name for name, weight in one.weights if weight} & ready for one in (route.sent, sent))
    if before and not after:
        raise Broken(f"{sorted(before)} answers, and nobody will")


def _orders_kept(look: Look, memory: ModelDeploymentStatus, sent: Sent) -> str:
    """What was ordered shows in the very next write of the route. Returns whom an undo brings back at once, or ""."""
    orders, stable, candidate = new_orders(look, memory), memory.stable, memory.candidate
    abort, undo = orders.get("abort"), orders.get("undo")
    if abort and stable and candidate and abort.revision == candidate.revision and sent.reaches(candidate.revision):
        raise Broken(f"{candidate.version} is aborted and still gets requests")
    previous = memory.previous
    if undo is None or stable is None or previous is None or candidate is not None or undo.revision != stable.revision:
        return ""
    service = dict(look.services).get(previous.revision)
    known = (
        look.route is not None
        and look.route.answer == "accepted"
        and previous.revision in dict(look.route.sent.weights)
    )
    if service is None or service.ready < REPLICAS or not known:
        return ""
    if dict(sent.weights).get(previous.revision) != ALL:
        raise Broken(f"{stable.version} is undone, {previous.version} is warm and does not get everything")
    return previous.revision


def _earned(state: State, look: Look, sent: Sent, name: str) -> None:
    """A revision that is not the stable one gets requests: by which right?"""
    known, memory, after = trial(state, look), memory_of(state.memory), memory_of(look.verdict.memory)
    if known.blind:
        return
    service = dict(look.services).get(name)
    going_back = after.rollout is not None and after.rollout.undo
    going_back = going_back or any(outcome is Outcome.UNDONE for _, outcome in look.verdict.ended)
    if name in known.failed and not going_back and "retry" not in new_orders(look, memory):
        raise Broken(f"{name} failed, and gets requests")
    if service is None or service.ready == 0:
        raise Broken(f"{name} has no ready replica, and gets requests")
    if name != known.candidate:
        raise Broken(f"{name} is neither stable nor candidate, and gets requests")
    named = state.gateway is not None and name in dict(state.gateway.weights)
    if not named and look.route is not None and not known.by_hand:
        raise Broken(f"{name} gets requests before the gateway knows it")
    stage = stage_of(sent, name, known.plan)
    if stage <= known.earned:
        return
    ordered = known.promote or going_back or _ordered(look, memory, "promote", name)
    step = _stage(known.plan, stage)
    needed = min(capacity(REPLICAS, step.weight + (step.mirror or 0)), REPLICAS)
    if service.ready < needed and not (ordered and _nobody_else_answers(look, memory)):
        raise Broken(f"{name} has {service.ready} of {needed} replicas for stage {stage}")
    last = len(stages(course(known.plan))) + 1
    first = memory.stable is None
    if stage == last and (ordered or first or _late(state, look, known)):
        return
    _next(state, look, known, stage)


def _nobody_else_answers(look: Look, memory: ModelDeploymentStatus) -> bool:
    service = dict(look.services).get(memory.stable.revision) if memory.stable is not None else None
    return memory.stable is not None and (service is None or service.ready == 0)


def _next(state: State, look: Look, known: Account, stage: int) -> None:
    """The stage follows on one that was held, and approved where it asks for that."""
    memory = memory_of(state.memory)
    if stage != known.earned + 1:
        raise Broken(f"stage {stage} after stage {known.earned}")
    if known.earned == 0:
        return
    before = _stage(known.plan, known.earned)
    if judged(known.plan):
        _judged(state, known, stage)
    if known.stage != known.earned or known.held < seconds(before.hold):
        raise Broken(f"stage {stage} after stage {known.stage} has held {known.held} s of {before.hold}")
    if before.approval and not _approved(look, memory, known):
        raise Broken(f"stage {stage} without the approval that stage {known.earned} asks for")


def _judged(state: State, known: Account, stage: int) -> None:
    if look_due(state.memory) and state.measured is not Measured.LATE:
        passing = state.measured is Measured.GOOD
    else:
        passing = known.passing and known.ago < FRESH
    if not passing:
        raise Broken(f"stage {stage} without evidence, {state.measured.value} being measured")


def _approved(look: Look, memory: ModelDeploymentStatus, known: Account) -> bool:
    remembered = memory.rollout is not None and memory.rollout.approved_step == known.earned
    return remembered or _ordered(look, memory, "approve", known.candidate)


def _ordered(look: Look, memory: ModelDeploymentStatus, verb: str, name: str) -> bool:
    order = new_orders(look, memory).get(verb)
    return order is not None and order.revision == name


def _late(state: State, look: Look, known: Account) -> bool:
    """Whether the deadline is over after which everything was declared to be given, and only evidence is missing."""
    in_use = memory_of(state.memory).stable
    service = dict(look.services).get(in_use.revision) if in_use is not None else None
    if state.down or not known.earned or service is None or service.ready == 0:
        return False
    rollout = memory_of(state.memory).rollout
    if rollout is not None and rollout.weight == ALL:
        return False
    limit, declared = deadline(known.plan), course(known.plan)
    promotes = declared.on_inconclusive is OnInconclusive.PROMOTE
    asks = any(step.approval for step in declared.steps[known.earned :])
    if known.earned and _stage(known.plan, known.earned).approval:
        asks = asks or not _approved(look, memory_of(state.memory), known)
    return promotes and limit > 0 and known.lasted >= limit and not asks


def size_write(state: State, look: Look, name: str, replicas: int) -> None:
    """Nobody loses the replicas that his requests need."""
    memory = memory_of(state.memory)
    if memory.stable is not None and name == memory.stable.revision and replicas < REPLICAS:
        raise Broken(f"{replicas} replicas for the stable {name}")
    route = state.route
    share = 0 if route is None or route.by_hand else dict(route.sent.weights).get(name, 0)
    if state.gateway is not None and not state.account.by_hand and not state.account.blind:
        share = max(share, dict(state.gateway.weights).get(name, 0))
    service = state.service(name)
    if service is not None and service.ready and replicas < capacity(REPLICAS, share):
        raise Broken(f"{replicas} replicas for {name}, which gets {share} %")
    if name in state.account.failed and service is None and memory.stable is not None:
        after = memory_of(look.verdict.memory)
        if after.candidate is None or after.candidate.revision != name:
            raise Broken(f"{name} failed, and is made again")


def delete(state: State, name: str) -> None:
    """Nobody goes whom the route names, who may still have requests, or who has a role."""
    memory, route, known = memory_of(state.memory), state.route, state.account
    if route is not None and name in dict(route.sent.weights):
        raise Broken(f"{name} goes, which the route names")
    for role in (memory.stable, memory.candidate, memory.previous):
        if role is not None and role.revision == name:
            raise Broken(f"{name} goes, which has a role")
    if known.by_hand or known.blind:
        return
    if state.gateway is not None and state.gateway.reaches(name):
        raise Broken(f"{name} goes, which gets requests")
    age = dict(known.asked).get(name, TIMEOUT)
    if age < TIMEOUT:
        raise Broken(f"{name} goes {age} s after its last request")


def status_write(state: State, look: Look) -> Account:
    """What is remembered follows from what was. Returns the account after it."""
    before, after, known = memory_of(state.memory), memory_of(look.verdict.memory), trial(state, look)
    ended = look.verdict.ended
    _orders_once(look, before, after)
    if known.blind:
        return known
    if before.stable is not None and after.stable is None:
        raise Broken("the stable revision is forgotten")
    if after.stable is not None and (before.stable is None or before.stable.revision != after.stable.revision):
        _takes_over(state, look, before, after)
    failed = known.failed | {name for name, outcome in ended if outcome in GIVEN_UP}
    retried = _handled(before, after, "retry")
    failed -= {retried} if retried else set()
    if after.stable is not None:
        failed -= {after.stable.revision}
    promote = known.promote or (_handled(before, after, "promote") == known.candidate != "")
    known = _looked(state, before, after, known)
    _made_good(look, before, after)
    _in_time(look, before, after)
    _has_everything(state, look, after)
    if after.candidate is None:
        known = known._replace(candidate="", plan="", stage=0, held=0, earned=0, lasted=0, passing=False, ago=0)
        promote = False
    return known._replace(failed=failed, promote=promote)


def _looked(state: State, before: ModelDeploymentStatus, after: ModelDeploymentStatus, known: Account) -> Account:
    """What a look found is not forgotten, and one that found it bad is the last."""
    if before.rollout is None or before.rollout.skip or not look_due(state.memory) or state.measured is Measured.LATE:
        return known
    rollout = after.rollout
    if after.candidate is None or before.candidate is None or after.candidate.revision != before.candidate.revision:
        return known
    if rollout is None or rollout.judged_at is None or rollout.skip:
        return known
    stands = rollout.paused is not None and rollout.paused.reason in (Reason.FROZEN, Reason.STABLE_UNAVAILABLE)
    if state.measured is Measured.BAD and not stands:
        raise Broken(f"{after.candidate.revision} was seen to be bad, and goes on")
    return known._replace(passing=state.measured is Measured.GOOD, ago=0)


def _made_good(look: Look, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    """A failure that was put off while nobody else answered is not forgotten."""
    stands, stable = before.rollout.paused if before.rollout is not None else None, before.stable
    if stands is None or stands.failed is None or stable is None or look.parent.suspended:
        return
    if {"resume", "promote", "abort"} & set(new_orders(look, before)):
        return
    if before.candidate is None or after.candidate is None or after.candidate.revision != before.candidate.revision:
        return
    service = dict(look.services).get(stable.revision)
    if service is not None and service.ready:
        raise Broken(f"{stands.failed} was put off, and {stable.revision} is ready again")
    still = after.rollout.paused if after.rollout is not None else None
    if still is None or still.failed is None:
        raise Broken(f"{stands.failed} was put off, and is forgotten")


def _in_time(look: Look, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    """The deadline is until it has all traffic: who has it may keep it."""
    held, rollout = before.rollout, after.rollout
    if held is None or held.weight < ALL or held.step_started_at is None or rollout is None:
        return
    pauses = held.paused, rollout.paused
    late = [one is not None and one.reason is Reason.DEADLINE_EXCEEDED for one in pauses]
    skipped = rollout.skip and not held.skip and "promote" not in new_orders(look, before)
    if late == [False, True] or (skipped and not rollout.undo):
        raise Broken("it has all traffic, and the deadline strikes")


def _has_everything(state: State, look: Look, after: ModelDeploymentStatus) -> None:
    """Where the status says that one has everything, no request goes elsewhere, but by the header that names who."""
    phase, sent = look.verdict.phase, state.gateway
    alone = after.candidate if phase is Phase.BAKING else after.stable
    if phase not in TOLD or alone is None or sent is None or state.account.by_hand:
        return
    if look.route is not None and look.route.answer == "accepted" and look.route.sent != sent:
        # An old view: the route is another one by now.
        return
    copied = sent.mirror is not None and sent.mirror.revision != alone.revision
    others = [match for match in sent.matches if match.revision != alone.revision]
    matched = any(DIRECT_HEADER not in dict(match.headers) for match in others)
    if dict(sent.weights).get(alone.revision) != ALL or copied or matched:
        raise Broken(f"{phase} is told of {alone.version}, and others get requests")


def _takes_over(state: State, look: Look, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    assert after.stable is not None
    name = after.stable.revision
    if name in state.account.failed and ("retry" not in new_orders(look, before)) and before.stable is not None:
        undone = any(outcome is Outcome.UNDONE for _, outcome in look.verdict.ended)
        if not undone:
            raise Broken(f"{name} failed, and is promoted")
    undone = before.stable is not None and (before.stable.revision, Outcome.UNDONE) in look.verdict.ended
    promoted = [one for one, outcome in look.verdict.ended if outcome is Outcome.PROMOTED]
    if promoted not in ([], [name]) or not (promoted or undone):
        raise Broken(f"{name} is stable now; promoted: {promoted}, undone: {undone}")
    if promoted and before.stable is not None:
        if before.candidate is not None and before.candidate.revision != name:
            raise Broken(f"{name} is promoted, which was not the candidate")
        if not state.account.by_hand and (state.gateway is None or dict(state.gateway.weights).get(name) != ALL):
            raise Broken(f"{name} is promoted before it has everything")


def _orders_once(look: Look, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    given = {order.verb: order.value for order in look.parent.orders}
    for verb, one in after.handled.items():
        old = before.handled.get(verb)
        if old is not None and old.value == one.value:
            continue
        if given.get(verb) != one.value:
            raise Broken(f"{verb} {one.value} is handled, which nobody ordered")
        if old is not None and int(old.value.rpartition("#")[2]) >= int(one.value.rpartition("#")[2]):
            raise Broken(f"{verb} {one.value} is handled a second time")


def _handled(before: ModelDeploymentStatus, after: ModelDeploymentStatus, verb: str) -> str:
    """For which revision an order was carried out just now; "" for none."""
    old, new = before.handled.get(verb), after.handled.get(verb)
    done = new is not None and new.result == "Done" and (old is None or old.value != new.value)
    return new.value.partition("#")[0] if done and new is not None else ""
