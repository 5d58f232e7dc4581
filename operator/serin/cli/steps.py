"""The steps of a running rollout as a table: what each gives the candidate, and which one it is in."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table
from rich.text import Text

from serin.cli import times
from serin.cli.seen import ALL
from serin.cli.seen import Seen
from serin.cli.seen import Step
from serin.cli.seen import text


def step_table(seen: Seen, now: datetime) -> Table:
    """One row a step, and one for the end, when the candidate gets everything. Empty columns are left out."""
    steps = seen.steps
    columns = ["Step", "Weight"]
    columns += ["Mirror"] if any(step.mirror is not None for step in steps) else []
    columns += ["Always"] if any(step.match for step in steps) else []
    columns += ["Hold"]
    columns += ["Approval"] if any(step.approval for step in steps) else []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column != "Always", justify="right" if column == "Weight" else "left")
    table.add_column("")
    for number, step in enumerate(steps, 1):
        cells = _cells(number, step, seen)
        style = "bold" if number == seen.step else "dim" if number < seen.step else ""
        table.add_row(*[cells[column] for column in columns], _place(number, seen, now), style=style)
    bakes = seen.step > len(steps)
    end = {"Step": ">end" if bakes else " end", "Weight": f"{ALL} %", "Hold": _after(seen)}
    place = _place(len(steps) + 1, seen, now)
    table.add_row(*[end.get(column, "") for column in columns], place, style="bold" if bakes else "")
    return table


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


def _place(number: int, seen: Seen, now: datetime) -> Text:
    if number < seen.step:
        return Text("done")
    if number > seen.step:
        return Text()
    started = times.parse(seen.rollout.get("stepStartedAt"))
    if started is None:
        return Text("begins anew when the candidate has its weight again")
    return Text(f"since {times.moment(started, now)}")


def _after(seen: Seen) -> str:
    bake = text(seen.course.get("bake"))
    return f"bake {bake}" if bake and bake != "0s" else ""
