"""What each check counted and weighed, as sections of a page."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from datetime import datetime

from serin.analysis.checks import Number
from serin.analysis.words import percent
from serin.api.analysis import Check
from serin.api.analysis import CheckStatus
from serin.api.analysis import Measure
from serin.api.analysis import Tally
from serin.cli.report.canvas import Canvas
from serin.cli.report.canvas import Cell
from serin.cli.report.canvas import Row
from serin.cli.report.canvas import Section
from serin.cli.report.canvas import Table
from serin.cli.report.canvas import counted
from serin.cli.report.canvas import step_name
from serin.cli.report.canvas import weighed
from serin.cli.report.canvas import weight_of
from serin.cli.report.charts import Band
from serin.cli.report.charts import Chart
from serin.cli.report.charts import Line
from serin.cli.report.intervals import wilson
from serin.cli.report.recount import Look
from serin.cli.report.recount import as_known

LEAST_EVIDENCE = 1e-3
"""Of its limit; what is below says no more."""
MOST_EVIDENCE = 1e3
SETTLED = 50
"""Requests from which on a share is drawn to scale: the first few are all or nothing."""


def check_sections(canvas: Canvas) -> Iterator[Section]:
    """What each check counted and weighed."""
    told = {one.check: one for one in canvas.facts.watched.declared}
    for check in canvas.facts.watched.analysis.checks:
        status = told.get(check.name)
        looks = [look for look in canvas.looks if check.name in look.checks]
        shadow = check.name in canvas.facts.watched.shadows
        if shadow and not any(look.tallies(check.name) for look in looks):
            continue
        yield _section(canvas, check, status, shadow=shadow)


def _section(canvas: Canvas, check: Check, status: CheckStatus | None, *, shadow: bool) -> Section:
    last = canvas.looks[-1].checks.get(check.name) if canvas.looks else None
    verdict, intro = _verdict(check, status, last, shadow=shadow)
    title = _title(check)
    if check.query is not None:
        chart = _value_chart(canvas, check)
        return Section(f"check-{check.name}", title, intro, verdict, [chart] if chart else [])
    charts = []
    if any(look.tallies(check.name) for look in canvas.looks):
        charts.append(_share_chart(canvas, check))
        if not shadow:
            charts.append(_evidence_chart(canvas, check))
    table = _check_table(canvas, check, status, shadow=shadow)
    return Section(f"check-{check.name}", title, intro, verdict, charts, [table] if table.rows else [])


def _title(check: Check) -> str:
    if check.measure is None:
        return f"Check {check.name}"
    return "Errors" if check.measure is Measure.ERROR_RATE else f"Slower than {check.threshold}"


def _verdict(check: Check, status: CheckStatus | None, last: CheckStatus | None, *, shadow: bool) -> tuple[str, str]:
    """The word, and what it rests on."""
    if shadow:
        return "", "No check judged this."
    named = f"Check {check.name}: " if check.measure is not None else ""
    dry = " It is on dry run and decides nothing." if check.dry_run else ""
    if status is not None:
        return status.verdict.value, _sentence(named + status.message) + dry
    if last is not None:
        return last.verdict.value, f"{_sentence(named + last.message)} This is recomputed.{dry}"
    return "", f"{named}its last verdict is not known any more." + dry


def _share_chart(canvas: Canvas, check: Check) -> Chart:
    """The share of bad requests of both since each step began, with its interval."""
    lines, bands = [], []
    top = 0.0
    for who, look, index in ((canvas.stable, "stable", 1), (canvas.candidate, "candidate", 0)):
        tally = _tally(check.name, index)
        lines.append(Line(who, look, canvas.parts(_share(tally))))
        bands.append(Band(look, _intervals(canvas, tally)))
        counted = [one for one in map(tally, canvas.looks) if one is not None and one.requests]
        settled = [one for one in counted if one.requests >= SETTLED] or counted
        top = max([top, *(1.3 * one.bad / one.requests for one in settled), *(wilson(one)[1] for one in counted[-1:])])
    top = max(top, 0.001)
    if check.at_most is not None and check.name not in canvas.facts.watched.shadows:
        start, end = canvas.facts.window
        # A bound far above everything would flatten what there is to see.
        if check.most <= 3 * top:
            top = max(top, 1.15 * check.most)
            lines.append(Line(f"bound {check.at_most}", "limit", [[(start, check.most), (end, check.most)]]))
    what = "failed" if check.measure is Measure.ERROR_RATE else f"took longer than {check.threshold}"
    return canvas.chart(
        f"share-{check.name}",
        f"Share of the requests that {what}, since each step began",
        _told(canvas, check) or "Nothing was counted.",
        min(1.0, top),
        percent,
        lines,
        bands,
    )


def _evidence_chart(canvas: Canvas, check: Check) -> Chart:
    """How near the evidence came to its limit."""
    start, end = canvas.facts.window

    def weighed(look: Look) -> float | None:
        return weight_of(look.checks.get(check.name))

    values = [value for value in map(weighed, canvas.looks) if value is not None]
    greatest = max(values, default=0.0)
    version = canvas.facts.chosen.version
    reached = "It reached the limit." if greatest >= 1 else f"At most it was {_part(greatest)}."
    return canvas.chart(
        f"evidence-{check.name}",
        f"Evidence against {version}, beside the limit at which it fails",
        reached,
        min(max(10.0, greatest), MOST_EVIDENCE),
        _multiple,
        [
            Line(f"evidence against {version}", "candidate", canvas.parts(weighed)),
            Line("limit", "limit", [[(start, 1.0), (end, 1.0)]]),
        ],
        low=LEAST_EVIDENCE,
    )


def _value_chart(canvas: Canvas, check: Check) -> Chart | None:
    """The number that a query of people's own gave, where it can be drawn from 0."""
    start, end = canvas.facts.window

    def value(look: Look) -> float | None:
        one = look.measured.get(check.name)
        return one.value if isinstance(one, Number) else None

    parts = canvas.parts(value)
    numbers = [number for part in parts for _, number in part]
    if not numbers or min(numbers) < 0:
        return None
    lines = [Line(canvas.candidate, "candidate", parts)]
    bounds = [bound for bound in (check.at_least, check.most if check.at_most is not None else None) if bound]
    lines += [Line(f"bound {bound:g}", "limit", [[(start, bound), (end, bound)]]) for bound in bounds if bound > 0]
    return canvas.chart(
        f"value-{check.name}",
        f"What the query of check {check.name} gave",
        f"From {min(numbers):.4g} to {max(numbers):.4g}, at last {numbers[-1]:.4g}.",
        1.1 * max([*numbers, *bounds]),
        lambda one: f"{one:.4g}",
        lines,
    )


def _check_table(canvas: Canvas, check: Check, status: CheckStatus | None, *, shadow: bool) -> Table:
    """By step: what both had, how sure that is, and the evidence at the step's end."""
    rows: list[Row] = []
    for look in canvas.last().values():
        pair = look.tallies(check.name)
        if pair is not None:
            stable: Cell = counted(pair[1]) if look.stage.concurrent else "-"
            row = (step_name(look.stage), stable, counted(pair[0]))
            rows.append(row if shadow else (*row, weighed(look.checks.get(check.name))))
    known = as_known(status) if status is not None else None
    if known is not None and status is not None:
        beside: Cell = "-" if status.evidence is not None and status.evidence.apart else counted(known[1])
        known_row: Row = (beside, counted(known[0]), weighed(status))
        # Mostly the same: then there is nothing to tell apart.
        if not rows or rows[-1][1:] != known_row:
            rows.append(("last", *known_row))
    head = ("Step", canvas.stable, canvas.candidate)
    return Table(
        head if shadow else (*head, "Evidence"),
        rows,
        "Slow requests by step" if check.measure is Measure.SLOWER_THAN else "Failed requests by step",
        " ".join(_notes(rows, shadow=shadow)),
    )


def _notes(rows: list[Row], *, shadow: bool) -> Iterator[str]:
    yield "In brackets: the 95 % interval of the share."
    if not shadow:
        yield "Evidence: at the end of the step, and the limit at which the candidate fails."
    if rows and rows[-1][0] == "last":
        yield "Last: what the status keeps of the step that was judged last."


def _tally(name: str, index: int) -> Callable[[Look], Tally | None]:
    def of(look: Look) -> Tally | None:
        pair = look.tallies(name)
        # With all the traffic there is none to compare with at the same time.
        return None if pair is None or (index and not look.stage.concurrent) else pair[index]

    return of


def _share(of: Callable[[Look], Tally | None]) -> Callable[[Look], float | None]:
    def share(look: Look) -> float | None:
        tally = of(look)
        return tally.bad / tally.requests if tally is not None and tally.requests else None

    return share


def _intervals(canvas: Canvas, of: Callable[[Look], Tally | None]) -> list[list[tuple[datetime, float, float]]]:
    found: dict[int, list[tuple[datetime, float, float]]] = {}
    for look in canvas.looks:
        tally = of(look)
        if tally is not None and tally.requests:
            found.setdefault(look.stage.number, []).append((look.at, *wilson(tally)))
    return list(found.values())


def _told(canvas: Canvas, check: Check) -> str:
    """The chart in words: what both had at the end of each step."""
    told = []
    for look in canvas.last().values():
        pair = look.tallies(check.name)
        if pair is not None:
            beside = f", {canvas.stable} {' '.join(counted(pair[1]))}" if look.stage.concurrent else ""
            told.append(f"At {step_name(look.stage)}: {canvas.candidate} {' '.join(counted(pair[0]))}{beside}.")
    return " ".join(told)


def _part(weight: float) -> str:
    """Such as "1/40 of the limit"."""
    return f"{percent(weight)} of the limit" if weight >= 1e-4 else "next to nothing"


def _multiple(weight: float) -> str:
    """A tick of the evidence: a part of the limit, or a multiple."""
    if weight == 1.0:
        return "limit"
    return f"{weight:,.0f} ×" if weight > 1.0 else f"1/{1 / weight:,.0f}"  # noqa: RUF001 (times)


def _sentence(message: str) -> str:
    told = message[:1].upper() + message[1:]
    return told if not told or told.endswith(".") else f"{told}."
