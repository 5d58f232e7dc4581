"""``python -m bench.judge``: simulate, print the table, keep it in ``judge.md``, and fail where a promise is broken."""

from __future__ import annotations

import argparse
import platform
import time
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from pathlib import Path

import numpy as np

from bench.judge.cells import CELLS
from bench.judge.rivals import RIVALS
from bench.judge.simulate import CHECKS
from bench.judge.simulate import LEVEL
from bench.judge.simulate import TOLERANCE
from bench.judge.simulate import Cell
from bench.judge.simulate import Found
from bench.judge.simulate import Outcome
from bench.judge.simulate import simulate
from serin.analysis.checks import Sample
from serin.analysis.verdict import Versions
from serin.analysis.verdict import judge
from serin.api.analysis import Analysis
from serin.api.analysis import Tally

RESULTS = Path(__file__).parents[1] / "judge.md"
HEADS = ("requests a minute", "truth", "must", "Serin", "passes at 10 m", *RIVALS)


def main() -> None:
    """Simulate every cell."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="rollouts of each cell (10000)")
    parser.add_argument("--seed", type=int, default=7, help="of the first cell (7)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    options = parser.parse_args()
    began = time.monotonic()
    outcomes = []
    for number, cell in enumerate(CELLS):
        outcomes.append(simulate(cell, options.runs, options.seed + number))
        print(_row(outcomes[-1]), flush=True)
    options.results.write_text(_report(outcomes, options, time.monotonic() - began))
    print(f"kept in {options.results}")
    broken = [outcome for outcome in outcomes if not outcome.cell.kept(outcome.serin)]
    if broken:
        raise SystemExit("broken: " + "; ".join(f"{_truth(one.cell)} at {one.cell.traffic}" for one in broken))


def _report(outcomes: list[Outcome], options: argparse.Namespace, seconds: float) -> str:
    lines = [
        "# The judge, by simulation",
        "",
        f"`make judge`: {options.runs:,} rollouts a cell, judged every 30 s for an hour; the candidate has 10 % of the "
        f"requests where no other weights are named. Serin: {CHECKS} checks (errors as in the table, slow answers "
        f"alike in both), tolerance {TOLERANCE:.0%}, level {LEVEL:.0%} over both. The others see the errors alone.",
        "",
        "A figure is the share of rollouts that were rolled back; in brackets the median minute, over all rollouts. "
        "Where candidate and stable are equal, or differ by no more than the tolerance, every rollback is a false one. "
        "*Passes at 10 m*: the share of rollouts whose first step Serin would let pass after ten minutes, with "
        "`minRequests: 200`.",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, numpy {np.__version__}, "
        f"seed {options.seed}; {seconds:.0f} s on one core",
        f"- one look of the product itself at one check: {_microseconds():.0f} µs",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---" * len(HEADS) + "|",
        *(_row(outcome) for outcome in outcomes),
        "",
    ]
    return "\n".join(lines)


def _row(outcome: Outcome) -> str:
    cell = outcome.cell
    serin = f"{'' if cell.kept(outcome.serin) else 'BROKEN '}**{_said(outcome.serin)}**"
    rivals = [_said(outcome.rivals[name]) if name in outcome.rivals else "" for name in RIVALS]
    cells = [f"{cell.traffic:,}", _truth(cell), cell.must, serin, f"{outcome.passed:.1%}", *rivals]
    return "| " + " | ".join(cells) + " |"


def _truth(cell: Cell) -> str:
    said = (
        f"equal, {100 * cell.stable:.3g} %"
        if cell.stable == cell.candidate
        else f"{100 * cell.stable:.3g} → {100 * cell.candidate:.3g} %"
    )
    if cell.clump > 1:
        said += f", clumps of {cell.clump}"
    if len(cell.weights) > 1:
        said += f", steps of {', '.join(str(weight) for weight in cell.weights)} %"
    return said


def _said(found: Found) -> str:
    return f"{found.share:.2%}" + (f" ({found.minute:g})" if found.minute != float("inf") else "")


def _microseconds(looks: int = 500) -> float:
    analysis = Analysis.model_validate(
        {"checks": [{"name": "errors", "measure": "ErrorRate", "atMost": "5%", "notWorseThanStable": {}}]}
    )
    since = datetime(2026, 1, 1, tzinfo=UTC)
    statuses = judge(analysis, {}, (), Versions("v13", "v12"))
    began = time.perf_counter()
    for number in range(1, looks + 1):
        candidate, stable = Tally(requests=50 * number, bad=number), Tally(requests=450 * number, bad=7 * number)
        sample = Sample(candidate, stable, since, since + timedelta(seconds=30 * number))
        statuses = judge(analysis, {"errors": sample}, statuses, Versions("v13", "v12"))
    return (time.perf_counter() - began) / looks * 1e6


if __name__ == "__main__":
    main()
