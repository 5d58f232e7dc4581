"""The steps of a running rollout: what each gives the candidate, and which one it is in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.console import ConsoleOptions
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from serin.cli import terminal
from serin.cli import times
from serin.cli.seen import ALL
from serin.cli.seen import Seen
from serin.cli.seen import Step
from serin.cli.seen import text


@dataclass(frozen=True)
class Steps:
    """A table with one row a step, and one for the end, when the candidate gets everything; where it does not fit, the
    same in words: rich would cut columns, and leave out the last ones."""

    seen: Seen
    now: datetime

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The one that fits."""
        rows = list(_rows(self.seen, self.now))
        table = _table(rows)
        unbroken = options.update(width=terminal.UNBROKEN)
        fits = console.measure(table, options=unbroken).maximum <= options.max_width
        yield table if fits else _in_words(rows)


@dataclass(frozen=True)
class _Row:
    cells: dict[str, str]
    place: str
    style: str


def _table(rows: list[_Row]) -> Table:
    """Empty columns are left out."""
    table = Table(box=None, pad_edge=False, padding=(0, terminal.GAP, 0, 0), header_style="bold")
    always = ("Step", "Weight", "Hold")
    columns = [name for name in rows[0].cells if name in always or any(row.cells.get(name) for row in rows)]
    for column in columns:
        table.add_column(column, justify="right" if column == "Weight" else "left")
    table.add_column("")
    for row in rows:
        table.add_row(*[row.cells.get(column, "") for column in columns], row.place, style=row.style)
    return table


def _in_words(rows: list[_Row]) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        words = [f"{row.cells['Weight']} {row.cells['Hold']}".strip()]
        words += [f"{name.lower()} {row.cells[name]}" for name in ("Mirror", "Always", "Approval") if row.cells[name]]
        words += [row.place] if row.place else []
        table.add_row(row.cells["Step"], Text(", ".join(words)), style=row.style)
    return table


def _rows(seen: Seen, now: datetime) -> Iterator[_Row]:
    for number, step in enumerate(seen.steps, 1):
        style = "bold" if number == seen.step else "dim" if number < seen.step else ""
        yield _Row(_cells(number, step, seen), _place(number, seen, now), style)
    last = len(seen.steps) + 1
    bakes = seen.step >= last
    end = {"Step": ">end" if bakes else " end", "Weight": f"{ALL} %", "Mirror": "", "Always": ""}
    end |= {"Hold": _after(seen), "Approval": ""}
    yield _Row(end, _place(last, seen, now), "bold" if bakes else "")


def _cells(number: int, step: Step, seen: Seen) -> dict[str, str]:
    return {
        "Step": f"{'>' if number == seen.step else ' '} {number}",
        "Weight": f"{step.weight} %",
        "Mirror": f"{step.mirror} %" if step.mirror is not None else "",
        "Always": step.match,
        "Hold": step.hold,
        "Approval": _approval(number, step, seen),
    }


def _approval(number: int, step: Step, seen: Seen) -> str:
    if not step.approval:
        return ""
    if number < seen.step or (number == seen.step and seen.rollout.get("approvedStep") == number):
        return "given"
    return "awaited" if number == seen.step and seen.phase == "AwaitingApproval" else "needed"


def _place(number: int, seen: Seen, now: datetime) -> str:
    if number < seen.step:
        return "done"
    if number > seen.step:
        return ""
    started = times.parse(seen.rollout.get("stepStartedAt"))
    if started is None:
        return "begins anew when the candidate has its weight again"
    return f"since {times.moment(started, now)}"


def _after(seen: Seen) -> str:
    bake = text(seen.course.get("bake"))
    return f"bake {bake}" if bake and bake != "0s" else ""
