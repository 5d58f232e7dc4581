"""The only user of the kubernetes client: requests to the API server, and what they may answer."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from importlib.util import module_from_spec


def _import_lean(package: str) -> None:
    """Make a package's modules importable without what its ``__init__`` imports.

    ``import kubernetes`` loads the whole synchronous client, watches and informers: 17 MB of memory that an operator
    has no use for, and kopf pays them too where the package is installed. Submodules are found by ``__path__``, which
    stands here as it would; who imported the package before has it as it is.
    """
    if package in sys.modules:
        return
    spec = find_spec(package)
    if spec is not None:
        sys.modules[package] = module_from_spec(spec)


_import_lean("kubernetes")
