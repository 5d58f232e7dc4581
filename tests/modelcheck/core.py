"""The real ``decide`` on canonical states: each question is asked once, each answer is checked (``scene.check``)."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from functools import cached_property
from functools import lru_cache
from typing import Any
from typing import NamedTuple

from serin.analysis.checks import Measurement
from serin.analysis.checks import Number
from serin.analysis.checks import Unknown
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.status import Course
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.api.status import Resolved
from serin.rollout.decide import decide
from serin.rollout.decision import Decision
from serin.rollout.looks import Look as RealLook
from serin.rollout.looks import next_look
from serin.rollout.observed import Declared
from serin.rollout.observed import Health
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.observed import ServingState
from serin.rollout.revision import revision_name
from tests.modelcheck.state import NOW
from tests.modelcheck.state import LiveRoute
from tests.modelcheck.state import Measured
from tests.modelcheck.state import Parent
from tests.modelcheck.state import Sent
from tests.modelcheck.state import Services
from tests.modelcheck.state import canonical
from tests.modelcheck.state import health
from tests.modelcheck.state import memory_of
from tests.modelcheck.state import observed_route
from tests.unit.rollout.scene import PLATFORM
from tests.unit.rollout.scene import check
from tests.unit.rollout.scene import declared
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import spec

NAMESPACE = "payments"
REPLICAS = 2
TIMEOUT = 10
STABLE_FOR = 10
# Nothing is held, and no rollout lasts, longer than this.
OLD_ENOUGH = 60
# Between two looks are 10 s, and one may be late by a minute: what was found before says nothing of now.
FRESH = 70
VERSIONS = (1, 2, 3)
DOWN = Problem(Reason.REGISTRY_UNAVAILABLE, "the registry does not answer")

CHECK = "drift"
JUDGED = {"every": "10s", "checks": [{"name": CHECK, "query": "drift", "atMost": "1"}]}
MEASURED: dict[Measured, Measurement] = {
    Measured.GOOD: Number(0.0),
    Measured.BAD: Number(2.0),
    Measured.NOTHING: Unknown("it does not answer"),
}

# Everything a rollout can have, in few steps. Stages differ in what they give, so that checks can tell them apart.
PLANS: dict[str, dict[str, Any]] = {
    "at once": {},
    "one step": {"steps": [{"weight": 50, "hold": "20s"}]},
    "whole": {
        "steps": [
            {"weight": 0, "mirror": 60, "hold": "10s"},
            {"weight": 50, "match": {"headers": {"x-cohort": "beta"}}, "hold": "10s", "approval": True},
        ],
        "bake": "20s",
    },
    "hold": {"steps": [{"weight": 50, "hold": "20s"}], "bake": "10s", "deadline": "30s", "onInconclusive": "Hold"},
    "roll back": {"steps": [{"weight": 50, "hold": "20s"}], "deadline": "30s", "onInconclusive": "Rollback"},
    "promote": {"steps": [{"weight": 50, "hold": "40s"}], "deadline": "30s", "onInconclusive": "Promote"},
    "judged": {"steps": [{"weight": 50, "hold": "10s"}], "bake": "10s", "analysis": JUDGED},
    "judged, frozen": {"steps": [{"weight": 50, "hold": "10s"}], "analysis": JUDGED, "onFailure": "Freeze"},
    "approved": {
        "steps": [{"weight": 20, "hold": "10s", "approval": True}, {"weight": 100, "hold": "10s"}],
        "deadline": "40s",
        "onInconclusive": "Promote",
    },
}


class Verdict(NamedTuple):
    """A decision, as far as the modelled cluster carries it out."""

    memory: int
    route: Sent | None
    sizes: tuple[tuple[str, int], ...]
    """Replicas of each revision that shall run."""
    names: frozenset[str]
    """Revisions that must not be removed."""
    touches: bool
    may_wait: bool
    after: int | None
    """Seconds until the next moment at which anything may change by itself."""
    ended: tuple[tuple[str, Outcome], ...]
    """Rollouts that ended with it, newest first."""
    phase: Phase


@cache
def spec_of(version: int, plan: str, *, suspended: bool) -> ModelDeploymentSpec:
    """The declaration."""
    rollout = {"readiness": {"stableFor": f"{STABLE_FOR}s"}, "keepPrevious": "30s", **PLANS[plan]}
    return spec(
        version,
        serving={"minReplicas": REPLICAS, "startupDeadline": "60s"},
        traffic={"timeout": f"{TIMEOUT}s"},
        rollout=rollout,
        suspend=suspended,
    )


@cache
def said_of(version: int, plan: str, *, suspended: bool) -> tuple[Resolved, Declared]:
    """What the registry says of a declaration, and the declaration of its rollout."""
    return resolved(version), declared(spec_of(version, plan, suspended=suspended))


@cache
def course(plan: str) -> Course:
    """What the status says of a plan."""
    return declared(spec_of(1, plan, suspended=False)).course


@cache
def deadline(plan: str) -> int:
    """Seconds; 0 for none."""
    return int(seconds(course(plan).deadline or "0s"))


@cache
def name(version: int) -> str:
    """The revision of a version."""
    named = revision_name("fraud", NAMESPACE, resolved(version), spec_of(version, "at once", suspended=False).serving)
    assert isinstance(named, str)
    return named


def judged(plan: str) -> bool:
    """Whether the plan has checks."""
    return course(plan).analysis is not None


@cache
def look_due(memory: int) -> bool:
    """Whether the candidate is to be judged now."""
    due = next_look(memory_of(memory).rollout)
    return due is not None and due <= NOW


class Situation(NamedTuple):
    """What the operator sees beside what it remembers. Equal to every other that looks alike."""

    parent: Parent
    route: LiveRoute | None
    healths: tuple[tuple[str, Health], ...]
    down: bool
    look: tuple[datetime, Measured] | None
    """Since when is measured, and what, where a look is due."""


@cache
def verdict(
    parent: Parent,
    memory: int,
    route: LiveRoute | None,
    services: Services,
    down: bool,
    measured: Measured = Measured.GOOD,
) -> Verdict:
    """What is decided. Raises AssertionError where the decision breaks what must hold of every one."""
    healths = tuple((name, health(service)) for name, service in services)
    seen = None if route is None else route._replace(by_hand=False)
    return _verdict(Situation(parent, seen, healths, down, _look(memory, measured)), memory)


@cache
def _verdict(situation: Situation, memory: int) -> Verdict:
    first = _observed(situation, memory_of(memory))
    asked: ModelDeploymentStatus | None = None
    written: Written | None = None

    def once(observed: Observed, now: datetime) -> Decision:
        """What follows from a memory is asked for once as it is; the status that follows is that of many memories."""
        nonlocal asked, written
        if observed is first:
            return decide(observed, now)
        if written is None or asked is not observed.status:
            asked, written = observed.status, _known(Written(observed.status))
        return _decided(situation, written, now)

    decision = check(first, NOW, once)
    plan, planned = decision.plan, decision.plan.route if decision.plan is not None else None
    after = decision.look_again_at
    return Verdict(
        memory=written.number if written is not None else canonical(decision.status),
        route=Sent(planned.weights, planned.matches, planned.mirror) if planned is not None else None,
        sizes=tuple((one.revision, one.min_replicas) for one in plan.revisions) if plan is not None else (),
        names=plan.names if plan is not None else frozenset(),
        touches=plan is not None,
        may_wait=decision.may_wait,
        after=None if after is None else round((after - NOW).total_seconds()),
        ended=tuple((entry.revision, entry.outcome) for entry in decision.status.history),
        phase=decision.status.phase,
    )


def _look(memory: int, measured: Measured) -> tuple[datetime, Measured] | None:
    rollout = memory_of(memory).rollout
    if rollout is None or rollout.step_started_at is None or not look_due(memory) or measured is Measured.LATE:
        return None
    return rollout.step_started_at, measured


def _observed(situation: Situation, status: ModelDeploymentStatus) -> Observed:
    parent, look = situation.parent, situation.look
    declaration = spec_of(parent.version, parent.plan, suspended=parent.suspended)
    target, rollout = said_of(parent.version, parent.plan, suspended=parent.suspended)
    return Observed(
        name="fraud",
        namespace=NAMESPACE,
        uid="uid-1",
        generation=1,
        spec=declaration,
        status=status,
        target=target,
        registry_down=DOWN if situation.down else None,
        rollout=rollout,
        orders={order.verb: order.value for order in parent.orders},
        serving=ServingState(revisions=dict(situation.healths), route=observed_route(situation.route)),
        platform=PLATFORM,
        look=RealLook(since=look[0], at=NOW, measured={CHECK: MEASURED[look[1]]}) if look is not None else None,
    )


def forget() -> None:
    """Nothing is decided yet: the core is another one now."""
    for decided in (verdict, _verdict, _decided):
        decided.cache_clear()


class Written:
    """A status, equal to every other that reads the same."""

    def __init__(self, status: ModelDeploymentStatus) -> None:
        self.status = status
        # By what differs: where two that are unequal have the same, all of both is compared.
        rollout, resolved = status.rollout, status.resolved
        course = (
            (
                rollout.step_started_at,
                rollout.trial_since,
                rollout.waiting_since,
                rollout.deadline_at,
                rollout.had_traffic,
            )
            if rollout is not None
            else None
        )
        roles = (
            (one.revision, one.since, one.ready, one.floor_until, one.goes_at) if one is not None else None
            for one in (status.stable, status.candidate, status.previous, status.fallback)
        )
        self._hash = hash(
            (
                status.message,
                tuple(condition.message for condition in status.conditions),
                course,
                tuple(roles),
                tuple(one.drained_at for one in status.retiring),
                tuple((one.revision, one.ended_at) for one in status.history),
                tuple((one.revision, one.at) for one in status.rejected),
                tuple(status.handled),
                tuple(one.verdict for one in status.analysis),
                resolved.resolved_at if resolved is not None else None,
            )
        )

    @cached_property
    def number(self) -> int:
        """Its number as a memory."""
        return canonical(self.status)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and self.status == other.status

    def __hash__(self) -> int:
        return self._hash


@cache
def _known(written: Written) -> Written:
    """The first of those that are equal."""
    return written


@lru_cache(maxsize=10_000)
def _decided(situation: Situation, written: Written, now: datetime) -> Decision:
    return decide(_observed(situation, written.status), now)
