"""The rules of ``analysis/signature.py`` against MLflow's own: harmless is what takes all that was taken before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from e2e.environment import interpreter
from serin.analysis.signature import Array
from serin.analysis.signature import Field
from serin.analysis.signature import Map
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.analysis.signature import Tensor
from serin.analysis.signature import Type
from serin.analysis.signature import broken

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SCRIPT = Path(__file__).parent / "enforce.py"
Table = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def table() -> Table:
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([interpreter("mlflow-server"), SCRIPT], check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found: Table = json.loads(done.stdout.splitlines()[-1])
    return found


def tensor(words: str) -> Tensor:
    dtype, _, shape = words.partition(" ")
    return Tensor(dtype, tuple(int(length) for length in shape.strip("(,)").split(",") if length.strip()))


def column(kind: Type) -> Signature:
    return Signature(inputs=Schema((Field("a", kind),)))


def param(kind: Type) -> Signature:
    return Signature(params=(Field("k", kind),))


@pytest.mark.parametrize(
    ("part", "made"),
    [
        ("columns", lambda name: column(Scalar(name))),
        ("arrays", lambda name: column(Array(Scalar(name)))),
        ("maps", lambda name: column(Map(Scalar(name)))),
        ("params", lambda name: param(Scalar(name))),
        ("tensors", lambda name: column(tensor(name))),
    ],
)
def test_a_change_is_harmless_where_mlflow_takes_all_that_it_took(
    table: Table, part: str, made: Callable[[str], Signature]
) -> None:
    types = {name: frozenset(values) for name, values in table[part].items() if values}
    assert len(types) >= 6
    for old, new in product(types, types):
        harmless = not list(broken(made(old), made(new)))
        missed = types[old] - types[new]
        assert harmless == (not missed), f"{old} -> {new}: {sorted(missed)}"
