"""Everything that is asked for a report. What cannot be had is a gap with its reason, never an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
from typing import TYPE_CHECKING

from serin.api.kinds import EVENT
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import ROLLOUT_POLICY
from serin.cli import times
from serin.cli.reach import FORBIDDEN
from serin.cli.report import source
from serin.cli.report.choose import Chosen
from serin.cli.report.choose import incumbent
from serin.cli.report.choose import servers
from serin.cli.report.recount import Answered
from serin.cli.report.recount import beat
from serin.cli.report.recount import moments
from serin.cli.report.stages import Shares
from serin.cli.report.stages import Span
from serin.cli.report.stages import Stage
from serin.cli.report.stages import shares
from serin.cli.report.stages import spans
from serin.cli.report.stages import stages
from serin.cli.report.stages import traffic_query
from serin.cli.report.watched import Watched
from serin.cli.report.watched import status_in
from serin.cli.report.watched import watched
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import record
from serin.cli.seen import records
from serin.cli.seen import text
from serin.errors import ClusterError
from serin.errors import MetricsError
from serin.metrics.ranges import Ranged
from serin.metrics.ranges import Ranges
from serin.rollout.looks import Question
from serin.rollout.looks import questions

if TYPE_CHECKING:
    from serin.cluster.session import Session

MARGIN = 0.06
"""Part of the rollout's length that is shown before and after it."""
LEAST_MARGIN = timedelta(seconds=30)
WEIGHT_POINTS = 1500
DEFAULT_POLICY = "default"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a page is made of."""

    seen: Seen
    chosen: Chosen
    now: datetime
    watched: Watched
    stable: tuple[str, str] | None
    """Revision and version of what served before."""
    shares: Sequence[Shares] = ()
    weights: Sequence[Span] = ()
    """The candidate's."""
    answers: Sequence[tuple[Stage, Sequence[Answered]]] = ()
    events: Sequence[Json] = ()
    sources: Sequence[str] = ()
    gaps: Sequence[str] = ()
    """What could not be had, and why."""
    remarks: Sequence[str] = ()
    """What a careful reader wants to know beside it."""

    @property
    def window(self) -> tuple[datetime, datetime]:
        """What is shown: the rollout, and a little around it."""
        return window(self.chosen, self.now)


@dataclass(slots=True)
class Notes:
    """What is found missing on the way."""

    gaps: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def on(self, facts: Facts) -> Facts:
        """The same facts with these."""
        return replace(facts, gaps=(*facts.gaps, *self.gaps), remarks=(*facts.remarks, *self.remarks))


def window(chosen: Chosen, now: datetime) -> tuple[datetime, datetime]:
    """The rollout, and a little around it, but nothing that is still to come."""
    end = chosen.until(now)
    margin = max(LEAST_MARGIN, (end - chosen.started) * MARGIN)
    return chosen.started - margin, min(now, end + margin) if not chosen.running else end


def ask(session: Session, seen: Seen, chosen: Chosen, url: str | None, now: datetime) -> Facts:
    """What the cluster and its Prometheus know of the rollout."""
    notes = Notes()
    operator = source.find_operator(session)
    facts = Facts(
        seen=seen,
        chosen=chosen,
        now=now,
        watched=_watched(session, seen, chosen, operator.namespace, notes),
        stable=incumbent(seen, chosen),
        events=_events(session, seen, chosen, now, notes),
        sources=[f"the status of ModelDeployment {seen.name} and its events"],
    )
    facts = notes.on(facts)
    where = url or operator.prometheus
    if not where:
        return replace(facts, gaps=(*facts.gaps, f"No Prometheus was asked: {operator.complaint}. {source.REMEDY}"))
    return measure(facts, source.ranges(session, where), source.shown(where), operator.matchers)


def measure(facts: Facts, prometheus: Ranges, where: str, matchers: str = "") -> Facts:
    """The same facts with what Prometheus knows, which ``matchers`` find among that of other clusters."""
    seen, chosen = facts.seen, facts.chosen
    start, end = facts.window
    step = max(1.0, round((end - start).total_seconds() / WEIGHT_POINTS))
    notes = Notes()
    try:
        series = prometheus.ask(traffic_query(seen.namespace, seen.name, matchers), start, end, step)
    except MetricsError as error:
        return replace(facts, gaps=(*facts.gaps, f"Nothing is known over time: {error.message}. {source.REMEDY}"))
    known = shares(series)
    if not known:
        notes.gaps.append(
            "Prometheus has no weights of this rollout: it does not scrape the operator, or has forgotten that time."
        )
    facts = replace(facts, shares=known, sources=[*facts.sources, f"Prometheus at {where}"])
    stable = facts.stable or _before(known, versions_in(series), chosen)
    # A scrape that is missed is no time of which nothing is known.
    weights = spans(known, chosen.revision, chosen.started, chosen.until(facts.now), max(step, 60.0))
    judged = [one for one in _stages(seen, chosen, weights, facts.now) if _was_judged(facts, one)]
    facts = replace(facts, stable=stable, weights=weights)
    return notes.on(replace(facts, answers=_answers(facts, prometheus, judged, notes, matchers)))


def versions_in(series: Sequence[Ranged]) -> dict[str, str]:
    """The version of each revision, as the metric's labels say it."""
    return {one.labels.get("revision", ""): one.labels.get("version", "") for one in series}


def _before(known: Sequence[Shares], versions: dict[str, str], chosen: Chosen) -> tuple[str, str] | None:
    """What had most of the traffic first, beside the candidate."""
    for moment in known:
        others = {one: share for one, share in moment.percent.items() if one != chosen.revision and share > 0}
        if others:
            revision = max(others, key=lambda one: others[one])
            return revision, versions.get(revision, "")
    return None


def _stages(seen: Seen, chosen: Chosen, weights: Sequence[Span], now: datetime) -> tuple[Stage, ...]:
    """The stages; of the step that runs the status knows the beginning, and up to when it was judged."""
    if not chosen.running:
        return stages(weights)
    since = times.parse(seen.rollout.get("stepStartedAt"))
    judged = times.parse(seen.rollout.get("judgedAt"))
    found = stages(weights, since)
    weight = seen.rollout.get("weight")
    if since is None or not isinstance(weight, int):
        return found
    end = max(judged or now, since)
    number = len(found) or 1
    if found and found[-1].weight == weight:
        return (*found[:-1], replace(found[-1], end=end)) if end > found[-1].start else found
    # Shadow traffic alone has no share, and what began just now is not scraped yet.
    return (*found, Stage(number + bool(found), since, end, float(weight))) if end > since else found


def _was_judged(facts: Facts, stage: Stage) -> bool:
    """With all the traffic a candidate is judged only while it bakes; an undone version was in use long before."""
    return facts.chosen.outcome != "Undone" and (stage.concurrent or facts.watched.bakes)


def _answers(
    facts: Facts, prometheus: Ranges, judged: Sequence[Stage], notes: Notes, matchers: str
) -> list[tuple[Stage, list[Answered]]]:
    """What the judge asked in each stage."""
    chosen, stable = facts.chosen, facts.stable
    if not judged or stable is None:
        return []
    made = servers(facts.seen)
    template = made.get(chosen.revision) or made.get(stable[0]) or next(iter(made.values()), {})
    if chosen.revision not in made and template:
        server = text(template.get("server"))
        notes.remarks.append(f"What {chosen.version} ran on is not known any more; it is counted as on {server}.")
    analysis = facts.watched.analysis
    model = text(record(facts.seen.status.get("resolved")).get("name"))
    answers = []
    for stage in judged:
        status = status_in(
            stage,
            analysis,
            (chosen.revision, chosen.version, template),
            (*stable, made.get(stable[0]) or template),
            model,
        )
        last, first = (
            questions(facts.seen.namespace, facts.seen.name, status, at, matchers=matchers, earliest=stage.start)
            for at in (stage.end, stage.start)
        )
        asked = [_answer(prometheus, *pair, stage, analysis.every) for pair in zip(last, first, strict=True)]
        answers.append((stage, asked))
    return answers


def _answer(prometheus: Ranges, question: Question, at_first: Question, stage: Stage, every: str) -> Answered:
    if question.query is None:
        return Answered(question)
    if question.how is None and question.query != at_first.query:
        return Answered(question, failure="its query changes with the time since the step began: it is not asked again")
    looks = moments(stage, every)
    try:
        series = prometheus.ask(question.query, looks[0], looks[-1], beat(stage, every))
    except MetricsError as error:
        return Answered(question, failure=error.message)
    return Answered(question, tuple(series))


def _watched(session: Session, seen: Seen, chosen: Chosen, operators: str, notes: Notes) -> Watched:
    told = records(seen.status.get("analysis")) if chosen.newest else []
    if chosen.running:
        return watched(seen.course, "as the rollout runs by them", told)
    declared = record(seen.spec.get("rollout"))
    policy = text(declared.get("policy")) or ("" if declared else DEFAULT_POLICY)
    if not policy:
        return watched(declared, "as they are declared now", told)
    try:
        body = session.get(ROLLOUT_POLICY, operators, policy)
    except ClusterError as error:
        if declared:
            why = "you may not read it" if error.status == FORBIDDEN else text(error.message)
            notes.gaps.append(f"What RolloutPolicy {policy} judges by is not known: {why}.")
        return watched({}, "", told)
    return watched(record(body.get("spec")), f"as RolloutPolicy {policy} has them now", told)


def _events(session: Session, seen: Seen, chosen: Chosen, now: datetime, notes: Notes) -> list[Json]:
    """Events about the object in the time of the rollout, oldest first. Kubernetes keeps them for an hour, mostly."""
    about = f"regarding.kind={MODEL_DEPLOYMENT.kind},regarding.name={seen.name}"
    try:
        found = session.list(EVENT, seen.namespace, fields=about)
    except ClusterError as error:
        why = "you may not list them" if error.status == FORBIDDEN else text(error.message)
        notes.gaps.append(f"Events cannot be read: {why}.")
        return []
    start, end = window(chosen, now)
    inside = [(at, one) for one in found if (at := event_time(one)) is not None and start <= at <= end]
    if not inside:
        notes.remarks.append("There are no events of that time: Kubernetes keeps them for an hour, mostly.")
    uid = seen.uid
    return [
        one
        for _, one in sorted(inside, key=lambda pair: pair[0])
        if record(one.get("regarding")).get("uid") in (uid, None)
    ]


def event_time(body: Json) -> datetime | None:
    """When it happened."""
    return times.parse(body.get("eventTime")) or times.parse(body.get("deprecatedFirstTimestamp"))
