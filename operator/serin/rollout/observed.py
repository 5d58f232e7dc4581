"""Everything there is to know about one ModelDeployment at one moment: the input of :func:`decide`.

Built by ``controller.gather`` from the caches and the registry. Absent is a value here, never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from datetime import timedelta
from functools import cached_property

from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modeldeployment import Protocol
from serin.api.reasons import Reason
from serin.api.rollout import Rollout
from serin.api.status import Course
from serin.api.status import ModelDeploymentStatus
from serin.api.status import PolicyUse
from serin.api.status import Resolved
from serin.rollout.course import course_of
from serin.rollout.looks import Look
from serin.rollout.records import Records


@dataclass(frozen=True, slots=True)
class Runtime:
    """A serving runtime that the platform team offers."""

    name: str
    server: str
    """Family of the model server, MLServer or KServe: decides how workers and the model's name are given."""
    protocol: Protocol
    model_format: str
    """The ``modelFormat`` by which the runtime is told what it loads."""
    flavors: tuple[str, ...]
    """MLflow flavors that it can load."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What the platform team set for all ModelDeployments."""

    domain: str = "example.com"
    gateways: tuple[GatewayRef, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    proxy_lag: timedelta = timedelta(0)
    """How long the proxies of a gateway may go on by an older route after the gateway accepted a newer one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands in the way, in the closed set's word and in a sentence for people."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What a pod says about itself."""

    reason: Reason
    message: str
    at: datetime | None = None
    """When a container ended, for crashes."""
    hopeless: bool = False
    """True where waiting longer cannot help, such as a second failed start."""


@dataclass(frozen=True, slots=True)
class Health:
    """One revision as its pods show it. Pods that are being deleted do not count."""

    ready_since: tuple[datetime, ...] = ()
    """For each ready replica since when, oldest first."""
    failures: tuple[Failure, ...] = ()
    without_pods: bool = False
    """True where its backend has made none, not even one that fails."""

    @property
    def ready(self) -> int:
        """Number of ready replicas."""
        return len(self.ready_since)


_NOTHING = Health()


@dataclass(frozen=True, slots=True)
class Match:
    """Requests that go to one revision whatever the weights are."""

    headers: tuple[tuple[str, str], ...]
    """Names and values that a request must all have, sorted."""
    revision: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of requests. What is answered to them is thrown away."""

    revision: str
    percent: int


@dataclass(frozen=True, slots=True)
class Route:
    """The route as it is in the cluster, and what the gateway says of it."""

    exists: bool = False
    weights: Mapping[str, int] = field(default_factory=dict)
    """Percent of each revision that the route names, zeros included."""
    matches: tuple[Match, ...] = ()
    """In the order in which they count."""
    mirror: Mirror | None = None
    accepted: bool = False
    """The gateway accepted this very generation of it."""
    pending: bool = False
    """The gateway accepted the generation that it answered for last, and has not answered for this one yet."""
    since: datetime | None = None
    """When a gateway said so last, as far as it tells."""
    timeout: str | None = None
    refusal: str | None = None
    """The gateway's own words where it refused this generation."""
    gateways: tuple[GatewayRef, ...] = ()
    """Those that it is attached to."""
    hostnames: tuple[str, ...] = ()

    @property
    def shares(self) -> dict[str, int]:
        """Percent of each revision that gets requests."""
        return {revision: weight for revision, weight in self.weights.items() if weight > 0}

    def reaches(self, revision: str) -> bool:
        """Whether any request goes to the revision by this route: by weight, by its headers, or as a copy."""
        mirrored = self.mirror is not None and self.mirror.revision == revision
        return self.weights.get(revision, 0) > 0 or mirrored or any(one.revision == revision for one in self.matches)

    def names(self, revision: str) -> bool:
        """Whether the revision occurs in the route at all."""
        return revision in self.weights or self.reaches(revision)

    def knows(self, revision: str) -> bool:
        """Whether the gateway can send requests to the revision at once: it accepted a route that names it."""
        return revision in self.weights and (self.accepted or self.reaches(revision))

    def spares(self, revision: str) -> bool:
        """Whether the gateway sends nothing new to the revision: it accepted a route that gives it nothing."""
        return not self.reaches(revision) and (self.accepted or not self.exists)

    def forgot(self, revision: str) -> bool:
        """Whether the gateway does not know the revision any more: it accepted a route that does not name it."""
        return revision not in self.weights and self.spares(revision)


@dataclass(frozen=True, slots=True)
class ServingState:
    """What a backend has of this ModelDeployment."""

    revisions: Mapping[str, Health] = field(default_factory=dict)
    route: Route = field(default_factory=Route)

    def health(self, revision: str) -> Health:
        """Health of a revision; of one that does not exist, all zeros."""
        return self.revisions.get(revision, _NOTHING)


@dataclass(frozen=True)
class Declared:
    """How a rollout that starts now would go."""

    rollout: Rollout = field(default_factory=Rollout)
    policy: PolicyUse | None = None
    """The RolloutPolicy that says so, where it is not the ModelDeployment itself."""

    @cached_property
    def course(self) -> Course:
        """What the status would keep of it."""
        return course_of(self.rollout)


@dataclass(frozen=True, slots=True)
class Observed:
    """One ModelDeployment and all that bears on it."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: ModelDeploymentSpec | Problem
    """The spec, or why it cannot be read."""
    status: ModelDeploymentStatus
    deleting: bool = False
    target: Resolved | Problem = Problem(Reason.RESOLVING, "asking the registry")
    """What version or alias stand for now, or why that is not known."""
    registry_down: Problem | None = None
    """Set while the registry does not answer although the version is known."""
    unmet: Problem | None = None
    """Set by :func:`decide`: why what is declared now cannot be met. A rollout of what was declared before holds."""
    rollout: Declared | Problem = field(default_factory=Declared)
    """How a rollout shall go, or why that is not known."""
    orders: Mapping[str, str] = field(default_factory=dict)
    """What people ordered: the values of the order annotations by verb."""
    look: Look | None = None
    """The last measurements of what the candidate does."""
    records: Records | Problem | None = None
    """What the registry has of the declared version and the stable one, where gates ask for it, or why that is not
    known."""
    serving: ServingState = field(default_factory=ServingState)
    obstacles: tuple[Problem, ...] = ()
    """What the last attempt to carry out a decision met: refusals, conflicts, missing kinds."""
    halted: Problem | None = None
    """Why nothing can be changed now: what a decision needs cannot be read, or the status not be written."""
    surplus: Problem | None = None
    """Why what is not needed any more cannot be removed, which changes nothing else."""
    platform: Platform = field(default_factory=Platform)
