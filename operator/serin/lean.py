"""Importing of a large package only the modules that are used: an operator pays for every one in memory, for ever."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from importlib.util import module_from_spec
from types import ModuleType


def import_lean(package: str) -> ModuleType | None:
    """Make a package's modules importable without what its ``__init__`` imports.

    Submodules are found by ``__path__``, which stands here as it would. Who imported the package before has it as it
    is.

    Args:
        package: its name; its parent, if it has one, is there already.

    Returns:
        The package, empty; None where it is not installed or was imported before.
    """
    if package in sys.modules:
        return None
    spec = find_spec(package)
    if spec is None:
        return None
    module = sys.modules[package] = module_from_spec(spec)
    return module
