"""The results as a Markdown page: a row for each mode, a column for each workload."""

from __future__ import annotations

import inspect
from collections import defaultdict

from bench.table import surroundings
from tests.crashes.campaign import Campaign
from tests.crashes.faults import FAULTS
from tests.crashes.run import Result
from tests.crashes.workloads import WORKLOADS


def page(campaign: Campaign) -> str:
    """What was done, on what, and what came of it."""
    runs = [result for _, result in campaign.results]
    parts = [
        "# Crashes",
        "Made by `make crashes`: the operator is killed (SIGKILL) at every write of every workload, and everything "
        "else that may go wrong between it and a real API server goes wrong. A run is ok when its end, the number of "
        "objects that were made and removed, and the shares of requests on the way are those of a run without a fault, "
        "nothing is written after the end, and nothing happened that never may: a route that names what does not exist "
        "or gives requests to what was rejected, a step that began twice or was cut short, an event told twice.",
        surroundings(),
        _summary(campaign, runs),
        _table(campaign),
        _workloads(campaign),
    ]
    if campaign.failed:
        parts.append(_failures(campaign.failed))
    return "\n\n".join(parts) + "\n"


def _summary(campaign: Campaign, runs: list[Result]) -> str:
    failed = len(campaign.failed)
    idle = sum(not result.happened for result in runs)
    cpu = sum(result.cpu for result in runs)
    return (
        f"**{len(runs)} runs, {len(runs) - failed} ok, {failed} failed**, in {campaign.seconds:.0f} s, "
        f"{campaign.workers} at a time. In {idle} the fault had no occasion (fewer writes than without it). "
        f"An operator took {cpu / max(1, len(runs)):.2f} s of processor time a run, starts included."
    )


def _table(campaign: Campaign) -> str:
    cells: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for plan, result in campaign.results:
        cells[plan.fault.name, plan.workload].append(result)
    names = [name for name in WORKLOADS if name in campaign.endings]
    rows = [_row("runs that were ok", names), "|---|" + "---|" * len(names)]
    for fault in FAULTS:
        row = [cells[fault.name, name] for name in names]
        if any(row):
            rows.append(_row(f"`{fault.name}`: {fault.what}", [_cell(results) for results in row]))
    return "\n".join(rows)


def _cell(results: list[Result]) -> str:
    failed = sum(bool(result.failures) for result in results)
    if not results:
        return ""
    return f"**{failed} of {len(results)} failed**" if failed else str(len(results))


def _workloads(campaign: Campaign) -> str:
    rows = [_row("workload", ["what happens", "writes"]), "|---|---|---|"]
    for name, ending in campaign.endings.items():
        rows.append(_row(f"`{name}`", [inspect.getdoc(WORKLOADS[name]) or "", str(len(ending.writes))]))
    return "\n".join(rows)


def _failures(failed: list[Result]) -> str:
    return "\n".join(f"- `{result.name}`: {result.failures[0]}" for result in failed)


def _row(label: str, cells: list[str]) -> str:
    return "| " + " | ".join([label, *cells]) + " |"
