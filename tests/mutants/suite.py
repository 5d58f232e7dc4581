"""The tests, collected once: for each mutant a process is forked from the one that has them, and runs what matters.

Which tests run a line is found out first, in one run with a trace. A mistake inside a function is put in its place as
the new code of the function in the loaded module; of the tests that run its line those go first that caught the last
mistakes in the same function, then those that catch the most in the shortest time. The model check in small and the
random histories come last.
"""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from itertools import accumulate
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pytest

from tests.mutants.forks import forked
from tests.mutants.forks import silent
from tests.mutants.inside import put
from tests.mutants.inside import traced
from tests.mutants.mutate import Mutant

FIRST = ("tests/unit/rollout", "tests/unit/analysis", "tests/unit/controller", "tests/unit/cli")
LAST = ("tests/modelcheck", "tests/property")
# There the mistakes that the model check must find stand beside the mutant: what they show is the model check's.
LEFT_OUT = "test_a_mistake_in_the_core_is_found"
QUIET = ("-q", "-s", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:warnings", "-o", "timeout=0")

# A test may take so long, and so much longer than with the trace.
LEAST_SECONDS, PATIENCE = 3, 4

Told = Callable[[Mutant, str], bool]
"""Called with each mutant and with what has caught it, "" where nothing has. False ends the run."""


def run(chosen: Sequence[Mutant], tests: Sequence[str], told: Told, trace: Path, most: float = inf) -> bool:
    """Run mutants of functions, for each as many tests as take so many seconds at ``most`` with the trace. False where
    a test fails without any mistake. What the trace has found out is kept in a file."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as report, TemporaryDirectory(prefix="mutants-") as base:
            silent()
            plugin = _Run(chosen, report, trace, most)
            pytest.main([*QUIET, f"--basetemp={base}/tests", *tests], plugins=[plugin])
        os._exit(0)
    os.close(writing)
    sound = False
    with os.fdopen(reading, "rb") as report:
        while True:
            try:
                number, by = pickle.load(report)  # noqa: S301 (from our own child)
            except EOFError:
                break
            if number is None:
                sound = by == ""
            elif not told(chosen[number], by):
                os.kill(child, signal.SIGTERM)
                break
    os.waitpid(child, 0)
    return sound


@dataclass
class _Known:
    """What the run with the trace has found out of a test."""

    seconds: float = 0
    lines: set[tuple[str, int]] = field(default_factory=set)
    tried: int = 0
    caught: int = 0

    @property
    def price(self) -> float:
        """Seconds that it takes to catch one, by what is known so far."""
        return self.seconds * (self.tried + 4) / (self.caught + 1)


class _Run:
    """A pytest plugin that takes the place of its loop."""

    def __init__(self, chosen: Sequence[Mutant], report: BinaryIO, trace: Path, most: float) -> None:
        self._chosen = chosen
        self._report = report
        self._trace = trace
        self._most = most
        self._failed = ""
        self._catchers: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if LEFT_OUT not in item.nodeid]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self._failed:
            self._failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        failed = forked(lambda: self._traced(session.items))
        self._tell(None, failed)
        if failed:
            return True
        items = {item.nodeid: item for item in session.items}
        known = {name: one for name, one in self._known().items() if name in items}
        for number, mutant in enumerate(self._chosen):
            order = self._order(mutant, known)
            by = self._tried(mutant, [items[name] for name in order], known)
            if by in order:
                self._catchers[mutant.place] = [by, *(one for one in self._catchers[mutant.place] if one != by)][:5]
                known[by].caught += 1
            for name in order[: order.index(by) + 1] if by in order else () if by else order:
                known[name].tried += 1
            self._tell(number, by)
        return True

    def _tried(self, mutant: Mutant, order: list[pytest.Item], known: dict[str, _Known]) -> str:
        def act() -> str:
            _forget()
            put(mutant)
            return self._played(order, known)

        return forked(act)

    def _tell(self, number: int | None, by: str) -> None:
        pickle.dump((number, by), self._report)
        self._report.flush()

    def _order(self, mutant: Mutant, known: dict[str, _Known]) -> list[str]:
        """The tests that may notice it, in the order in which they are tried."""
        places = {(mutant.module, line) for line in mutant.lines}
        catchers = self._catchers[mutant.place]

        def rank(name: str) -> tuple[bool, int, float]:
            recent = catchers.index(name) if name in catchers else len(catchers)
            return name.startswith(LAST), recent, known[name].price

        names = sorted((name for name, one in known.items() if name.startswith(LAST) or places & one.lines), key=rank)
        spent = accumulate(known[name].seconds for name in names)
        return [name for name, seconds in zip(names, spent, strict=True) if seconds <= self._most or name == names[0]]

    def _played(self, order: Sequence[pytest.Item], known: Mapping[str, _Known] | None = None) -> str:
        """The first test that fails. One that takes much longer than it did before ends the process."""
        for item, coming in zip(order, [*order[1:], None], strict=True):
            if known is not None:
                signal.setitimer(signal.ITIMER_VIRTUAL, LEAST_SECONDS + PATIENCE * known[item.nodeid].seconds)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=coming)
            if self._failed:
                return self._failed
        return ""

    def _known(self) -> dict[str, _Known]:
        """What earlier runs have found out."""
        return pickle.loads(self._trace.read_bytes()) if self._trace.exists() else {}  # noqa: S301 (from ourselves)

    def _traced(self, items: Sequence[pytest.Item]) -> str:
        known = self._known()
        for item in (item for item in items if item.nodeid not in known):
            one = known[item.nodeid] = _Known()
            _forget()
            began = time.process_time()
            if item.nodeid.startswith(LAST):
                self._played([item])
            else:
                with traced(one.lines):
                    self._played([item])
            one.seconds = time.process_time() - began
            if self._failed:
                return self._failed
        self._trace.write_bytes(pickle.dumps(known))
        return ""


def _forget() -> None:
    """What the core decided for one test, or without a mistake, is not taken over."""
    # Imported here: it loads the core.
    from tests.unit.rollout.scene import forget

    forget()
