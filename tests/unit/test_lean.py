"""What an operator imports stays in its memory for ever: the large packages are there only as far as they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import serin
from serin.lean import import_lean

# Each is imported by a package's __init__ that is left out.
UNUSED = ("fastapi", "kubernetes.client.rest", "mlflow.tracking.client", "mlflow.tracing.fluent", "numpy")
REQUEST = """
from mlflow.utils.rest_utils import MlflowHostCreds, http_request
try:
    http_request(MlflowHostCreds(host="http://127.0.0.1:1"), "/version", "GET", max_retries=0, timeout=1)
except Exception as error:
    assert "Connection refused" in str(error), error
"""


def _loaded(code: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(serin.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Modules of an operator that has asked a registry for something."""
    return _loaded("import serin.controller.app" + REQUEST)


@pytest.mark.parametrize("module", UNUSED)
def test_what_is_not_used_is_not_loaded(loaded: set[str], module: str) -> None:
    assert "mlflow.utils.rest_utils" in loaded
    assert module not in loaded


def test_the_packages_themselves_load_all_of_it() -> None:
    whole = _loaded("import mlflow, kubernetes")
    assert set(UNUSED) <= whole


def test_a_package_that_somebody_imported_stays_as_it_is() -> None:
    assert import_lean("json") is None
    assert import_lean("no_such_package") is None
