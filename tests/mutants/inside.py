"""Inside the loaded core: a mistake put into a function, and the lines that a test runs."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType
from types import FrameType
from types import FunctionType
from types import ModuleType
from typing import Any

from tests.mutants.mutate import Mutant

CORE = Path(__file__).parents[2] / "operator" / "serin" / "rollout"


def put(mutant: Mutant) -> None:
    """Make the mistake in the module that is loaded."""
    module = sys.modules[f"serin.rollout.{mutant.module}"]
    found: Any = module
    code = compile(mutant.source, f"{mutant.module} with a mistake", "exec")
    for name in mutant.scope.split("."):
        found = vars(found)[name]
        code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)
    _function(found).__code__ = code


def _function(found: Any) -> FunctionType:
    """The function behind what decorators made of it."""
    for name in ("fget", "__func__", "__wrapped__"):
        found = getattr(found, name, None) or found
    assert isinstance(found, FunctionType)
    return found


@contextmanager
def traced(lines: set[tuple[str, int]]) -> Iterator[None]:
    """Collect the lines of the core that are run, by module and number."""
    modules = {str(path): path.stem for path in CORE.glob("*.py")}

    def called(frame: FrameType, event: str, _: object) -> Any:
        module = modules.get(frame.f_code.co_filename)
        if module is None:
            return None

        def stepped(inner: FrameType, event: str, _: object) -> Any:
            if event == "line":
                lines.add((module, inner.f_lineno))
            return stepped

        return stepped

    before = sys.gettrace()
    sys.settrace(called)
    try:
        yield
    finally:
        sys.settrace(before)


class Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutant for its module, where none of the core is loaded yet."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"serin.rollout.{mutant.module}"
        self._source = mutant.source

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, f"{self._name} with a mistake", "exec"), module.__dict__)  # noqa: S102 (that is it)
