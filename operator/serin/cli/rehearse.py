"""What the operator would make of a declaration, played without a cluster: pods that get ready, a gateway that accepts.

The operator's own ``decide`` decides and the backend's own ``render`` and ``observe`` translate; only the world is
played, in a time of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from datetime import UTC
from datetime import datetime
from typing import Any

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.modeldeployment import Backend as BackendName
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.rollout import Rollout
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.api.status import Resolved
from serin.cli.changes import filled
from serin.cli.exits import CommandError
from serin.cli.manifest import Manifest
from serin.cli.remedies import BY_REASON
from serin.rollout.decide import decide
from serin.rollout.decision import Decision
from serin.rollout.decision import ServingPlan
from serin.rollout.observed import Declared
from serin.rollout.observed import Observed
from serin.rollout.observed import Platform
from serin.serving.backend import Backend
from serin.serving.backend import LiveObjects
from serin.serving.backend import Rendered
from serin.serving.kserve import SERVICE_SUFFIX
from serin.serving.kserve import KServe
from serin.serving.live import Live
from serin.serving.live import live
from serin.serving.pods import Replica

BACKENDS: dict[BackendName, Backend] = {BackendName.KSERVE: KServe()}
# Any moment does; a fixed one makes a rehearsal repeatable.
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
# The first deployment takes three looks; more than these are a mistake of ours.
LOOKS = 50
UID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a rehearsal ends."""

    rendered: Rendered
    revision: str
    version: str


def rehearse(manifest: Manifest, namespace: str, resolved: Resolved, platform: Platform) -> Settled:
    """The children once the declared version serves. Raises CommandError where it never would."""
    backend = BACKENDS[manifest.spec.serving.backend]
    world = LiveObjects()
    observed = _beginning(manifest.name, namespace, manifest.spec, resolved, platform)
    now = BEGINNING
    for _ in range(LOOKS):
        decision = decide(observed, now)
        _must_go_on(manifest.name, namespace, decision.status)
        stable = decision.status.stable
        if decision.plan is not None and decision.status.phase is Phase.HEALTHY and stable is not None:
            return Settled(backend.render(decision.plan, world), stable.revision, stable.version)
        before = world
        if decision.plan is not None:
            world = _carried_out(backend.render(decision.plan, world), decision.plan, world, now)
        if world == before and decision.status == observed.status:
            now = _next(decision, manifest.name)
        serving = backend.observe(manifest.name, UID, world)
        observed = replace(observed, status=decision.status, serving=serving)
    raise _never(manifest.name, observed.status)


def _beginning(
    name: str, namespace: str, spec: ModelDeploymentSpec, resolved: Resolved, platform: Platform
) -> Observed:
    return Observed(
        name=name,
        namespace=namespace,
        uid=UID,
        generation=1,
        # One that is suspended would have no children; people want to see those it will have.
        spec=spec.model_copy(update={"suspend": False}),
        status=ModelDeploymentStatus(),
        target=resolved,
        rollout=Declared(_judged(spec)),
        platform=platform,
    )


def _judged(spec: ModelDeploymentSpec) -> Rollout:
    """What the declaration says of its own judgement. The registry, which its gates would ask, is not there."""
    analysis = spec.rollout.analysis if spec.rollout is not None else None
    return Rollout(analysis=analysis)


def _must_go_on(name: str, namespace: str, status: ModelDeploymentStatus) -> None:
    """Raises CommandError where the operator would say that somebody has to do something."""
    for condition in status.conditions:
        if condition.type is ConditionType.STALLED:
            raise CommandError(
                f"{name} would not be served: {condition.reason}: {condition.message}",
                filled(BY_REASON.get(condition.reason, ""), name=name, namespace=namespace, candidate=name),
            )


def _next(decision: Decision, name: str) -> datetime:
    if decision.look_again_at is None:
        raise _never(name, decision.status)
    return decision.look_again_at


def _never(name: str, status: ModelDeploymentStatus) -> CommandError:
    return CommandError(
        f"{name} does not come to rest: {status.phase}: {status.message} (this is a bug, please report it)"
    )


def _carried_out(rendered: Rendered, plan: ServingPlan, world: LiveObjects, now: datetime) -> LiveObjects:
    """The world after the writes: objects are there, replicas ready at once, the gateway has accepted the route."""
    objects: dict[Kind, dict[str, Live]] = {kind: dict(known) for kind, known in world.objects.items()}
    for manifest in (*rendered.objects, *((rendered.route,) if rendered.route else ())):
        objects.setdefault(manifest.kind, {})[manifest.name] = live(
            manifest.kind, _stored(manifest.kind, manifest.body)
        )
    ready = {one.name: one for one in world.replicas}
    for planned in plan.revisions:
        workload = planned.revision + SERVICE_SUFFIX
        stored = {"metadata": {"name": workload, "uid": UID, "resourceVersion": "1"}, "spec": {"replicas": 0}}
        objects.setdefault(WORKLOAD, {})[workload] = live(WORKLOAD, stored)
        for number in range(planned.min_replicas):
            name = f"{workload}-{number}"
            ready.setdefault(name, Replica(planned.revision, name, ready_since=now))
    return LiveObjects(objects, tuple(ready.values()))


def _stored(kind: Kind, body: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server would have it."""
    stored = {**body, "metadata": {**body["metadata"], "uid": UID, "resourceVersion": "1", "generation": 1}}
    if kind is HTTP_ROUTE:
        accepted = [{"type": one, "status": "True", "observedGeneration": 1} for one in ("Accepted", "ResolvedRefs")]
        parents = body["spec"]["parentRefs"]
        stored["status"] = {"parents": [{"parentRef": parent, "conditions": accepted} for parent in parents]}
    return stored
