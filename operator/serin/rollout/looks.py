"""When the candidate is judged next, and what has to be measured for that.

A look belongs to a stage and a moment: its questions are a function of the status, so a restarted operator asks the
same ones. ``controller.measure`` puts them to Prometheus and hands the answers in with the next Observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from datetime import timedelta
from functools import lru_cache

from serin.analysis.checks import Measurement
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.queries import Scope
from serin.analysis.queries import Series
from serin.analysis.queries import counts_query
from serin.analysis.queries import read_counts
from serin.analysis.queries import read_number
from serin.analysis.runtimes import Counted
from serin.analysis.runtimes import counted
from serin.analysis.templates import RefusedTemplateError
from serin.analysis.templates import check as check_template
from serin.analysis.templates import render
from serin.api.analysis import Analysis
from serin.api.analysis import Check
from serin.api.analysis import Verdict
from serin.api.quantities import span
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.course import ALL

# What a look may take: its queries have 6 s each (metrics.prometheus), and wait for each other where many are judged.
LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Question:
    """What one check asks of the metrics' source."""

    check: str
    query: str | None = None
    """PromQL; None where there is nothing to ask, and then ``unknown`` says why."""
    scope: Scope | None = None
    how: Counted | None = None
    """How counts are read; None for a query of people's own."""
    unknown: Unknown | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The answers of one moment."""

    since: datetime
    """When the stage began that they are about."""
    at: datetime
    measured: Mapping[str, Measurement] = field(default_factory=dict)
    """By the checks' names."""


def next_look(rollout: RolloutStatus | None) -> datetime | None:
    """When the candidate is to be judged next; None while it is not judged at all."""
    if rollout is None or rollout.step_started_at is None:
        return None
    analysis = rollout.course.analysis
    if analysis is None or not analysis.checks or waived(rollout):
        return None
    return (rollout.judged_at or rollout.step_started_at) + span(analysis.every)


def waived(rollout: RolloutStatus) -> bool:
    """Whether a person wants the candidate to have everything, whatever the checks say. What skips its steps because
    they took too long keeps its deadline: too little evidence for it is no evidence against it, which still counts."""
    paused = rollout.paused
    return rollout.skip and (rollout if paused is None else paused).deadline_at is None


def passes_until(rollout: RolloutStatus | None) -> datetime | None:
    """Until when the checks pass without another look; None while they do not, or need not.

    An operator that was down, or suspended, knows nothing of the time in between.
    """
    look = next_look(rollout)
    return look + LATE if look is not None and rollout is not None and rollout.verdict is Verdict.PASS else None


def questions(
    namespace: str,
    name: str,
    status: ModelDeploymentStatus,
    at: datetime,
    *,
    matchers: str = "",
    earliest: datetime | None = None,
) -> tuple[Question, ...]:
    """What to measure at this moment, and at others since ``earliest``; empty while the candidate is not judged.

    ``matchers`` select the series of this cluster.
    """
    rollout, candidate, stable = status.rollout, status.candidate, status.stable
    if rollout is None or candidate is None or stable is None or next_look(rollout) is None:
        return ()
    analysis, since = rollout.course.analysis, rollout.step_started_at
    if analysis is None or since is None:
        return ()
    scope = Scope(
        namespace=namespace,
        candidate=candidate.revision,
        stable=stable.revision,
        since=since,
        at=at,
        concurrent=rollout.weight < ALL,
        ready={one.revision: one.ready for one in (candidate, stable)},
        matchers=matchers,
        earliest=earliest,
    )
    variables = _variables(namespace, name, status, rollout, candidate, stable, at)
    return tuple(_question(check, candidate, stable, scope, variables) for check in analysis.checks)


def answer(question: Question, result: Sequence[Series], requests: int | None) -> Measurement:
    """What the source's result comes to. ``requests``: to the candidate, where another check counted them."""
    if question.scope is None:
        return question.unknown or Unknown("nothing was asked")
    if question.how is None:
        return read_number(result, requests)
    return read_counts(result, question.how, question.scope)


def requests_in(measured: Mapping[str, Measurement]) -> int | None:
    """Requests to the candidate, as any check has counted them."""
    return max((one.candidate.requests for one in measured.values() if isinstance(one, Sample)), default=None)


def refused_query(analysis: Analysis | None) -> str | None:
    """Which query of the analysis must not be rendered, and why; None where all may."""
    for check in analysis.checks if analysis is not None else ():
        refusal = None if check.query is None else _refusal(check.query)
        if refusal is not None:
            return f"the query of check {check.name}: {refusal}"
    return None


@lru_cache(maxsize=1024)
def _refusal(template: str) -> str | None:
    try:
        check_template(template)
    except RefusedTemplateError as refusal:
        return str(refusal)
    return None


def _question(
    check: Check, candidate: Revision, stable: Revision, scope: Scope, variables: Mapping[str, str | int]
) -> Question:
    if check.query is not None:
        try:
            return Question(check.name, render(check.query, variables), scope)
        except RefusedTemplateError as refusal:
            return Question(check.name, unknown=Unknown(f"the query's template is refused: {refusal}"))
    template = candidate.template
    if check.not_worse_than_stable is not None and stable.template.server != template.server:
        why = f"{template.server} and {stable.template.server} count differently: they cannot be compared"
        return Question(check.name, unknown=Unknown(why))
    if check.measure is None:
        return Question(check.name, unknown=Unknown("the check has neither measure nor query"))
    how = counted(template.server, template.workers, check.measure, check.threshold)
    if isinstance(how, str):
        return Question(check.name, unknown=Unknown(how))
    return Question(check.name, counts_query(how, scope), scope, how)


def _variables(
    namespace: str,
    name: str,
    status: ModelDeploymentStatus,
    rollout: RolloutStatus,
    candidate: Revision,
    stable: Revision,
    at: datetime,
) -> dict[str, str | int]:
    since = rollout.step_started_at or at
    return {
        "name": name,
        "namespace": namespace,
        "model": status.resolved.name if status.resolved is not None else "",
        "version": candidate.version.removeprefix("v"),
        "revision": candidate.revision,
        "stable_version": stable.version.removeprefix("v"),
        "stable_revision": stable.revision,
        "weight": rollout.weight,
        "step": rollout.step,
        "seconds": max(1, int((at - since).total_seconds())),
    }
