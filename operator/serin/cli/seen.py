"""A ModelDeployment as the API server tells of it, read so that nothing in it can stop the reader.

The command line may be older or newer than the operator that wrote the status, so no model of the API validates it
here: a phase or reason this version does not know is shown as it stands, and what is missing is absent. Texts lose
their control characters, and those that turn the direction of what follows: some come from the logs of pods, and are
shown on a terminal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serin.cli import times

Json = dict[str, Any]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
ALL = 100


def text(value: object) -> str:
    """One line of plain text; "" for nothing."""
    return "" if value is None else _CONTROL.sub(" ", str(value)).strip()


def record(value: object) -> Json:
    """The mapping; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[Json]:
    """The mappings of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Role:
    """A revision that is deployed."""

    revision: str
    version: str
    since: datetime | None
    replicas: int
    ready: int
    goes_at: datetime | None
    """When the replicas of a previous revision go."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a rollout."""

    weight: int
    hold: str
    mirror: int | None
    approval: bool
    match: str
    """Requests that always go to the candidate, such as ``x-cohort: beta``."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition."""

    status: str
    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Check:
    """What one check says of a candidate."""

    name: str
    verdict: str
    message: str
    dry_run: bool
    evidence: tuple[float, float] | None
    """Evidence against the candidate, and the evidence at which it fails."""
    enough_at: datetime | None
    """When enough requests will have come, at the rate so far."""


class Seen:
    """One ModelDeployment."""

    def __init__(self, body: Json) -> None:
        metadata = record(body.get("metadata"))
        self.name = text(metadata.get("name"))
        self.namespace = text(metadata.get("namespace"))
        self.uid = text(metadata.get("uid"))
        self.version = text(metadata.get("resourceVersion"))
        self.created = times.parse(metadata.get("creationTimestamp"))
        self.deleting = "deletionTimestamp" in metadata
        self.annotations = record(metadata.get("annotations"))
        self.spec = record(body.get("spec"))
        self.status = record(body.get("status"))
        self.current = self.status.get("observedGeneration") == metadata.get("generation")
        """Whether the status speaks of the spec as it is now."""
        self.generation = metadata.get("generation")
        self.phase = "Terminating" if self.deleting else text(self.status.get("phase")) or "Pending"
        self.message = text(self.status.get("message"))
        self.conditions = {
            text(one.get("type")): Condition(
                text(one.get("status")),
                text(one.get("reason")),
                text(one.get("message")),
                times.parse(one.get("lastTransitionTime")),
            )
            for one in records(self.status.get("conditions"))
        }
        self.stable = _role(self.status.get("stable"))
        self.candidate = _role(self.status.get("candidate"))
        self.previous = _role(self.status.get("previous"))
        self.fallback = _role(self.status.get("fallback"))
        self.rollout = record(self.status.get("rollout"))
        self.traffic = records(self.status.get("traffic"))
        self.checks = [_check(one) for one in records(self.status.get("analysis"))]
        """What each check says of the candidate, or said of the last one."""
        self.history = records(self.status.get("history"))
        self.rejected = records(self.status.get("rejected"))
        self.handled = {text(verb): record(order) for verb, order in record(self.status.get("handled")).items()}

    @property
    def suspended(self) -> bool:
        """Whether nothing is changed because somebody declared so."""
        return self.spec.get("suspend") is True

    @property
    def fails_requests(self) -> bool:
        """Whether requests fail for want of a ready replica: not those to a first version that is not there yet."""
        available, stable = self.conditions.get("Available"), self.stable
        if available is None or stable is None:
            return False
        # A candidate may answer its own share meanwhile, or all of it.
        parts = [one for one in self.traffic if text(one.get("revision")) == stable.revision]
        down = available.reason == "StableUnavailable" and any(whole(one.get("weight")) > 0 for one in parts)
        return available.status == "False" or down

    @property
    def verdict(self) -> str:
        """Current, InProgress, Failed or Terminating: kstatus, as Flux and Helm 4 read it, in its order."""
        if self.deleting:
            return "Terminating"
        if not self.current or self.holds("Reconciling"):
            return "InProgress"
        if self.holds("Stalled"):
            return "Failed"
        return "Current" if self.holds("Ready") else "InProgress"

    def holds(self, condition: str) -> bool:
        """Whether the condition is true."""
        return condition in self.conditions and self.conditions[condition].status == "True"

    @property
    def reason(self) -> str:
        """Why it is as it is, in the closed set's word."""
        return self.conditions["Ready"].reason if "Ready" in self.conditions else ""

    @property
    def course(self) -> Json:
        """What the running rollout goes by; without one, what is declared inline."""
        running = record(self.rollout.get("course"))
        return running or record(self.spec.get("rollout"))

    @property
    def steps(self) -> list[Step]:
        """The steps of :attr:`course`, without the last move to everything."""
        return [_step(one) for one in records(self.course.get("steps"))]

    @property
    def step(self) -> int:
        """The step whose weight the candidate has, from 1; 0 before the first and without a rollout."""
        return whole(self.rollout.get("step"))

    @property
    def awaits_approval(self) -> bool:
        """Whether the step that runs waits, or will wait, for a person's word."""
        if self.phase == "AwaitingApproval":
            return True
        steps = self.steps
        asked = 0 < self.step <= len(steps) and steps[self.step - 1].approval
        return asked and self.rollout.get("approvedStep") != self.step

    @property
    def baking(self) -> bool:
        """Whether the candidate has been through its steps and has all traffic."""
        return bool(self.rollout) and self.step > len(self.steps)

    def is_rejected(self, revision: str) -> bool:
        """Whether the revision is not tried again unless somebody asks for it."""
        return any(text(entry.get("revision")) == revision for entry in self.rejected)

    @property
    def paused(self) -> Json:
        """Why and since when the rollout is paused; empty while it is not."""
        return record(self.rollout.get("paused"))


def whole(value: object) -> int:
    """The number; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _role(value: object) -> Role | None:
    role = record(value)
    if not role:
        return None
    return Role(
        text(role.get("revision")),
        text(role.get("version")),
        times.parse(role.get("since")),
        whole(role.get("replicas")),
        whole(role.get("ready")),
        times.parse(role.get("goesAt")),
    )


def _step(step: Json) -> Step:
    # Flat in a status, under match in a spec.
    headers = record(step.get("headers")) or record(record(step.get("match")).get("headers"))
    mirror = step.get("mirror")
    return Step(
        weight=whole(step.get("weight")),
        hold=text(step.get("hold")),
        mirror=whole(mirror) if mirror is not None else None,
        approval=step.get("approval") is True,
        match=", ".join(f"{text(name)}: {text(value)}" for name, value in headers.items()),
    )


def _check(check: Json) -> Check:
    weighed, limit = _number(check.get("eValue")), _number(check.get("limit"))
    return Check(
        name=text(check.get("check")),
        verdict=text(check.get("verdict")),
        message=text(check.get("message")),
        dry_run=check.get("dryRun") is True,
        evidence=(weighed, limit) if weighed is not None and limit is not None else None,
        enough_at=times.parse(check.get("enoughAt")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
