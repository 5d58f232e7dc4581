"""The decision: one pure function from everything there is to know to everything that shall be done.

It runs alike in production, in the tests and wherever a decision is explained. Read top down, it is the life of a
rollout: what is declared, does a rollout start or end for it, has the candidate failed, may it move on, what may go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import milliseconds
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import Retiring
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.aim import needed_replicas
from serin.rollout.deadline import past_deadline
from serin.rollout.decision import Decision
from serin.rollout.decision import Event
from serin.rollout.decision import ServingPlan
from serin.rollout.evidence import lapse
from serin.rollout.evidence import weigh
from serin.rollout.gates import admit
from serin.rollout.give_up import give_up
from serin.rollout.give_up import make_good
from serin.rollout.give_up import stranded
from serin.rollout.goal import goal_of
from serin.rollout.goal import name_of
from serin.rollout.goal import pinned
from serin.rollout.health import hopeless
from serin.rollout.health import overdue
from serin.rollout.looks import next_look
from serin.rollout.lost import lost
from serin.rollout.lost import placed
from serin.rollout.lost import without_trial
from serin.rollout.memory import Memory
from serin.rollout.observed import Failure
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.orders import abort
from serin.rollout.orders import carry_out
from serin.rollout.pause import suspend
from serin.rollout.pause import unsuspend
from serin.rollout.plan import counted
from serin.rollout.plan import plan_of
from serin.rollout.plan import withdrawal_of
from serin.rollout.report import report
from serin.rollout.report import shares
from serin.rollout.retire import drain_of
from serin.rollout.retire import retire
from serin.rollout.rewind import rewind
from serin.rollout.schedule import LOOK_AGAIN
from serin.rollout.schedule import next_moment
from serin.rollout.schedule import startup_deadline
from serin.rollout.settle import settle
from serin.rollout.standing import without_replicas
from serin.rollout.steps import advance
from serin.rollout.steps import at_least
from serin.rollout.steps import earns
from serin.rollout.steps import move_of
from serin.rollout.steps import new_to_us
from serin.rollout.steps import stage_of


def decide(observed: Observed, now: datetime) -> Decision:
    """What shall be done about this ModelDeployment at this moment."""
    now = milliseconds(now)
    if observed.deleting:
        # Children go by owner reference; a deletion waits for nothing of ours.
        return Decision(status=observed.status)
    observed = rewind(observed, now)
    before = Memory.of(observed.status)
    memory = placed(before, now)
    if observed.halted is not None:
        readable = None if isinstance(observed.spec, Problem) else observed.spec
        return replace(_told(memory, observed, readable, observed.halted, now), look_again_at=now + LOOK_AGAIN)
    if isinstance(observed.spec, Problem):
        return _without_spec(memory, observed, observed.spec, now)
    spec = observed.spec
    if spec.suspend:
        suspended = _suspended()
        return _told(suspend(memory, suspended, now), observed, spec, suspended, now)
    memory = unsuspend(memory, now)

    memory = memory.pin(pinned(observed, memory, now))
    memory = carry_out(memory, observed, spec, now)
    name = name_of(observed, spec)
    goal = goal_of(name, observed, spec, memory, now)
    gone = lost(memory, goal, observed)
    if gone is not None:
        # Of a rollout beside which nobody knows what is in use not even the clocks count.
        return replace(_told(memory, observed, spec, gone, now, stands=True), look_again_at=now + LOOK_AGAIN)
    memory = without_trial(memory, observed, now)
    memory = make_good(memory, observed, now)
    goal = _held(memory, goal, observed)
    memory = _follow(memory, goal, observed, spec, now)
    memory, goal, warning = admit(memory, goal, observed, now)
    if isinstance(goal, Problem):
        observed = replace(observed, unmet=goal)
    memory = _start(memory, goal, observed, now, warning)
    memory = _give_up_failing(memory, observed, spec, now)
    memory = lapse(weigh(memory, observed, now), observed, now)
    memory = past_deadline(memory, observed, spec, now)
    memory = advance(memory, observed, spec, now)
    memory = retire(memory, observed, spec, now)
    memory = settle(memory, observed, spec, now)
    if not isinstance(goal, Problem):
        # Once a rollout has ended: it ran by what it knew, and its policy may be gone meanwhile.
        goal = goal_of(name, observed, spec, memory, now)
        observed = replace(observed, unmet=goal) if isinstance(goal, Problem) else observed
    goes_on = _freed(memory, goal)
    goal = _next(memory, goal)
    memory = memory.route(shares(memory, observed), observed.serving.route)
    move = move_of(memory, observed, spec, now)
    stage = stage_of(memory, observed, move)
    roles = counted(memory, observed, spec, stage, now)
    status = report(roles, observed, spec, goal, move, now)
    plan = plan_of(roles, observed, spec, stage, now)
    return Decision(
        status=status,
        plan=plan,
        events=(*memory.events, *_complaints(observed, status)),
        may_wait=_only_waits(before, memory, stays=_stays(plan, observed)),
        look_again_at=now
        if earns(memory, observed) or new_to_us(memory, observed) or goes_on
        else next_moment(memory, observed, spec, move, now),
    )


def _without_spec(memory: Memory, observed: Observed, problem: Problem, now: datetime) -> Decision:
    """Nothing moves forward. What takes requests from a candidate that fails, or that nobody wants, needs no spec."""
    rollout = memory.rollout
    if rollout is not None and rollout.paused is not None and rollout.paused.reason is Reason.SUSPENDED:
        return _told(memory, observed, None, problem, now)
    memory = abort(memory, observed, now)
    memory = make_good(memory, observed, now)
    failure = failure_of(memory, observed, None, now)
    if failure is not None and memory.stable is not None:
        memory = give_up(memory, observed, failure.reason, failure.message, now)
    memory = weigh(memory, observed, now)
    look = next_look(memory.rollout)
    told = _told(memory, observed, None, problem, now)
    return replace(
        told,
        plan=withdrawal_of(memory, observed, now),
        events=(*memory.events, *told.events),
        look_again_at=look if look is not None and look > now else None,
    )


def _told(
    memory: Memory,
    observed: Observed,
    spec: ModelDeploymentSpec | None,
    problem: Problem,
    now: datetime,
    *,
    stands: bool = False,
) -> Decision:
    """Nothing is changed, and why. ``stands``: nor does the rollout wait for anything of its own."""
    memory = memory.route(shares(memory, observed), observed.serving.route)
    active = None if spec is None or spec.suspend or stands else spec
    move = move_of(memory, observed, active, now) if active is not None else None
    roles = counted(memory, observed, active, stage_of(memory, observed, move), now)
    status = report(roles, observed, spec, problem, move, now)
    return Decision(status=status, events=tuple(_complaints(observed, status)))


def _stays(plan: ServingPlan, observed: Observed) -> bool:
    """Whether the route is as it shall be."""
    wanted, route = plan.route, observed.serving.route
    return wanted is None or (dict(wanted.weights), wanted.matches, wanted.mirror) == (
        route.weights,
        route.matches,
        route.mirror,
    )


def _only_waits(before: Memory, after: Memory, *, stays: bool) -> bool:
    """Whether nothing that must be remembered is new: the same roles, the same step, nothing that ended."""

    def essence(rollout: RolloutStatus | None) -> RolloutStatus | None:
        if rollout is None:
            return None
        # While the route stays, it tells that requests reach the candidate.
        return rollout.model_copy(update={"waiting_since": None, "had_traffic": rollout.had_traffic and not stays})

    same = after.lasting() == before.lasting()
    return same and (after.rollout is before.rollout or essence(after.rollout) == essence(before.rollout))


def _complaints(observed: Observed, after: ModelDeploymentStatus) -> Iterator[Event]:
    """What is stalled for a new reason is worth an event, and that the version in use lost its last replica. A
    rollback has told its own already."""
    before = observed.status
    known = {condition.reason for condition in before.conditions if condition.type is ConditionType.STALLED}
    for condition in after.conditions:
        if condition.type is ConditionType.STALLED and condition.reason not in known | {Reason.ROLLED_BACK}:
            yield Event("Warning", condition.reason, condition.message)
    if before.stable is not None and before.stable.ready > 0 and after.stable is not None and after.stable.ready == 0:
        yield Event("Warning", Reason.STABLE_UNAVAILABLE, without_replicas(after.stable, observed))


def _suspended() -> Problem:
    return Problem(Reason.SUSPENDED, "spec.suspend is true: nothing is changed until it is false")


def _held(memory: Memory, goal: Revision | Problem, observed: Observed) -> Revision | Problem:
    """What is declared, or that it has to wait: the rollout that it would end is all that serves."""
    candidate, stable = memory.candidate, memory.stable
    if isinstance(goal, Problem) or candidate is None or stable is None:
        return goal
    if _goes_on(memory, goal) or not stranded(memory, observed):
        return goal
    return Problem(
        Reason.STABLE_UNAVAILABLE,
        f"{goal.version} is declared and waits for a ready replica of {stable.version}: without one nobody could take "
        f"over from {candidate.version}; abort or promote that to go on",
    )


def _freed(memory: Memory, goal: Revision | Problem) -> bool:
    """Whether what was declared need not wait any more: the rollout before it has ended just now."""
    if isinstance(goal, Problem):
        return goal.reason is Reason.STABLE_UNAVAILABLE and memory.candidate is None
    stable = memory.stable
    tried = (stable is not None and stable.revision == goal.revision) or memory.rejection(goal.revision) is not None
    return memory.candidate is None and not tried


def _next(memory: Memory, goal: Revision | Problem) -> Revision | Problem:
    """What is declared, or that it is next: it has its gates to pass before it is tried."""
    if isinstance(goal, Revision) and _freed(memory, goal):
        return Problem(Reason.RESOLVING, f"{goal.version} is declared and comes next")
    return goal


def _goes_on(memory: Memory, goal: Revision) -> bool:
    """Whether the rollout that runs, if one does, stays as it is with this declaration."""
    if memory.rollout is not None and memory.rollout.undo:
        # What is in use is what a person wants to be rid of: that comes before anything else that is declared.
        return True
    return memory.candidate is None or memory.candidate.revision == goal.revision


def _follow(
    memory: Memory, goal: Revision | Problem, observed: Observed, spec: ModelDeploymentSpec, now: datetime
) -> Memory:
    """End a rollout that is not the declared revision's. Without a goal everything stays."""
    candidate, stable, route = memory.candidate, memory.stable, observed.serving.route
    if isinstance(goal, Problem) or candidate is None or _goes_on(memory, goal):
        return memory
    if stable is None and candidate.revision in route.weights:
        # The first version already has the traffic, only the record of it is missing.
        return memory.promote(now, drain_of(observed, spec))
    if stable is not None and stable.revision == goal.revision:
        return memory.end(Outcome.REVERTED, Reason.REVERTED, f"{goal.version} was declared again", route, now)
    return memory.end(Outcome.SUPERSEDED, Reason.SUPERSEDED, f"{goal.version} was declared", route, now)


def _start(memory: Memory, goal: Revision | Problem, observed: Observed, now: datetime, warning: str) -> Memory:
    """A rollout of the declared revision begins, where it is not in use and may be."""
    if isinstance(goal, Problem) or isinstance(observed.rollout, Problem):
        return memory
    settled = memory.stable is not None and memory.stable.revision == goal.revision
    if settled or memory.candidate is not None or memory.rejection(goal.revision) is not None:
        return memory
    if memory.stable is None:
        # Of a rollout that nobody remembers: what it was given is answered.
        for name in observed.serving.route.weights:
            memory = memory if name == goal.revision else memory.leave(Retiring(revision=name))
    memory = memory.start(goal.model_copy(update={"since": now}), observed.rollout, now)
    if not warning or memory.rollout is None:
        return memory
    warned = replace(memory, rollout=memory.rollout.model_copy(update={"warning": warning}))
    return warned.tell(Event("Warning", Reason.SIGNATURE_INCOMPATIBLE, f"{goal.version}: {warning}"))


def _give_up_failing(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> Memory:
    """Roll back a candidate that cannot start or that crashed. Without an incumbent there is nothing to roll back to:
    the first version keeps trying, and the status says why it is not ready."""
    if memory.stable is None:
        return memory
    failure = failure_of(memory, observed, spec, now)
    if failure is None:
        return memory
    return give_up(memory, observed, failure.reason, failure.message, now)


def failure_of(memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, now: datetime) -> Failure | None:
    """Why the candidate is given up, in its own pods' words where they have any; None while there is hope."""
    if memory.candidate is None or memory.rollout is None:
        return None
    health = observed.serving.health(memory.candidate.revision)
    # Pods of a first try may be older than the rollout's record: their operator may have crashed before it wrote that.
    tried = any(entry.revision == memory.candidate.revision for entry in memory.history)
    failure = hopeless(health, memory.rollout.trial_since, memory.rollout.started_at if tried else None)
    if failure is not None or spec is None:
        return failure
    deadline = startup_deadline(memory, spec)
    if deadline is None or now < deadline:
        return None
    # While nobody looked the deadline may have passed and the replicas have become ready: then it was met.
    missing = health.ready < at_least(memory, observed, needed_replicas(spec, memory.rollout, now))
    # Its object may never have been made: refused, or in the way of an older one that is still being deleted.
    made = memory.candidate.revision in observed.serving.revisions
    return overdue(health, spec.serving.startup_deadline) if missing and made else None
