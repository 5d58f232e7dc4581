"""From roles to what shall run: replicas of each revision, and the route with its weights."""

from __future__ import annotations

from datetime import datetime

from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import Revision
from serin.rollout.decision import PlannedRevision
from serin.rollout.decision import PlannedRoute
from serin.rollout.decision import ServingPlan
from serin.rollout.memory import Memory
from serin.rollout.naming import weights
from serin.rollout.observed import Observed
from serin.rollout.steps import replicas_for
from serin.rollout.steps import weight_of


def plan_of(memory: Memory, observed: Observed, spec: ModelDeploymentSpec, now: datetime) -> ServingPlan:
    """Everything that shall exist now."""
    revisions = []
    for role in memory.revisions():
        least = spec.serving.min_replicas
        if role is memory.candidate and memory.rollout is not None:
            least = replicas_for(spec, memory.rollout, now)
        revisions.append(_planned(role, spec, least))
    named = weights(memory, observed, weight_of(memory, observed, spec, now), now)
    return ServingPlan(
        name=observed.name,
        namespace=observed.namespace,
        uid=observed.uid,
        revisions=tuple(revisions),
        # Without a gateway a route that exists stays as it is: it may still serve.
        route=_route(observed, spec, named) if named and gateways(observed, spec) else None,
        keep=frozenset(leaving.revision for leaving in memory.retiring),
    )


def hostnames(observed: Observed, spec: ModelDeploymentSpec) -> tuple[str, ...]:
    """Host names of the model: the declared ones, or one made from its name."""
    return spec.traffic.hostnames or (f"{observed.name}.{observed.namespace}.{observed.platform.domain}",)


def gateways(observed: Observed, spec: ModelDeploymentSpec) -> tuple[GatewayRef, ...]:
    """Gateways that carry the traffic: the declared ones, or those of the settings."""
    return spec.traffic.gateways or observed.platform.gateways


def _planned(role: Revision, spec: ModelDeploymentSpec, least: int) -> PlannedRevision:
    serving = spec.serving
    most = max(least, serving.most_replicas) if serving.most_replicas > serving.min_replicas else least
    return PlannedRevision(
        revision=role.revision,
        version=role.version,
        template=role.template,
        min_replicas=least,
        max_replicas=most,
        scaling=serving.scaling,
    )


def _route(observed: Observed, spec: ModelDeploymentSpec, named: tuple[tuple[str, int], ...]) -> PlannedRoute:
    return PlannedRoute(
        hostnames=hostnames(observed, spec),
        gateways=gateways(observed, spec),
        timeout=spec.traffic.timeout,
        weights=named,
    )
