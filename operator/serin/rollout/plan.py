"""From roles to what shall run: replicas of each revision, and the route with its weights."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modeldeployment import Traffic
from serin.api.status import Revision
from serin.rollout.aim import Aim
from serin.rollout.aim import needed
from serin.rollout.aim import replicas_for
from serin.rollout.course import crowd
from serin.rollout.decision import PlannedRevision
from serin.rollout.decision import PlannedRoute
from serin.rollout.decision import ServingPlan
from serin.rollout.health import capacity
from serin.rollout.memory import Memory
from serin.rollout.naming import matches
from serin.rollout.naming import mirror
from serin.rollout.naming import weights
from serin.rollout.observed import Observed
from serin.rollout.steps import routed


def plan_of(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec, stage: Aim | None, now: datetime
) -> ServingPlan:
    """Everything that shall exist now, of the roles as they are ``counted``, with the requests routed by ``stage``."""
    return ServingPlan(
        name=observed.name,
        namespace=observed.namespace,
        uid=observed.uid,
        revisions=tuple(_planned(role, spec) for role in memory.revisions()),
        route=_route(memory, observed, spec, stage, now),
        keep=frozenset(leaving.revision for leaving in memory.retiring),
    )


def withdrawal_of(memory: Memory, observed: Observed, now: datetime) -> ServingPlan | None:
    """The route without what was given up, where no spec says what else shall be: all the rest stays as it is."""
    stable, live = memory.stable, observed.serving.route
    if stable is None or memory.candidate is not None or not any(live.reaches(old.revision) for old in memory.retiring):
        return None
    return ServingPlan(
        name=observed.name,
        namespace=observed.namespace,
        uid=observed.uid,
        route=PlannedRoute(
            hostnames=live.hostnames,
            gateways=live.gateways,
            timeout=live.timeout or Traffic().timeout,
            weights=weights(memory, observed, 0, now),
        ),
        keep=frozenset({one.revision for one in memory.revisions()} | {old.revision for old in memory.retiring}),
    )


def counted(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec | None, stage: Aim | None, now: datetime
) -> Memory:
    """Each role with the replicas that it shall have at least for ``stage``, and those that are ready. Without a spec,
    as while nothing is carried out, it shall have as many as before, whatever falls due."""

    def count(role: Revision | None) -> Revision | None:
        if role is None:
            return None
        replicas = role.replicas
        if spec is not None:
            replicas = _least(spec, memory, observed, role, stage, now)
        ready = observed.serving.health(role.revision).ready
        if (replicas, ready) == (role.replicas, role.ready):
            return role
        return role.model_copy(update={"replicas": replicas, "ready": ready})

    stable, candidate, previous = count(memory.stable), count(memory.candidate), count(memory.previous)
    if stable is memory.stable and candidate is memory.candidate and previous is memory.previous:
        return memory
    return replace(memory, stable=stable, candidate=candidate, previous=previous)


def _least(
    spec: ModelDeploymentSpec, memory: Memory, observed: Observed, role: Revision, stage: Aim | None, now: datetime
) -> int:
    """Replicas that a revision shall have at least. Those that may have to take all the traffic stay able to."""
    rollout = memory.rollout
    if role is memory.candidate and rollout is not None:
        least = replicas_for(spec, role, rollout, now)
        if stage is not None:
            # Also of a step that it is not in yet, where nobody else answers.
            least = max(least, needed(spec, rollout, stage.stage))
        route, ready = observed.serving.route, observed.serving.health(role.revision).ready
        settled = route.spares(role.revision) if stage is None else routed(memory, observed, stage)
        if settled:
            return least
        # Until the gateway says that it acts by what is wanted now, it may give the candidate what it had before, also
        # in a rollout that has just ended.
        had = max((share.weight for share in memory.traffic if share.revision == role.revision), default=0)
        return max(least, role.replicas, ready, capacity(crowd(spec, rollout.base), had))
    base = rollout.base if rollout is not None and role is memory.stable else None
    return max(crowd(spec, base), crowd(spec, role.floor))


def hostnames(observed: Observed, spec: ModelDeploymentSpec) -> tuple[str, ...]:
    """Host names of the model: the declared ones, or one made from its name; without a gateway those that it has."""
    live = observed.serving.route.hostnames
    if live and not gateways(observed, spec):
        return live
    return spec.traffic.hostnames or (f"{observed.name}.{observed.namespace}.{observed.platform.domain}",)


def gateways(observed: Observed, spec: ModelDeploymentSpec) -> tuple[GatewayRef, ...]:
    """Gateways that carry the traffic: the declared ones, or those of the settings."""
    return spec.traffic.gateways or observed.platform.gateways


def attached(observed: Observed, spec: ModelDeploymentSpec) -> bool:
    """Whether the route has the host names that are declared, and is at the gateways."""
    route = observed.serving.route
    return route.hostnames == hostnames(observed, spec) and set(gateways(observed, spec)) <= set(route.gateways)


def _planned(role: Revision, spec: ModelDeploymentSpec) -> PlannedRevision:
    serving, least = spec.serving, role.replicas
    most = max(least, serving.most_replicas) if serving.most_replicas > serving.min_replicas else least
    return PlannedRevision(
        revision=role.revision,
        version=role.version,
        template=role.template,
        min_replicas=least,
        max_replicas=most,
        scaling=serving.scaling,
    )


def _route(
    memory: Memory, observed: Observed, spec: ModelDeploymentSpec, aim: Aim | None, now: datetime
) -> PlannedRoute | None:
    """None while nothing can serve, and without a gateway."""
    named = weights(memory, observed, aim.weight if aim is not None else 0, now)
    # Settings that lost their gateways leave a route where it is, but not its weights: it still serves.
    known = gateways(observed, spec) or observed.serving.route.gateways
    if not named or not known:
        return None
    stage = aim.stage if aim is not None and not aim.last else None
    return PlannedRoute(
        hostnames=hostnames(observed, spec),
        gateways=known,
        timeout=spec.traffic.timeout,
        weights=named,
        matches=matches(memory, stage),
        mirror=mirror(memory, stage),
    )
