"""What is simulated, and what must come out."""

from __future__ import annotations

from collections.abc import Callable

from bench.judge.simulate import LEVEL
from bench.judge.simulate import Cell
from bench.judge.simulate import Found

TRAFFIC = (200, 1_000, 10_000)
RATES = (0.005, 0.02)
FASTEST_STEPS = (1, 5, 25, 50)


def _at_most(share: float) -> Callable[[Found], bool]:
    return lambda found: found.share <= share


def _within(minutes: float) -> Callable[[Found], bool]:
    return lambda found: found.minute <= minutes


def _at_least(share: float) -> Callable[[Found], bool]:
    return lambda found: found.share >= share


def _false(cell: Cell, most: float) -> Cell:
    return Cell(**{**vars(cell), "must": f"≤ {most:.0%}", "kept": _at_most(most)})


CELLS = (
    *(_false(Cell(traffic, rate, rate), LEVEL) for rate in RATES for traffic in TRAFFIC),
    *(_false(Cell(1_000, rate, 1.25 * rate), LEVEL) for rate in (*RATES, 0.3)),
    *(_false(Cell(traffic, rate, rate, clump=3), 2 * LEVEL) for rate in RATES for traffic in TRAFFIC),
    Cell(1_000, 0.005, 0.005, clump=10),
    *(_false(Cell(traffic, 0.005, 0.005, weights=FASTEST_STEPS), LEVEL) for traffic in TRAFFIC),
    _false(Cell(1_000, 0.005, 0.00625, weights=FASTEST_STEPS), LEVEL),
    Cell(1_000, 0.005, 0.03, must="median ≤ 3 m", kept=_within(3)),
    Cell(1_000, 0.02, 0.04, must="median ≤ 15 m", kept=_within(15)),
    Cell(200, 0.005, 0.03, must="≥ 95 %", kept=_at_least(0.95)),
    Cell(200, 0.02, 0.04),
    Cell(10_000, 0.005, 0.03),
    Cell(10_000, 0.02, 0.04),
    Cell(10_000, 0.02, 0.03),
)
