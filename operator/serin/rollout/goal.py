"""Which revision the declaration asks for, or why that cannot be said."""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.api.status import Revision
from serin.rollout.looks import refused_query
from serin.rollout.memory import Memory
from serin.rollout.observed import Declared
from serin.rollout.observed import Observed
from serin.rollout.observed import Problem
from serin.rollout.plan import gateways
from serin.rollout.revision import revision_name
from serin.rollout.revision import template_for
from serin.rollout.revision import version_label

# What was asked for anew says no time; what is remembered says when it was asked for.
_said = attrgetter(*(name for name in Resolved.model_fields if name != "resolved_at"))


def name_of(observed: Observed, spec: ModelDeploymentSpec) -> str | Problem:
    """Name of the declared revision, whatever there is already."""
    if isinstance(observed.target, Problem):
        return observed.target
    return revision_name(observed.name, observed.namespace, observed.target, spec.serving)


def goal_of(
    name: str | Problem, observed: Observed, spec: ModelDeploymentSpec, memory: Memory, now: datetime
) -> Revision | Problem:
    """The declared revision, by its ``name_of``. One that has a role already keeps its template: new settings restart
    nothing."""
    if isinstance(observed.target, Problem):
        return observed.target
    rollout, stable = memory.rollout, memory.stable
    if rollout is not None and not rollout.undo and stable is not None and stable.revision == name:
        # Going back takes neither a policy nor a gateway that is known: what is wrong with them is told afterwards.
        return stable
    if not gateways(observed, spec):
        return Problem(
            Reason.GATEWAY_NOT_CONFIGURED,
            "no gateway is known: set spec.traffic.gateways, or gateways in the operator's settings",
        )
    declared = observed.rollout
    if isinstance(name, Problem):
        return name
    wrong = declared if isinstance(declared, Problem) else _wrong_query(declared)
    candidate = memory.candidate
    if wrong is not None and (candidate is None or candidate.revision != name):
        # A rollout that runs has what it needs to know.
        return wrong
    for revision in memory.revisions():
        if revision.revision == name:
            return revision
    template = template_for(spec, observed.target, observed.platform)
    if isinstance(template, Problem):
        return template
    return Revision(
        revision=name,
        version=version_label(observed.target.version),
        registry=observed.target.registry,
        model=observed.target.name,
        since=now,
        template=template,
    )


def _wrong_query(declared: Declared) -> Problem | None:
    refusal = refused_query(declared.rollout.analysis)
    if refusal is None:
        return None
    source = f"RolloutPolicy {declared.policy.name}" if declared.policy is not None else "spec.rollout.analysis"
    return Problem(Reason.INVALID_QUERY, f"{source}: {refusal}")


def pinned(observed: Observed, memory: Memory, now: datetime) -> Resolved | None:
    """The resolution to remember: the same one with its first time as long as it says the same."""
    if isinstance(observed.target, Problem):
        return memory.resolved
    before = memory.resolved
    if before is not None and _said(observed.target) == _said(before):
        return before
    return observed.target.model_copy(update={"resolved_at": now})
