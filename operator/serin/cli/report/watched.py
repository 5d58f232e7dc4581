"""What the candidate was judged by, and the status as the judge had it in a stage, from which its questions follow."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from serin.api.analysis import Analysis
from serin.api.analysis import Check
from serin.api.analysis import CheckStatus
from serin.api.analysis import Measure
from serin.api.modeldeployment import Backend
from serin.api.modeldeployment import Protocol
from serin.api.status import Course
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Resolved
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.api.status import Template
from serin.cli.report.stages import Stage
from serin.cli.seen import Json
from serin.cli.seen import record
from serin.cli.seen import text
from serin.cli.seen import whole

SLOW = "250ms"
"""What counts as slow where no check says it."""
SHADOWS = (
    Check(name="failed-requests", measure=Measure.ERROR_RATE, at_most="99%", dry_run=True),
    Check(name="slow-requests", measure=Measure.SLOWER_THAN, threshold=SLOW, at_most="99%", dry_run=True),
)
"""Counted for the page where no check does. On dry run: they change no level, and nothing they say is shown."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The analysis, with a measure of errors and one of slow requests in any case."""

    analysis: Analysis
    shadows: frozenset[str] = frozenset()
    """Checks that nobody asked for."""
    source: str = ""
    """Where it is known from, for people."""
    declared: tuple[CheckStatus, ...] = ()
    """What the status says of each check, where that is about this rollout."""
    bakes: bool = False
    """Whether it is judged with all traffic, too."""


def watched(rollout: Json, source: str, told: list[Json]) -> Watched:
    """From the JSON of a rollout's settings; what this version does not understand is as if it were not there."""
    analysis = record(rollout.get("analysis"))
    try:
        known = Analysis.model_validate(analysis) if analysis else Analysis()
    except ValidationError:
        known, source = Analysis(), "not known: this version of serin cannot read the analysis"
    names = {check.name for check in known.checks}
    measures = {check.measure for check in known.checks}
    missing = [one for one in SHADOWS if one.measure not in measures and one.name not in names]
    return Watched(
        analysis=known.model_copy(update={"checks": (*known.checks, *missing)}),
        shadows=frozenset(one.name for one in missing),
        source=source if analysis else "",
        declared=tuple(_statuses(told)),
        bakes=text(rollout.get("bake")) not in ("", "0s"),
    )


def _statuses(told: list[Json]) -> list[CheckStatus]:
    found = []
    for one in told:
        try:
            found.append(CheckStatus.model_validate(one))
        except ValidationError:
            continue
    return found


def status_in(
    stage: Stage,
    analysis: Analysis,
    candidate: tuple[str, str, Json],
    stable: tuple[str, str, Json],
    model: str,
) -> ModelDeploymentStatus:
    """The status as it was in that stage, as far as questions follow from it. Roles: revision, version, template."""
    return ModelDeploymentStatus(
        resolved=Resolved(registry="", name=model, version=0, artifact_uri="", digest=""),
        candidate=_revision(*candidate, stage),
        stable=_revision(*stable, stage),
        rollout=RolloutStatus(
            step=stage.number,
            steps=stage.number,
            progress="",
            weight=round(stage.weight),
            course=Course(analysis=analysis),
            started_at=stage.start,
            step_started_at=stage.start,
        ),
    )


def _revision(revision: str, version: str, template: Json, stage: Stage) -> Revision:
    workers = whole(template.get("workers")) or None
    made = Template(
        backend=Backend.KSERVE,
        runtime="",
        model_format="",
        server=text(template.get("server")),
        protocol=Protocol.V2,
        artifact_uri="",
        digest="",
        workers=workers,
    )
    return Revision(revision=revision, version=version, since=stage.start, template=made)
