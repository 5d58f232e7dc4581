"""Mistakes in the core that no test notices: ``python -m tests.mutants``. Keeps the table in ``bench/mutants.md``.

Each mutant runs in a process of its own, forked from one that has imported everything but the core, and ends at the
first test that fails. Those that the tables of the core let pass meet the model check and the histories, too.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import hypothesis.stateful
import pytest

import serin.analysis.verdict
import serin.api.status
from tests.mutants.mutate import Mutant
from tests.mutants.mutate import mutants

ROOT = Path(__file__).parents[2]
CORE = ROOT / "operator" / "serin" / "rollout"
TABLE = ROOT / "bench" / "mutants.md"
FIRST = ["tests/unit/rollout"]
THEN = ["tests/modelcheck", "tests/property"]
QUIET = ["-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:warnings", "-p", "no:randomly"]
DEADLINE_SECONDS = 120
LOADED = (hypothesis.stateful, serin.analysis.verdict, serin.api.status)
"""Imported before the processes are forked."""


def main() -> int:
    """Run the mutants and write what was let pass. 1 where too many were."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=120, help="of all mutants so many; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--minutes", type=float, default=30, help="stop after so long")
    parser.add_argument("--module", help="only of one module, such as steps")
    parser.add_argument("--least", type=float, default=0.9, help="share that must be caught")
    arguments = parser.parse_args()
    every = [one for path in sorted(CORE.glob("*.py")) for one in mutants(path.stem, path.read_text())]
    if arguments.module:
        every = [one for one in every if one.module == arguments.module]
    chosen = every
    if 0 < arguments.sample < len(every):
        chosen = random.Random(arguments.seed).sample(every, arguments.sample)  # noqa: S311 (a sample)
    as_it_is = Mutant("steps", 0, "none", "", (CORE / "steps.py").read_text())
    if _caught(as_it_is, [*FIRST, *THEN]):
        _say("the tests fail without any mistake")
        return 1
    began, passed = time.monotonic(), []
    for number, mutant in enumerate(chosen, 1):
        if time.monotonic() - began > arguments.minutes * 60:
            chosen = chosen[: number - 1]
            break
        if not (_caught(mutant, FIRST) or _caught(mutant, THEN)):
            passed.append(mutant)
            _say(f"{number}/{len(chosen)} let pass: {mutant.module}.py:{mutant.line} {mutant.kind}: {mutant.was}")
    share = 1 - len(passed) / len(chosen)
    length = time.monotonic() - began
    _say(f"{len(chosen)} of {len(every)} mutants, {share:.1%} caught, {length:.0f} s")
    if not arguments.module:
        TABLE.write_text(_table(every, chosen, passed, arguments.seed))
    return 0 if share >= arguments.least else 1


def _caught(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Whether a test fails, or no end comes."""
    child = os.fork()
    if child == 0:
        signal.alarm(DEADLINE_SECONDS)
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        sys.meta_path.insert(0, _Mutated(mutant))
        os._exit(0 if pytest.main([*QUIET, *tests]) == pytest.ExitCode.OK else 1)
    _, status = os.waitpid(child, 0)
    return status != 0


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant for its module."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"serin.rollout.{mutant.module}"
        self._source = mutant.source

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, f"{self._name} with a mistake", "exec"), module.__dict__)  # noqa: S102 (that is it)


def _table(every: list[Mutant], chosen: list[Mutant], passed: list[Mutant], seed: int) -> str:
    known = _explained()
    lines = [
        "# Mutants of the core",
        "",
        f"`make mutants`: of {len(every):,} small mistakes in `operator/serin/rollout/` {len(chosen):,} were tried"
        + (f" (sample {seed})" if len(chosen) < len(every) else "")
        + f"; {1 - len(passed) / len(chosen):.1%} were caught by the tables of the core, the model check in small "
        "or the random histories. Those that nobody noticed, and why:",
        "",
        "| where | mistake | in | why nobody notices |",
        "| --- | --- | --- | --- |",
    ]
    for one in sorted(passed, key=lambda one: (one.module, one.line)):
        was = one.was.replace("|", "\\|")
        lines.append(f"| {one.module}.py | {one.kind} | `{was}` | {known.get((one.module, one.kind, was), '?')} |")
    return "\n".join(lines) + "\n"


def _explained() -> dict[tuple[str, str, str], str]:
    """The explanations that stand in the table already."""
    known: dict[tuple[str, str, str], str] = {}
    for line in TABLE.read_text().splitlines() if TABLE.exists() else ():
        cells = [cell.strip() for cell in line.replace("\\|", "\0").split("|")[1:-1]]
        if len(cells) == 4 and cells[0].endswith(".py"):
            module, kind, was, why = (cell.replace("\0", "\\|") for cell in cells)
            known[module.removesuffix(".py"), kind, was.strip("`")] = why
    return known


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
