"""What the judge saw, counted and weighed again: the same questions, the same pure functions, at the looks' moments.

It is a recomputation. The judge's looks drift a little from a regular beat, and Prometheus knows the beginning of a
past step only to a scrape interval; of the step that runs both are known exactly. What the status says was decided by
the counts of its time, and stands beside this on the page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.analysis.checks import Measurement
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.queries import Series
from serin.analysis.verdict import Versions
from serin.analysis.verdict import judge
from serin.analysis.verdict import next_step
from serin.api.analysis import Analysis
from serin.api.analysis import CheckStatus
from serin.api.analysis import Evidence
from serin.api.analysis import Tally
from serin.api.quantities import seconds
from serin.cli.report.stages import Stage
from serin.metrics.ranges import Ranged
from serin.rollout.looks import Question
from serin.rollout.looks import answer
from serin.rollout.looks import requests_in

MOST_LOOKS = 2000
"""In one stage. Beyond that fewer are recomputed than the judge took."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question about one stage, and the source's answer over its time."""

    question: Question
    series: tuple[Ranged, ...] = ()
    failure: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Look:
    """One moment at which the candidate was judged."""

    at: datetime
    stage: Stage
    measured: Mapping[str, Measurement]
    checks: Mapping[str, CheckStatus]

    def tallies(self, check: str) -> tuple[Tally, Tally] | None:
        """What both had since the stage began: the candidate's and the stable one's."""
        one = self.measured.get(check)
        return (one.candidate, one.stable) if isinstance(one, Sample) else None


def beat(stage: Stage, every: str) -> float:
    """Seconds between two looks."""
    length = (stage.end - stage.start).total_seconds()
    return seconds(every) * max(1, math.ceil(length / seconds(every) / MOST_LOOKS))


def moments(stage: Stage, every: str) -> list[datetime]:
    """The looks' moments, such that the last one is the stage's end: what ends a rollout is found by a look."""
    step = timedelta(seconds=beat(stage, every))
    count = max(0, math.ceil((stage.end - stage.start) / step) - 1)
    return [stage.end - step * back for back in range(count, -1, -1)]


def recount(
    analysis: Analysis, answers: Sequence[tuple[Stage, Sequence[Answered]]], versions: Versions
) -> tuple[Look, ...]:
    """Every look of the rollout, in the order of time."""
    found: list[Look] = []
    before: tuple[CheckStatus, ...] = ()
    for stage, answered in answers:
        before = next_step(analysis, before)
        by_moment = [(one, _by_moment(one.series)) for one in answered]
        for at in moments(stage, analysis.every):
            measured = _measured(by_moment, at)
            before = judge(analysis, measured, before, versions)
            found.append(Look(at, stage, measured, {one.check: one for one in before}))
    return tuple(found)


def as_known(check: CheckStatus) -> tuple[Tally, Tally] | None:
    """What the status kept of both in the last stage: the candidate's and the stable one's."""
    evidence: Evidence | None = check.evidence
    return (evidence.candidate, evidence.stable) if evidence is not None and evidence.candidate.requests else None


def _measured(answered: Iterable[tuple[Answered, Mapping[int, list[Series]]]], at: datetime) -> dict[str, Measurement]:
    """As serin.controller.measure does it: counts first, queries of people's own by as many requests as those saw."""
    measured: dict[str, Measurement] = {}
    for one, series in sorted(answered, key=lambda pair: pair[0].question.how is None):
        question = one.question
        if one.failure:
            measured[question.check] = Unknown(one.failure)
            continue
        if question.scope is not None:
            question = replace(question, scope=replace(question.scope, at=at))
        result = series.get(_key(at), [])
        measured[question.check] = answer(question, result, requests_in(measured))
    return measured


def _by_moment(series: Iterable[Ranged]) -> dict[int, list[Series]]:
    found: dict[int, list[Series]] = {}
    for one in series:
        for at, value in one.points:
            found.setdefault(_key(at), []).append(Series(one.labels, value))
    return found


def _key(at: datetime) -> int:
    """Prometheus gives milliseconds back."""
    return round(at.timestamp() * 1000)
