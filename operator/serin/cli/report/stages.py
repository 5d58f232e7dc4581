"""From the operator's metric of the traffic to what each revision had when, and to the stages that were judged.

Prometheus knows a weight from the scrape after it was accepted, so moments are late by up to a scrape interval. Two
steps of the same weight look like one.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.api.quantities import milliseconds
from serin.metrics.ranges import Ranged

ALL = 100
METRIC = "serin_modeldeployment_traffic_weight"
"""serin.controller.telemetry: percent of the requests that a revision gets, as the gateway has it."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What each revision had at one moment, in percent; those that are not named had nothing."""

    at: datetime
    percent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span:
    """A time with one weight of the candidate."""

    start: datetime
    end: datetime
    weight: float

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Stage:
    """A time over which the judge counts: one step, or the bake."""

    number: int
    """From 1, as they follow each other here."""
    start: datetime
    end: datetime
    weight: float

    @property
    def concurrent(self) -> bool:
        """Whether the stable revision had requests too."""
        return self.weight < ALL


def traffic_query(namespace: str, name: str, matchers: str = "") -> str:
    """The weights of all revisions. A standby tells none, and an operator that has just gone may still be there."""
    ours = f'modeldeployment_namespace="{namespace}",modeldeployment="{name}"'
    series = f"{METRIC}{{{ours}{',' if matchers else ''}{matchers}}}"
    return f"max by (version, revision) ({series})"


def shares(series: Sequence[Ranged]) -> list[Shares]:
    """What each revision had, at each moment of which anything is known."""
    moments: dict[datetime, dict[str, float]] = {}
    for one in series:
        revision = one.labels.get("revision", "")
        for at, value in one.points:
            moments.setdefault(at, {})[revision] = min(max(value, 0.0), float(ALL))
    return [Shares(at, moments[at]) for at in sorted(moments)]


def spans(known: Sequence[Shares], revision: str, start: datetime, end: datetime, step: float) -> list[Span]:
    """Times with one weight of the revision. What is not known for longer than two of the steps is in none."""
    found: list[Span] = []
    reach = timedelta(seconds=2 * step)
    for moment in known:
        if not start <= moment.at <= end:
            continue
        weight = moment.percent.get(revision, 0.0)
        last = found[-1] if found else None
        if last is not None and moment.at - last.end <= reach:
            found[-1] = replace(last, end=moment.at)
            if last.weight == weight:
                continue
        found.append(Span(moment.at, moment.at, weight))
    return _reaching(found, end, reach)


def stages(weights: Sequence[Span], running_since: datetime | None = None) -> tuple[Stage, ...]:
    """The stages in which the candidate had a share. ``running_since``: when the step that runs began, where that is
    known from the status, which is exact.

    A weight that fell did so at the rollout's end. A gap in what is known does not end a stage.
    """
    merged = list(_merged(one for one in weights if one.weight > 0))
    if running_since is not None and merged:
        merged = [one for one in merged if one.start <= running_since or one is merged[-1]]
        last = merged[-1]
        merged[-1] = replace(last, start=min(running_since, last.end))
        if len(merged) > 1:
            merged[-2] = replace(merged[-2], end=min(merged[-2].end, merged[-1].start))
    return tuple(
        Stage(number, milliseconds(one.start), milliseconds(one.end), one.weight)
        for number, one in enumerate((one for one in merged if one.end > one.start), 1)
    )


def _reaching(found: list[Span], end: datetime, reach: timedelta) -> list[Span]:
    """The last one goes on to the end where nothing else is known."""
    if found and end - found[-1].end <= reach:
        found[-1] = replace(found[-1], end=end)
    return [one for one in found if one.end > one.start]


def _merged(weights: Iterator[Span]) -> Iterator[Span]:
    last: Span | None = None
    for one in weights:
        if last is not None and one.weight == last.weight:
            last = replace(last, end=one.end)
            continue
        if last is not None:
            yield last
        last = one
    if last is not None:
        yield last
