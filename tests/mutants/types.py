"""Mistakes that the type checker sees, such as a None where a function promises something else."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mypy import api

from tests.mutants.forks import forked
from tests.mutants.inside import CORE
from tests.mutants.mutate import Mutant

NOTHING = "Success"


class Types:
    """The type checker, with one module of the core exchanged at a time."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._written = 0
        self._before: dict[str, list[str]] = {}

    def refuse(self, mutant: Mutant) -> bool:
        """Whether there is anything to complain about that was not there before."""
        if mutant.module not in self._before:
            # Without its comments, which a mutant has lost, too.
            whole = ast.unparse(ast.parse((CORE / f"{mutant.module}.py").read_text()))
            self._before[mutant.module] = self._complaints(mutant.module, whole)
        return self._complaints(mutant.module, mutant.source) != self._before[mutant.module]

    def _complaints(self, module: str, source: str) -> list[str]:
        """Without the numbers of their lines."""
        mutated = self._folder / "mutated.py"
        mutated.write_text(source)
        # The checker knows a file by its size and by the second in which it was written.
        self._written += 1
        os.utime(mutated, (self._written, self._written))
        shadow = ["--shadow-file", str(CORE / f"{module}.py"), str(mutated)]

        def act() -> str:
            told, trouble, _ = api.run(["--cache-dir", str(self._folder / "cache"), *shadow, str(CORE)])
            return told or trouble or NOTHING

        # In a process of its own: mypy keeps what it has read, 30 MB each time.
        told = forked(act)
        assert ": error: " in told or told.startswith(NOTHING), told
        return sorted(line.partition(": ")[2] for line in told.splitlines() if ": error: " in line)


@contextmanager
def checked() -> Iterator[Types]:
    """A type checker in a folder of its own."""
    with TemporaryDirectory(prefix="mutants-") as folder:
        yield Types(folder)
