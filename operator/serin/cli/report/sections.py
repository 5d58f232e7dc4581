"""The first sections of a page: who had how much of the traffic, and how many requests that was."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from serin.api.analysis import Measure
from serin.cli import times
from serin.cli.report.ask import Facts
from serin.cli.report.canvas import Canvas
from serin.cli.report.canvas import Section
from serin.cli.report.canvas import Table
from serin.cli.report.canvas import clock
from serin.cli.report.canvas import dated
from serin.cli.report.canvas import step_name
from serin.cli.report.charts import Line
from serin.cli.report.recount import Look
from serin.cli.report.stages import ALL
from serin.cli.report.stages import spans
from serin.cli.seen import text
from serin.cli.seen import whole

LEAST_SPACING = 60.0
"""Seconds without a value that are no time of which nothing is known."""


def traffic(canvas: Canvas) -> Section:
    """Who had how much."""
    facts = canvas.facts
    start, end = facts.window
    version = facts.chosen.version
    if not facts.shares:
        return Section("traffic", "Traffic", intro=_traffic_now(facts))
    lines = [Line(canvas.candidate, "candidate", _steps(facts, facts.chosen.revision), stepped=True, filled=True)]
    if facts.stable is not None:
        lines.append(Line(canvas.stable, "stable", _steps(facts, facts.stable[0]), stepped=True))
    told = ", then ".join(f"{one.weight:g} % for {times.length(one.length)}" for one in facts.weights) or "nothing"
    chart = canvas.chart(
        "traffic",
        f"Share of the requests to {version}",
        f"From {dated(start)} to {dated(end)} {version} had {told} of the requests.",
        ALL,
        lambda value: f"{value:g} %",
        lines,
        ticks=(0, 25, 50, 75, 100),
    )
    rows = [(clock(one.start), times.length(one.length), f"{one.weight:g} %") for one in facts.weights]
    table = Table(("From (UTC)", "For", f"Share of {version}"), rows, "Shares, as the gateway had them")
    return Section("traffic", "Traffic", charts=[chart], tables=[table])


def requests(canvas: Canvas) -> Section | None:
    """How many requests came a second."""
    name = next(
        (check.name for check in canvas.facts.watched.analysis.checks if check.measure is Measure.ERROR_RATE), None
    )
    if name is None:
        return None
    lines = [
        Line(who, look, [_rates(part) for part in canvas.parts(_requests(name, index))])
        for who, look, index in ((canvas.candidate, "candidate", 0), (canvas.stable, "stable", 1))
    ]
    top = max((value for line in lines for part in line.parts for _, value in part), default=0.0)
    rows = []
    for look in canvas.last().values():
        pair = look.tallies(name)
        if pair is not None:
            stable = f"{pair[1].requests:,}" if look.stage.concurrent else "-"
            rows.append((step_name(look.stage), stable, f"{pair[0].requests:,}"))
    chart = canvas.chart(
        "requests",
        "Requests a second",
        "; ".join(f"at {row[0]}: {row[1]} to {canvas.stable}, {row[2]} to {canvas.candidate}" for row in rows)
        or "No requests were counted.",
        top,
        lambda value: f"{value:,.6g}",
        lines,
    )
    table = Table(("Step", canvas.stable, canvas.candidate), rows, "Requests that reached a model, by step")
    return Section("requests", "Requests", charts=[chart], tables=[table])


def _traffic_now(facts: Facts) -> str:
    """What the status tells in place of a chart."""
    if not facts.chosen.running:
        return "What it had when is not known without Prometheus."
    now = ", ".join(f"{text(one.get('version'))} {whole(one.get('weight'))} %" for one in facts.seen.traffic)
    since = times.parse(facts.seen.rollout.get("stepStartedAt"))
    step = f" Its step began at {dated(since)}." if since else ""
    return f"Now: {now or 'none'}.{step} What it had before is not known without Prometheus."


def _steps(facts: Facts, revision: str) -> list[list[tuple[datetime, float]]]:
    """The weights of a revision as points at which they change, in as many parts as there are gaps."""
    start, end = facts.window
    parts: list[list[tuple[datetime, float]]] = []
    last: datetime | None = None
    for span in spans(facts.shares, revision, start, end, LEAST_SPACING):
        if last != span.start:
            parts.append([])
        parts[-1] += [(span.start, span.weight), (span.end, span.weight)]
        last = span.end
    return parts


def _requests(name: str, index: int) -> Callable[[Look], float | None]:
    def of(look: Look) -> float | None:
        pair = look.tallies(name)
        return None if pair is None or (index and not look.stage.concurrent) else pair[index].requests

    return of


def _rates(part: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """Requests a second between two looks."""
    found: list[tuple[datetime, float]] = []
    for (before, less), (at, more) in pairwise(part):
        seconds = (at - before).total_seconds()
        if seconds > 0:
            # A counter that went back tells nothing of requests.
            rate = max(0.0, more - less) / seconds
            found += [(at, rate)] if found else [(before, rate), (at, rate)]
    return found
