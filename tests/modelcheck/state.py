"""One state of the modelled cluster: small, immutable, and equal to every other that can only go on alike.

Time is not in it. Every moment counts from now, which is always :data:`NOW`: what lies ahead keeps its distance, what
is past keeps its age as far as anything depends on it. So a rollout that comes to the same point an hour later is the
same state, and time that passes shifts the moments (:func:`shifted`).
"""

from __future__ import annotations

from datetime import datetime
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import NamedTuple

from serin.api.analysis import CheckStatus
from serin.api.reasons import Reason
from serin.api.status import Handled
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Rejection
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.observed import Failure
from serin.rollout.observed import Health
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Route
from tests.unit.rollout.scene import PLATFORM
from tests.unit.rollout.scene import START

NOW = START
# Older than this is equally old: longer than anything that is counted from a moment in the past, which are the startup
# deadline's 60 s, and the 70 s for which a look counts.
OLD = 80
LONG_AGO = NOW - timedelta(seconds=OLD)
HOSTNAMES = (f"fraud.payments.{PLATFORM.domain}",)


class Sent(NamedTuple):
    """What a route says about requests."""

    weights: tuple[tuple[str, int], ...]
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None

    def reaches(self, name: str) -> bool:
        """Whether any request goes there."""
        return _reaches(self, name)


@cache
def _reaches(sent: Sent, name: str) -> bool:
    return Route(weights=dict(sent.weights), matches=sent.matches, mirror=sent.mirror).reaches(name)


class LiveRoute(NamedTuple):
    """The HTTPRoute as the API server has it."""

    sent: Sent
    answer: str = ""
    """What the gateway says of it: "accepted", "refused" or nothing yet."""
    by_hand: bool = False


class Pod(NamedTuple):
    """A replica: for how many seconds it has been ready, or -1 and in trouble; what it says, and how old that is."""

    ready: int
    trouble: str = ""
    at: int = 0


class Service(NamedTuple):
    """The backend's object of a revision."""

    replicas: int
    pods: tuple[Pod, ...] = ()
    """Without those that just start: to the operator they are as good as missing."""

    @property
    def ready(self) -> int:
        """Replicas that are ready."""
        return sum(pod.ready >= 0 for pod in self.pods)


class Order(NamedTuple):
    """An annotation."""

    verb: str
    revision: str
    number: int

    @property
    def value(self) -> str:
        """As it is written."""
        return f"{self.revision}#{self.number}"


class Measured(Enum):
    """What a look comes to."""

    GOOD = "good"
    BAD = "bad"
    NOTHING = "nothing"
    """The source does not answer."""
    LATE = "no more"
    """No look that is due is there: the operator has just begun, or has much to do."""


class Parent(NamedTuple):
    """The ModelDeployment without its status."""

    version: int
    plan: str
    suspended: bool = False
    orders: tuple[Order, ...] = ()


class Account(NamedTuple):
    """What the checks know by themselves, without asking the core. Of the candidate: which it is, by which plan it
    started, the stage that the gateway accepted last and for how long it has held, and the highest one."""

    candidate: str = ""
    plan: str = ""
    stage: int = 0
    held: int = 0
    earned: int = 0
    lasted: int = 0
    promote: bool = False
    """A person ordered to skip what is left."""
    failed: frozenset[str] = frozenset()
    """Revisions that were given up, by whomever."""
    passing: bool = False
    """Its last look found nothing against it, since the stage began."""
    ago: int = 0
    """How old that is."""
    asked: tuple[tuple[str, int], ...] = ()
    """For each revision how long ago it got its last request, where that one may still be on its way."""
    by_hand: bool = False
    """Somebody changed the route or deleted something: nobody has to answer for requests that go astray then."""
    blind: bool = False
    """It keeps no account: where it only matters whether everything comes to rest."""


Services = tuple[tuple[str, Service], ...]


class State(NamedTuple):
    """Everything."""

    parent: Parent
    memory: int
    """Number of the status, as far as it is remembered (:func:`memory_of`)."""
    route: LiveRoute | None = None
    services: Services = ()
    gateway: Sent | None = None
    """What the gateway really does."""
    down: bool = False
    """The registry does not answer."""
    seen_parent: tuple[Parent] | None = None
    """The operator's views, where they are older than what is and that can still matter."""
    seen_route: tuple[LiveRoute | None] | None = None
    seen_services: tuple[Services] | None = None
    account: Account = Account()
    people: int = 0
    """How often people may still do something."""
    faults: int = 0
    """How much may still go wrong."""
    measured: Measured = Measured.GOOD
    """What is measured of the candidate."""

    def service(self, name: str) -> Service | None:
        """One of the services."""
        return dict(self.services).get(name)


# canonical forms

_numbers: dict[str, int] = {}
_memories: list[ModelDeploymentStatus] = []


def memory_of(number: int) -> ModelDeploymentStatus:
    """The status of this number."""
    return _memories[number]


def canonical(status: ModelDeploymentStatus, later: int = 0) -> int:
    """Number of what is remembered, without what is only told, ``later`` seconds on."""
    resolved = status.resolved
    bare = ModelDeploymentStatus(
        resolved=resolved.model_copy(update={"resolved_at": LONG_AGO}) if resolved is not None else None,
        stable=_role(status.stable, later),
        candidate=_role(status.candidate, later),
        previous=_role(status.previous, later),
        fallback=_role(status.fallback, later),
        rollout=_rollout(status.rollout, later) if status.rollout is not None else None,
        traffic=status.traffic,
        analysis=tuple(CheckStatus(check=one.check, verdict=one.verdict) for one in status.analysis),
        retiring=tuple(one.model_copy(update={"drained_at": _due(one.drained_at, later)}) for one in status.retiring),
        rejected=tuple(
            Rejection(revision=one.revision, version=one.version, reason=Reason.ROLLED_BACK, at=LONG_AGO)
            for one in status.rejected
        ),
        handled={
            verb: Handled(value=one.value, at=LONG_AGO, result=one.result) for verb, one in status.handled.items()
        },
    )
    number = _numbers.setdefault(bare.model_dump_json(), len(_memories))
    if number == len(_memories):
        _memories.append(bare)
    return number


@cache
def shifted(number: int, later: int) -> int:
    """The same memory so many seconds later."""
    return canonical(_memories[number], later)


def _role(role: Revision | None, later: int) -> Revision | None:
    if role is None:
        return None
    moments = {"goes_at": _due(role.goes_at, later), "floor_until": _due(role.floor_until, later)}
    return role.model_copy(update={"since": LONG_AGO, "ready": 0, **moments})


def _due(moment: datetime | None, later: int) -> datetime | None:
    """A moment that is waited for: once it is past it does not matter how long."""
    return None if moment is None else max(moment - timedelta(seconds=later), NOW)


def _past(moment: datetime | None, later: int) -> datetime | None:
    """A moment whose age counts."""
    return None if moment is None else max(moment - timedelta(seconds=later), LONG_AGO)


def _rollout(rollout: RolloutStatus, later: int) -> RolloutStatus:
    changes: dict[str, object] = {
        "started_at": LONG_AGO,
        "waiting_for": "",
        "waiting_reason": None,
        "waiting_since": _past(rollout.waiting_since, later),
        "trial_since": _past(rollout.trial_since, later),
        "step_started_at": _past(rollout.step_started_at, later),
        "next_at": _due(rollout.next_at, later),
        "deadline_at": _due(rollout.deadline_at, later),
        "judged_at": _past(rollout.judged_at, later),
    }
    paused = rollout.paused
    if paused is not None:
        # Only what was left of each time counts: it is the same whenever the rollout goes on.
        began = rollout.step_started_at or paused.since
        base = max(paused.since, began)
        left = {
            "since": NOW,
            "message": "",
            "next_at": None if paused.next_at is None else max(paused.next_at - base, timedelta()) + NOW,
            "deadline_at": None if paused.deadline_at is None else paused.deadline_at - paused.since + NOW,
        }
        changes["paused"] = paused.model_copy(update=left)
        changes["step_started_at"] = None if rollout.step_started_at is None else NOW
    return rollout.model_copy(update=changes)


@cache
def health(service: Service) -> Health:
    """As the operator sees it."""
    failures = []
    for pod in service.pods:
        at = NOW - timedelta(seconds=pod.at)
        if pod.trouble == "stuck":
            failures.append(Failure(Reason.UNSCHEDULABLE, "no room"))
        elif pod.trouble:
            failures.append(Failure(Reason.LOAD_FAILED, "ended", at=at, hopeless=pod.trouble == "loop"))
    ready = sorted((pod.ready for pod in service.pods if pod.ready >= 0), reverse=True)
    return Health(
        ready_since=tuple(NOW - timedelta(seconds=age) for age in ready),
        failures=tuple(sorted(failures, key=lambda failure: not failure.hopeless)),
    )


@cache
def observed_route(route: LiveRoute | None) -> Route:
    """As the operator sees it."""
    if route is None:
        return Route()
    sent = route.sent
    return Route(
        exists=True,
        weights=dict(sent.weights),
        matches=sent.matches,
        mirror=sent.mirror,
        gateways=PLATFORM.gateways,
        hostnames=HOSTNAMES,
        accepted=route.answer == "accepted",
        refusal="no" if route.answer == "refused" else None,
    )


def aged(services: Services, later: int, ready_for: int) -> Services:
    """The pods so many seconds older. Ready for longer than ``ready_for`` is all the same."""
    return tuple((name, _aged(service, later, ready_for)) for name, service in services)


@cache
def _aged(service: Service, later: int, ready_for: int) -> Service:
    return service._replace(
        pods=tuple(
            pod._replace(
                ready=min(pod.ready + later, ready_for) if pod.ready >= 0 else -1,
                # That there is no room for it is said again and again: it is never old.
                at=min(pod.at + later, OLD) if pod.trouble not in ("", "stuck") else 0,
            )
            for pod in service.pods
        )
    )
