"""Reads the signature of an MLmodel file: untrusted JSON inside untrusted YAML, written by whoever logged the model.

The forms are those of ``mlflow/types/schema.py`` and ``ModelSignature.to_dict`` (MLflow 1 to 3.17). MLflow's own reader
needs NumPy and raises for what it does not know; here anything that is not understood is :class:`Unreadable`.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from serin.analysis.gates import Unreadable
from serin.analysis.signature import OPEN
from serin.analysis.signature import Array
from serin.analysis.signature import Field
from serin.analysis.signature import Map
from serin.analysis.signature import Object
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.analysis.signature import Tensor
from serin.analysis.signature import Type

PARTS = ("inputs", "outputs", "params")
DEPTH_LIMIT = 32
MOST_DIMENSIONS = 64
SCALARS = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})
_OTHER = frozenset({"any", "sparkml_vector"})


def pack(signature: object) -> bytes | None:
    """The member ``signature`` of the file, small enough to be kept for thousands of versions; None without one."""
    if signature is None:
        return None
    parts = [signature.get(part) for part in PARTS] if isinstance(signature, dict) else []
    if not all(part is None or isinstance(part, str) for part in parts):
        parts = []
    return zlib.compress(json.dumps(parts).encode())


def unpack(packed: bytes | None) -> Signature | Unreadable | None:
    """What the signature says; None where there is none."""
    if packed is None:
        return None
    try:
        inputs, outputs, params = (json.loads(part) if part else None for part in json.loads(zlib.decompress(packed)))
        signature = Signature(_schema(inputs), _schema(outputs), _params(params))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Unreadable("is not one that this operator can read")
    return signature if signature != Signature() else None


def _schema(columns: Any) -> Schema | None:
    if not columns:
        return None
    named = "name" in columns[0]
    fields = tuple(_column(column, None if named else str(place)) for place, column in enumerate(columns))
    if len({isinstance(field.type, Tensor) for field in fields}) > 1:
        raise ValueError("columns and tensors")
    return Schema(_distinct(fields), named)


def _column(column: dict[str, Any], place: str | None) -> Field:
    if ("name" in column) == (place is not None):
        raise ValueError("some have names")
    # MLflow before 2.10 says which are optional, later ones which are required.
    required = column.get("required", not column.get("optional", False))
    return Field(_text(column["name"]) if place is None else place, _type(column), _flag(required))


def _params(params: Any) -> tuple[Field, ...]:
    return _distinct(tuple(_param(param) for param in params or ()))


def _param(param: dict[str, Any]) -> Field:
    # "dtype" is what the first releases with parameters wrote.
    kind = _type({**param, "type": param.get("type") or param["dtype"]})
    return Field(_text(param["name"]), kind if param.get("shape") is None else Array(kind))


def _type(spec: dict[str, Any], depth: int = 0) -> Type:
    if depth > DEPTH_LIMIT:
        raise ValueError("too deep")
    name = spec["type"]
    if name == "tensor":
        return _tensor(spec["tensor-spec"])
    if name == "array":
        return Array(_type(spec["items"], depth + 1))
    if name == "map":
        return Map(_type(spec["values"], depth + 1))
    if name == "object":
        members = spec["properties"].items()
        return Object(_distinct(tuple(_member(member, inner, depth + 1) for member, inner in members)))
    if name not in SCALARS | _OTHER:
        raise ValueError("no type of MLflow's")
    return Scalar(name)


def _member(name: str, spec: dict[str, Any], depth: int) -> Field:
    return Field(name, _type(spec, depth), _flag(spec.get("required", True)))


def _tensor(spec: dict[str, Any]) -> Tensor:
    shape = tuple(spec["shape"])
    if len(shape) > MOST_DIMENSIONS or not all(type(length) is int and length >= OPEN for length in shape):
        raise ValueError("no shape")
    dtype = _text(spec["dtype"])
    # NumPy's names of texts and bytes have the length in them, which MLflow does not look at.
    return Tensor(next((plain for plain in ("str", "bytes") if dtype.startswith(plain)), dtype), shape)


def _text(value: Any) -> str:
    """A name. Those of columns may be numbers: pandas names columns so, and MLflow 1 kept them."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("no name")
    return str(value)


def _flag(value: Any) -> bool:
    if value is None:
        # What MLflow writes of lists and objects that it read without the flag; it takes them for optional.
        return False
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _distinct(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    if len({field.name for field in fields}) < len(fields):
        raise ValueError("a name twice")
    return fields
