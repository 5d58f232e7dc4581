"""``python -m bench``: measure, print the table, and keep it in ``results.md``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

from bench import table
from bench.copies import ORIGINALS
from bench.copies import copy
from bench.copies import freeze
from bench.latency import contests
from bench.scale import QUIET_SECONDS
from bench.scale import burst
from bench.scale import rest
from bench.scale import restart
from bench.stage import Stage
from bench.stage import prepare
from bench.stage import staged
from bench.table import Figures
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_kserve

RESULTS = Path(__file__).parent / "results.md"
MEASURES = ("burst", "restart", "rest", "latency")
RESTARTS = 3


def main() -> None:
    """Measure what is asked for."""
    options = _options()
    measured: list[Figures] = []

    def keep(figures: Figures) -> None:
        # After each size: the next one may take an hour, and may not fit the machine.
        measured.append(figures)
        options.results.write_text(f"# Measured\n\n{table.surroundings()}\n\n{table.table(measured)}\n")

    for objects in options.objects:
        print(f"bench: {objects:,} objects", flush=True)
        with _plane() as plane:
            keep(asyncio.run(_measure(plane, objects, options)))
    if options.copies:
        with _plane() as plane:
            asyncio.run(_measure_copies(plane, options, keep))
    print(options.results.read_text())


@contextlib.contextmanager
def _plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        add_kserve(plane)
        prepare(plane)
        yield plane


async def _measure(plane: ControlPlane, objects: int, options: argparse.Namespace) -> Figures:
    async with staged(plane) as stage:
        figures = Figures(objects)
        if "restart" in options.only:
            figures.empty = await restart(stage)
        figures.burst = await burst(stage, objects)
        _say(stage, "all are Healthy")
        if "rest" in options.only:
            figures.rest = await rest(stage, options.rest)
            _say(stage, "rested")
        if "restart" in options.only:
            figures.restarts = [await restart(stage) for _ in range(options.restarts)]
            _say(stage, "restarted")
        if "latency" in options.only:
            figures.contests = await contests(stage, options.changes, options.pause)
        return figures


async def _measure_copies(plane: ControlPlane, options: argparse.Namespace, keep: Callable[[Figures], None]) -> None:
    """What is looked at and kept in memory, of as many objects as KServe would make in hours."""
    async with staged(plane) as stage:
        await stage.create(ORIGINALS)
        await stage.settled()
        await stage.operator.looked_at(ORIGINALS)
        await asyncio.sleep(QUIET_SECONDS)
        originals = await freeze(stage)
        for objects in sorted(options.copies):
            figures = Figures(objects, copies_of=ORIGINALS)
            print(f"bench: {objects:,} objects, copies of {ORIGINALS}", flush=True)
            await asyncio.to_thread(stage.operator.process.stop)
            seconds = await copy(stage, originals, objects)
            print(f"bench: copied in {seconds:.0f} s", flush=True)
            figures.restarts = [await restart(stage) for _ in range(options.restarts)]
            _say(stage, "restarted")
            figures.rest = await rest(stage, options.rest)
            _say(stage, "rested")
            keep(figures)


def _say(stage: Stage, what: str) -> None:
    print(f"bench: {what} ({stage.operator.process.resident_mebibytes():.0f} MiB)", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--objects", type=_numbers, default=[100, 1000], help="numbers of objects (100,1000)")
    parser.add_argument(
        "--copies",
        type=_numbers,
        default=[10_000],
        help=f"numbers of objects of which all but {ORIGINALS} are copies: restart and rest alone (10000)",
    )
    parser.add_argument("--changes", type=int, default=300, help="changes of each kind to either contestant (300)")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two changes (0.2)")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds of rest (60)")
    parser.add_argument("--restarts", type=int, default=RESTARTS, help=f"restarts ({RESTARTS})")
    parser.add_argument("--only", type=_measures, default=MEASURES, help=f"some of {','.join(MEASURES)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the table is kept")
    parser.add_argument("--quick", action="store_true", help="a few objects and changes: shows that it works, no more")
    options = parser.parse_args()
    if options.quick:
        options.objects, options.changes, options.rest, options.restarts = [4], 3, 5.0, 1
        # A control plane of its own, for what the four have shown already.
        options.copies = []
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _measures(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    unknown = set(chosen) - set(MEASURES)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    return chosen


if __name__ == "__main__":
    main()
