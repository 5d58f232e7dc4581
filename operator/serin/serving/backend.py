"""The contract of a serving backend: two pure functions, and what goes in and out of them.

A further backend is one more file beside ``kserve.py`` that passes the same contract tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Protocol

from serin.api.kinds import Kind
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import ServingState
from serin.serving.live import Json
from serin.serving.live import Live
from serin.serving.pods import Replica


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object that shall exist, with everything in it that is ours."""

    kind: Kind
    body: Json
    unwanted: tuple[str, ...] = ()
    """Annotations of the object as it is that must not be there. Any other that is not in the body is left alone:
    others write there, and a change may restart pods."""
    after: tuple[Kind, str] | None = None
    """Kind and name of what must be gone before the object is made anew."""

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Scale:
    """Replicas that a workload shall have, written through its scale subresource.

    The workload belongs to the backend's own controller; only its size is ours.
    """

    workload: str
    replicas: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a plan comes to. The route is apart because it is written first, and removed from first."""

    route: Manifest | None
    writes: tuple[Manifest | Scale, ...]
    """The rest in the order of its writes: revision by revision, each with its size."""

    @property
    def objects(self) -> tuple[Manifest, ...]:
        """The objects among it."""
        return tuple(one for one in self.writes if isinstance(one, Manifest))

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The sizes among it."""
        return tuple(one for one in self.writes if isinstance(one, Scale))


@dataclass(frozen=True, slots=True)
class LiveObjects:
    """The children of one ModelDeployment as the cache has them, by kind and name."""

    objects: Mapping[Kind, Mapping[str, Live]] = field(default_factory=dict)
    replicas: tuple[Replica, ...] = ()

    def of(self, kind: Kind) -> Mapping[str, Live]:
        """The children of one kind, by name."""
        return self.objects.get(kind, {})


class Backend(Protocol):
    """How one serving system carries out a plan."""

    def render(self, plan: ServingPlan, live: LiveObjects) -> Rendered:
        """The objects of the plan. ``live`` tells what exists already, for what can only be written then."""
        ...

    def observe(self, name: str, owner: str, live: LiveObjects) -> ServingState:
        """Health of each revision and traffic as it really is. ``name`` and ``owner``, its uid, are the
        ModelDeployment's."""
        ...

    def surplus(self, plan: ServingPlan, live: LiveObjects) -> tuple[tuple[Kind, Live], ...]:
        """Objects of the ModelDeployment that the plan neither renders nor keeps."""
        ...
