"""The conditions that tell where a ModelDeployment stands, for machines."""

from __future__ import annotations

from collections.abc import Iterator

from serin.api.analysis import Verdict
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.rollout.conditions import Fact
from serin.rollout.conditions import Status
from serin.rollout.evidence import REASONS
from serin.rollout.evidence import lacking
from serin.rollout.evidence import said
from serin.rollout.health import trouble
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.standing import PASSING
from serin.rollout.standing import Standing
from serin.rollout.standing import without_replicas


def facts_of(memory: Memory, observed: Observed, standing: Standing) -> Iterator[Fact]:
    """All conditions that shall be told now."""
    yield Fact(ConditionType.READY, "True" if standing.ready else "False", standing.reason, standing.message)
    if not standing.settled and not standing.stalled:
        yield Fact(ConditionType.RECONCILING, "True", standing.reason, standing.message)
    if standing.stalled:
        yield Fact(ConditionType.STALLED, "True", standing.reason, standing.message)
    yield _available(observed, memory)
    yield _model_resolved(observed, memory)
    yield _candidate_ready(memory, observed)
    yield _traffic_routed(observed)
    if memory.rollout is not None and memory.rollout.verdict is not None:
        yield _analysis(memory, memory.rollout.verdict)
    paused = memory.rollout.paused if memory.rollout is not None else None
    if paused is not None:
        until = "; it is taken back as soon as a replica of the stable revision is ready" if paused.failed else ""
        yield Fact(ConditionType.PAUSED, "True", paused.reason, paused.message + until)
    if memory.rollout is not None and memory.rollout.warning is not None:
        yield Fact(ConditionType.GATES_WARNING, "True", Reason.SIGNATURE_INCOMPATIBLE, memory.rollout.warning)


def _analysis(memory: Memory, verdict: Verdict) -> Fact:
    status: Status = {Verdict.PASS: "True", Verdict.FAIL: "False"}.get(verdict, "Unknown")  # type: ignore[assignment]
    message = "every check passes"
    if verdict is not Verdict.PASS:
        message = said(memory.analysis, verdict) or f"waiting for {lacking(memory)}"
    return Fact(ConditionType.ANALYSIS_PASSING, status, REASONS[verdict], message)


def _available(observed: Observed, memory: Memory) -> Fact:
    serving = [
        share for share in memory.traffic if share.weight > 0 and observed.serving.health(share.revision).ready > 0
    ]
    if serving:
        names = ", ".join(f"{share.version} {share.weight} %" for share in serving)
        down = without_replicas(memory.stable, observed) if memory.stable is not None else ""
        if down:
            return Fact(ConditionType.AVAILABLE, "True", Reason.STABLE_UNAVAILABLE, f"{names}; {down}")
        return Fact(ConditionType.AVAILABLE, "True", Reason.SERVING, names)
    if memory.traffic:
        return Fact(
            ConditionType.AVAILABLE,
            "False",
            Reason.STABLE_UNAVAILABLE,
            "no revision with traffic has a ready replica",
        )
    return Fact(ConditionType.AVAILABLE, "False", Reason.DEPLOYING, "no revision has traffic yet")


def _model_resolved(observed: Observed, memory: Memory) -> Fact:
    target = observed.target
    if isinstance(target, Problem):
        passing = target.reason in PASSING
        return Fact(ConditionType.MODEL_RESOLVED, "Unknown" if passing else "False", target.reason, target.message)
    if observed.registry_down is not None:
        return Fact(
            ConditionType.MODEL_RESOLVED,
            "Unknown",
            observed.registry_down.reason,
            observed.registry_down.message,
        )
    message = f"version {target.version} of {target.name}"
    if target.alias is not None:
        message = f"alias {target.alias} of {target.name} is version {target.version}"
    return Fact(ConditionType.MODEL_RESOLVED, "True", Reason.RESOLVED, message)


def _candidate_ready(memory: Memory, observed: Observed) -> Fact:
    candidate = memory.candidate
    if candidate is None:
        return Fact(ConditionType.CANDIDATE_READY, "Unknown", Reason.NO_CANDIDATE, "no rollout is running")
    needed = candidate.replicas
    health = observed.serving.health(candidate.revision)
    counted = f"{health.ready} of {needed} replicas of {candidate.version} are ready"
    if health.ready >= needed:
        return Fact(ConditionType.CANDIDATE_READY, "True", Reason.CANDIDATE_READY, counted)
    failure = trouble(health)
    if failure is not None:
        return Fact(ConditionType.CANDIDATE_READY, "False", failure.reason, f"{counted}: {failure.message}")
    return Fact(ConditionType.CANDIDATE_READY, "False", Reason.WAITING_FOR_REPLICAS, counted)


def _traffic_routed(observed: Observed) -> Fact:
    route = observed.serving.route
    if not route.exists:
        return Fact(ConditionType.TRAFFIC_ROUTED, "False", Reason.DEPLOYING, "nothing is ready to be routed to yet")
    if route.accepted:
        return Fact(ConditionType.TRAFFIC_ROUTED, "True", Reason.ROUTED, "the gateway accepted the route")
    if route.refusal is not None:
        return Fact(ConditionType.TRAFFIC_ROUTED, "False", Reason.ROUTE_REFUSED, route.refusal)
    return Fact(
        ConditionType.TRAFFIC_ROUTED,
        "False",
        Reason.WAITING_FOR_GATEWAY,
        "waiting for the gateway to accept the route",
    )
