"""Run in an environment with all of MLflow: which values it takes for which types. Prints a table.

``{"columns": {type: [names of values that it takes]}, "params": {…}, "tensors": {…}}``, found out by MLflow's own
enforcement with a value of each kind that a client may send.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models.utils import _enforce_params_schema
from mlflow.models.utils import _enforce_schema
from mlflow.types.schema import AnyType
from mlflow.types.schema import Array
from mlflow.types.schema import ColSpec
from mlflow.types.schema import DataType
from mlflow.types.schema import Map
from mlflow.types.schema import ParamSchema
from mlflow.types.schema import ParamSpec
from mlflow.types.schema import Schema
from mlflow.types.schema import TensorSpec

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "datetime")
# One of each dtype that a client may send, with a value that tells it from the others: not only zeros and ones.
VALUES: dict[str, Any] = {
    **{name: np.array([2, 3], dtype=name) for name in ("int8", "int32", "int64", "uint8", "uint32", "uint64")},
    "float32": np.array([0.5, 2.5], dtype="float32"),
    "float64": np.array([0.5, 1e300]),
    "bool": np.array([True, False]),
    "text": np.array(["x", "y"], dtype=object),
    "moments": np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[ns]"),
}
DEFAULTS = {"boolean": True, "string": "a", "datetime": np.datetime64("2026-01-01")}
SHAPES = ((-1,), (-1, 3), (2, 3), (-1, -1), (3, 2))


def taken(values: dict[str, Any], enforce: Callable[[Any], Any]) -> list[str]:
    found = []
    for name, value in values.items():
        try:
            enforce(value)
        except (MlflowException, ValueError, TypeError):
            continue
        found.append(name)
    return found


def columns(kind: Any, values: dict[str, Any]) -> list[str]:
    schema = Schema([ColSpec(kind, "a")])
    return taken(values, lambda value: _enforce_schema(pd.DataFrame({"a": value}), schema))


def tensors(dtype: str, shape: tuple[int, ...]) -> list[str]:
    schema = Schema([TensorSpec(np.dtype(dtype), shape)])
    arrays: dict[str, Any] = {
        f"{kind} {sizes}": np.full(sizes, 2, dtype=kind)
        for kind, sizes in product(("float32", "float64", "object"), ((2,), (2, 3), (3, 2), (4, 3), (2, 2, 2)))
    }
    return taken(arrays, lambda value: _enforce_schema(value, schema))


def params(name: str) -> list[str]:
    values = {key: value[0].item() if key != "moments" else value[0] for key, value in VALUES.items() if key != "text"}
    values["text"] = "x"
    numpy = {f"numpy {key}": value[0] for key, value in VALUES.items()}
    schema = ParamSchema([ParamSpec("k", name, DEFAULTS.get(name, 1))])
    return taken({**values, **numpy}, lambda value: _enforce_params_schema({"k": value}, schema))


if __name__ == "__main__":
    lists = {name: [value, value] for name, value in VALUES.items()}
    maps = {name: [{"k": one} for one in value] for name, value in VALUES.items()}
    table = {
        "columns": {name: columns(DataType[name], VALUES) for name in SCALARS} | {"any": columns(AnyType(), VALUES)},
        "arrays": {name: columns(Array(DataType[name]), lists) for name in SCALARS},
        "maps": {name: columns(Map(DataType[name]), maps) for name in SCALARS},
        "params": {name: params(name) for name in SCALARS},
        "tensors": {f"{dtype} {shape}": tensors(dtype, shape) for dtype in ("float32", "object") for shape in SHAPES},
    }
    sys.stdout.write(json.dumps(table))
