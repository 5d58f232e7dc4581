"""Mistakes in the core that no test notices: ``python -m tests.mutants``. Keeps the table in ``bench/mutants.md``.

The unit tests that catch most have a glance at every mutant; what they let pass meets the type checker, then every
test that runs its line, the model check in small and the random histories. Those that a person has explained in the
table are spared the last.

What is found out is written down at once: a run that is stopped goes on where it was, as long as neither the code nor
the tests have changed. The table is written when every mutant of the core has been tried.
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
from tests.mutants.records import GLANCE
from tests.mutants.records import NOBODY
from tests.mutants.records import PASSED
from tests.mutants.records import TYPED
from tests.mutants.records import TYPES
from tests.mutants.records import Records
from tests.mutants.table import Reasons
from tests.mutants.table import explained
from tests.mutants.table import table
from tests.mutants.table import without_reason
from tests.mutants.types import checked

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "bench" / "mutants.md"
KEPT = ROOT / ".mutants" / "records.jsonl"
GLANCE_SECONDS = 5
"""Of tests with their trace."""
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
    records, known = Records(KEPT, anew=arguments.anew, trust=arguments.trust), explained(TABLE)
    if not _run(chosen, records, known, arguments.minutes * 60):
        _say("a test fails without any mistake")
        return 1
    passed = [one for one in chosen if records.last(one) in PASSED]
    open_ones = [one for one in without_reason(passed, known) if records.last(one) == NOBODY]
    explained_ones = len(passed) - len(without_reason(passed, known))
    caught = sum(records.last(one) not in (None, *PASSED) for one in chosen)
    tried = caught + explained_ones + len(open_ones)
    for one in open_ones:
        _say(f"let pass: {one.place}: {one.was} -> {one.becomes}")
    _say(
        f"{tried:,} of {len(every):,} mutants tried: {caught:,} caught, {explained_ones:,} let pass for a reason, "
        f"{len(open_ones):,} without one"
    )
    if tried == len(every):
        TABLE.write_text(table(every, records, known))
    return 0 if tried and len(open_ones) <= (1 - arguments.least) * tried else 1


def _run(chosen: Sequence[Mutant], records: Records, known: Reasons, seconds: float) -> bool:
    """Try what is not known yet, by what is quickest first. False where a test fails without any mistake."""
    began = time.monotonic()

    def told(mutant: Mutant, by: str) -> bool:
        records.add(mutant, by)
        return time.monotonic() - began < seconds

    def tested(some: Sequence[Mutant], tests: Sequence[str], passed: str, most: float) -> bool:
        _say(f"{len(some)} mutants for {', '.join(tests)}")
        return not some or suite.run(some, tests, lambda one, by: told(one, by or passed), records.trace, most)

    unknown = [one for one in chosen if one.scope and records.last(one) is None]
    if not tested(unknown, suite.FIRST, GLANCE, GLANCE_SECONDS):
        return False
    with checked() as types:
        for mutant in (one for one in chosen if records.last(one) in ((GLANCE,) if one.scope else (None, GLANCE))):
            told(mutant, TYPED if types.refuse(mutant) else TYPES)
    left = [one for one in without_reason(chosen, known) if records.last(one) == TYPES]
    for mutant in (one for one in left if not one.scope):
        if not told(
            mutant, _loaded(mutant, suite.FIRST[:1]) or _loaded(mutant, suite.FIRST[1:] + suite.LAST) or NOBODY
        ):
            return True
    return tested([one for one in left if one.scope], (*suite.FIRST, *suite.LAST), NOBODY, inf)


def _loaded(mutant: Mutant, tests: Sequence[str]) -> str:
    """What catches a mistake in what runs when a module is loaded: the core is loaded with it, and all the tests."""

    def act() -> str:
        silent()
        sys.meta_path.insert(0, Instead(mutant))
        passed = pytest.main([*suite.QUIET, "-x", "-k", f"not {suite.LEFT_OUT}", *tests]) == pytest.ExitCode.OK
        return "" if passed else " ".join(tests)

    return forked(act)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
