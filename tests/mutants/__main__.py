"""Mistakes in the core that no test notices: ``python -m tests.mutants``. Keeps the table in ``bench/mutants.md``.

What is found out of a mutant is written down at once: a run that is stopped goes on where it was, as long as neither
the code nor the tests have changed. The table is written when every mutant of the core has been tried.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

import hypothesis.stateful
import pytest

import serin.analysis.verdict
import serin.api.status
from tests.mutants import suite
from tests.mutants.forks import forked
from tests.mutants.forks import silent
from tests.mutants.inside import CORE
from tests.mutants.inside import Instead
from tests.mutants.mutate import Mutant
from tests.mutants.mutate import mutants
from tests.mutants.records import NOBODY
from tests.mutants.records import TABLES
from tests.mutants.records import TYPED
from tests.mutants.records import TYPES
from tests.mutants.records import Records
from tests.mutants.table import explained
from tests.mutants.table import table
from tests.mutants.table import without_reason
from tests.mutants.types import checked

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "bench" / "mutants.md"
KEPT = ROOT / ".mutants" / "records.jsonl"
QUICK = 8
"""Seconds of tests, with their trace, for a first look at a mutant."""
LOADED = (hypothesis.stateful, serin.analysis.verdict, serin.api.status)
"""Imported before the processes are forked."""


def main() -> int:
    """Run the mutants and say what was let pass. 1 where too much of it has no explanation."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=120, help="of all mutants so many; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long")
    parser.add_argument("--module", help="only of one module, such as steps")
    parser.add_argument("--least", type=float, default=0.9, help="share that must be caught or explained")
    parser.add_argument("--quick", action="store_true", help="only the tests that catch most, as a first look")
    parser.add_argument("--anew", action="store_true", help="forget what earlier runs found out")
    parser.add_argument(
        "--trust", action="store_true", help="what was caught before counts, though code or tests have changed since"
    )
    arguments = parser.parse_args()
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    every = [one for path in sorted(CORE.glob("*.py")) for one in mutants(path.stem, path.read_text())]
    chosen = [one for one in every if one.module == (arguments.module or one.module)]
    if 0 < arguments.sample < len(chosen):
        chosen = random.Random(arguments.seed).sample(chosen, arguments.sample)  # noqa: S311 (a sample)
    records = Records(KEPT, anew=arguments.anew, trust=arguments.trust)
    if not _run(chosen, records, arguments.minutes * 60, quick=arguments.quick):
        _say("a test fails without any mistake")
        return 1
    tried = [one for one in chosen if records.last(one) not in (None, TABLES, *(() if arguments.quick else (TYPES,)))]
    passed = [one for one in tried if records.last(one) in (NOBODY, TYPES)]
    known = explained(TABLE)
    harmful = without_reason(passed, known)
    for one in harmful:
        _say(f"let pass: {one.place}: {one.was} -> {one.becomes}")
    _say(
        f"{len(tried):,} of {len(every):,} mutants tried: {len(tried) - len(passed):,} caught, "
        f"{len(passed) - len(harmful):,} let pass for a reason, {len(harmful):,} without one"
    )
    if len(tried) == len(every) and not arguments.quick:
        TABLE.write_text(table(every, records, known))
    return 0 if tried and len(harmful) <= (1 - arguments.least) * len(tried) else 1


def _run(chosen: Sequence[Mutant], records: Records, seconds: float, *, quick: bool) -> bool:
    """Try what is not known yet, by what is quickest first. False where a test fails without any mistake."""
    began = time.monotonic()

    def told(mutant: Mutant, by: str) -> bool:
        records.add(mutant, by)
        return time.monotonic() - began < seconds

    def tested(tests: Sequence[str], before: str | None, passed: str) -> bool:
        some = [one for one in chosen if one.scope and records.last(one) == before]
        _say(f"{len(some)} mutants for {', '.join(tests)}")
        return not some or suite.run(some, tests, lambda one, by: told(one, by or passed), QUICK if quick else inf)

    if not tested(suite.FIRST, None, TABLES):
        return False
    with checked() as types:
        for mutant in (one for one in chosen if records.last(one) == (TABLES if one.scope else None)):
            told(mutant, TYPED if types.refuse(mutant) else TYPES)
    if quick:
        return True
    for mutant in (one for one in chosen if not one.scope and records.last(one) == TYPES):
        if not told(mutant, forked(lambda mutant=mutant: _loaded(mutant))):  # type: ignore[misc]
            break
    return tested(suite.LAST, TYPES, NOBODY)


def _loaded(mutant: Mutant) -> str:
    """What catches a mistake in what runs when a module is loaded: the core is loaded with it."""
    silent()
    sys.meta_path.insert(0, Instead(mutant))
    tests = [*suite.FIRST, *suite.LAST, "-k", f"not {suite.LEFT_OUT}"]
    return NOBODY if pytest.main([*suite.QUIET, "-x", *tests]) == pytest.ExitCode.OK else "the tests, loaded with it"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
