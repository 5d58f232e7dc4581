"""What the sections of a page have in common: charts over the same time, tables, and figures in words."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime

from serin.analysis.words import percent
from serin.api.analysis import CheckStatus
from serin.api.analysis import Tally
from serin.cli.report.ask import Facts
from serin.cli.report.charts import Band
from serin.cli.report.charts import Chart
from serin.cli.report.charts import Line
from serin.cli.report.charts import Mark
from serin.cli.report.charts import Shade
from serin.cli.report.intervals import wilson
from serin.cli.report.recount import Look
from serin.cli.report.stages import Stage

Cell = str | tuple[str, ...]
"""A text, or a figure with what belongs to it, the last of it on a line of its own."""
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures. ``note`` stands below them."""

    head: tuple[str, ...]
    rows: Sequence[Row]
    caption: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One subject: its charts and its tables."""

    key: str
    title: str
    intro: str = ""
    verdict: str = ""
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Canvas:
    """What all charts of a page have in common."""

    facts: Facts
    looks: tuple[Look, ...]
    marks: Sequence[Mark]

    @property
    def candidate(self) -> str:
        """Its version and role."""
        return f"{self.facts.chosen.version} (candidate)"

    @property
    def stable(self) -> str:
        """Its version and role."""
        return f"{self.facts.stable[1] if self.facts.stable else 'none'} (stable)"

    @property
    def stages(self) -> list[Stage]:
        """The stages that were counted."""
        return [stage for stage, _ in self.facts.answers]

    def chart(
        self,
        key: str,
        title: str,
        description: str,
        top: float,
        label: Callable[[float], str],
        lines: Sequence[Line],
        bands: Sequence[Band] = (),
        *,
        low: float = 0.0,
        ticks: Sequence[float] = (),
    ) -> Chart:
        """One over the whole time, with stages and marks. With ``low`` its axis is logarithmic."""
        start, end = self.facts.window
        shades = [Shade(one.start, one.end, f"{one.weight:g} %") for one in self.stages]
        return Chart(
            key=key,
            title=title,
            description=description,
            start=start,
            end=end,
            top=top,
            label=label,
            lines=lines,
            bands=bands,
            shades=shades,
            marks=self.marks,
            low=low,
            log=low > 0,
            ticks=ticks,
        )

    def parts(self, value: Callable[[Look], float | None]) -> list[list[tuple[datetime, float]]]:
        """One line a stage, of the looks that have the value."""
        found: dict[int, list[tuple[datetime, float]]] = {}
        for look in self.looks:
            one = value(look)
            if one is not None:
                found.setdefault(look.stage.number, []).append((look.at, one))
        return list(found.values())

    def last(self) -> dict[int, Look]:
        """The last look of each stage."""
        return {look.stage.number: look for look in self.looks}


def step_name(stage: Stage) -> str:
    """By its weight, as in the charts."""
    return f"{stage.weight:g} %"


def counted(tally: Tally) -> tuple[str, ...]:
    """Such as "1 %", "(0.6-1.7 %)" and "12 of 1,204"."""
    if tally.requests <= 0:
        return ("no requests",)
    low, high = wilson(tally)
    share = percent(tally.bad / tally.requests)
    interval = f"({percent(low).removesuffix(' %')}–{percent(high)})"  # noqa: RUF001 (a range)
    return share, interval, f"{tally.bad:,} of {tally.requests:,}"


def weighed(check: CheckStatus | None) -> str:
    """Such as "0.02 of 40"."""
    if check is None or check.e_value is None or check.limit is None:
        return "-"
    return f"{check.e_value:.2g} of {check.limit:.3g}"


def weight_of(check: CheckStatus | None) -> float | None:
    """The evidence in units of its limit."""
    if check is None or check.e_value is None or not check.limit:
        return None
    return check.e_value / check.limit


def between(start: datetime, end: datetime | None) -> str:
    """A stretch of time, in UTC; without an end it goes on."""
    start = start.astimezone(UTC)
    if end is None:
        return f"since {start:%Y-%m-%d %H:%M:%S} UTC"
    end = end.astimezone(UTC)
    form = "%H:%M:%S" if start.date() == end.date() else "%Y-%m-%d %H:%M:%S"
    return f"{start:%Y-%m-%d %H:%M:%S} to {end.strftime(form)} UTC"


def clock(at: datetime) -> str:
    """The moment to the second."""
    return at.astimezone(UTC).strftime("%H:%M:%S")


def dated(at: datetime) -> str:
    """The moment with its date, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
