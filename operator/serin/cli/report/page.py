"""What stands on the page, from what is known. No clock, no network; the drawing and the template come after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from serin.analysis.verdict import Versions
from serin.cli.report.ask import Facts
from serin.cli.report.canvas import Canvas
from serin.cli.report.canvas import Section
from serin.cli.report.canvas import between
from serin.cli.report.canvas import dated
from serin.cli.report.charts import Mark
from serin.cli.report.checked import check_sections
from serin.cli.report.headline import figures
from serin.cli.report.headline import headline
from serin.cli.report.headline import pill
from serin.cli.report.recount import recount
from serin.cli.report.sections import requests
from serin.cli.report.sections import traffic
from serin.cli.report.timeline import Happening
from serin.cli.report.timeline import declared_steps
from serin.cli.report.timeline import events
from serin.cli.report.timeline import happenings
from serin.cli.screen import model


@dataclass(frozen=True, slots=True)
class Page:
    """Everything in the order in which it is read."""

    name: str
    namespace: str
    model: str
    version: str
    revision: str
    when: str
    outcome: str
    look: str
    """good, bad, open or neutral."""
    headline: str
    figures: Sequence[tuple[str, str]]
    happenings: Sequence[Happening]
    sections: Sequence[Section]
    steps: Sequence[tuple[str, ...]]
    events: Sequence[tuple[datetime, str, str, str]]
    gaps: Sequence[str]
    """What could not be had."""
    remarks: Sequence[str]
    """What a careful reader wants to know beside it."""
    sources: Sequence[str]
    judged_by: str
    recounted: bool
    made: str


def page(facts: Facts) -> Page:
    """The page."""
    chosen = facts.chosen
    stable = facts.stable[1] if facts.stable else ""
    looks = recount(facts.watched.analysis, facts.answers, Versions(chosen.version, stable))
    happened = happenings(facts, looks)
    marks = [Mark(one.at, one.number) for one in happened if one.marked]
    canvas = Canvas(facts, looks, marks)
    outcome, look = pill(facts)
    sections = [traffic(canvas), requests(canvas), *check_sections(canvas)]
    return Page(
        name=facts.seen.name,
        namespace=facts.seen.namespace,
        model=model(facts.seen),
        version=chosen.version,
        revision=chosen.revision,
        when=between(chosen.started, chosen.ended),
        outcome=outcome,
        look=look,
        headline=headline(facts),
        figures=tuple(figures(facts, looks)),
        happenings=happened,
        sections=[one for one in sections if one is not None],
        steps=declared_steps(facts),
        events=events(facts),
        gaps=facts.gaps,
        remarks=facts.remarks,
        sources=facts.sources,
        judged_by=facts.watched.source,
        recounted=bool(looks),
        made=dated(facts.now),
    )
