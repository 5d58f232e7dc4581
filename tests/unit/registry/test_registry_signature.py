"""Signatures as MLflow writes them, and everything else that may stand there: a signature or a sentence comes out."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from serin.analysis.gates import Outcome
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.analysis.gates import outcome_of
from serin.analysis.signature import Array
from serin.analysis.signature import Field
from serin.analysis.signature import Map
from serin.analysis.signature import Object
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.analysis.signature import Tensor
from serin.api.gates import Gates
from serin.registry.mlmodel import read_mlmodel
from serin.registry.signature import pack
from serin.registry.signature import unpack

DOUBLE, TEXT = Scalar("double"), Scalar("string")
ENFORCED = Gates()


def read(**parts: Any) -> Signature | Unreadable | None:
    """What becomes of these parts, written as MLflow writes them."""
    return unpack(pack({name: part if part is None else json.dumps(part) for name, part in parts.items()}))


def inputs(*columns: Any) -> tuple[Field, ...]:
    found = read(inputs=list(columns))
    assert isinstance(found, Signature), found
    assert found.inputs is not None
    return found.inputs.fields


def test_a_file_of_mlflow_3() -> None:
    body = b"""
flavors: {sklearn: {}}
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}, {"type": "long", "name":
    "b", "required": false}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
  params: '[{"name": "k", "default": 1, "shape": null, "type": "long"}, {"name": "l", "default": [1.0], "shape": [-1],
    "type": "double"}]'
"""
    assert unpack(read_mlmodel(body).signature) == Signature(
        Schema((Field("a", DOUBLE), Field("b", Scalar("long"), required=False))),
        Schema((Field("0", Tensor("float64", (-1,))),), named=False),
        (Field("k", Scalar("long")), Field("l", Array(DOUBLE))),
    )


@pytest.mark.parametrize(
    "body",
    ["flavors: {a: {}}", "{flavors: {a: {}}, signature: null}", "{flavors: {a: {}}, signature: {inputs: null}}"],
)
def test_no_signature(body: str) -> None:
    assert unpack(read_mlmodel(body.encode()).signature) is None


def test_columns_of_every_kind() -> None:
    nested = {"type": "object", "properties": {"x": {"type": "string"}, "y": {"type": "any", "required": False}}}
    assert inputs(
        {"name": "a", "type": "array", "items": {"type": "map", "values": {"type": "string"}}, "required": True},
        {"name": "b", **nested},
        {"name": "c", "type": "sparkml_vector"},
        {"name": "d", "type": "any", "required": None},
    ) == (
        Field("a", Array(Map(TEXT))),
        Field("b", Object((Field("x", TEXT), Field("y", Scalar("any"), required=False)))),
        Field("c", Scalar("sparkml_vector")),
        # As MLflow reads it.
        Field("d", Scalar("any"), required=False),
    )


def test_forms_of_earlier_releases() -> None:
    assert inputs({"name": "a", "type": "double"}) == (Field("a", DOUBLE),)
    assert inputs({"name": "a", "type": "double", "optional": True}) == (Field("a", DOUBLE, required=False),)
    assert inputs({"name": 0, "type": "double"}) == (Field("0", DOUBLE),)
    found = read(params=[{"name": "k", "dtype": "long", "default": 1, "shape": None}])
    assert found == Signature(params=(Field("k", Scalar("long")),))


def test_texts_of_any_length_are_one_dtype() -> None:
    for name, plain in (("str", "str"), ("str96", "str"), ("bytes8", "bytes"), ("float32", "float32")):
        spec = {"type": "tensor", "tensor-spec": {"dtype": name, "shape": [-1, 3]}}
        assert inputs(spec) == (Field("0", Tensor(plain, (-1, 3))),)


COLUMN: dict[str, Any] = {"name": "a", "type": "double"}
BROKEN: dict[str, Any] = {
    "no list": {"a": 1},
    "a text": "double",
    "a number": 7,
    "no columns": [1],
    "no type": [{"name": "a"}],
    "an unknown type": [{"name": "a", "type": "complex"}],
    "a type that is no name": [{"name": "a", "type": ["double"]}],
    "a name twice": [COLUMN, COLUMN],
    "some names": [COLUMN, {"type": "double"}],
    "other names": [{"type": "double"}, COLUMN],
    "a name that is none": [{"name": {}, "type": "double"}],
    "required that is no flag": [{**COLUMN, "required": "yes"}],
    "columns and tensors": [COLUMN, {"name": "b", "type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [1]}}],
    "an array of nothing": [{"name": "a", "type": "array"}],
    "an object of nothing": [{"name": "a", "type": "object", "properties": []}],
    "a shape that is none": [{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [None]}}],
    "a length below -1": [{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [-2]}}],
    "a length that is no number": [{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [True]}}],
    "endless dimensions": [{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [1] * 65}}],
}


@pytest.mark.parametrize("columns", BROKEN.values(), ids=BROKEN)
def test_what_is_no_schema(columns: Any) -> None:
    assert read(inputs=columns) == Unreadable("is not one that this operator can read")
    assert read(outputs=columns) == Unreadable("is not one that this operator can read")


def test_nesting_without_an_end() -> None:
    for depth, readable in ((30, True), (40, False), (100_000, False)):
        text = '[{"name": "a", ' + '"type": "array", "items": {' * depth + '"type": "double"' + "}" * depth + "}]"
        assert isinstance(unpack(pack({"inputs": text})), Signature) == readable


@pytest.mark.parametrize(
    "signature", ["text", 7, [], [1], {"inputs": 7}, {"inputs": ["a"]}, {"inputs": "{"}, {"inputs": "["}]
)
def test_what_is_no_signature(signature: Any) -> None:
    assert isinstance(unpack(pack(signature)), Unreadable)


def test_a_wide_signature_is_kept_small() -> None:
    columns = [{"type": "double", "name": f"feature_{number}", "required": True} for number in range(5000)]
    packed = pack({"inputs": json.dumps(columns)})
    assert packed is not None
    assert len(packed) < 32_000
    found = unpack(packed)
    assert isinstance(found, Signature)
    assert found.inputs is not None
    assert len(found.inputs.fields) == 5000


KEYS = ["type", "name", "required", "optional", "items", "values", "properties", "tensor-spec", "dtype", "shape"]
WORDS = [*KEYS, "double", "tensor", "array", "map", "object", "any", "default", "sparkml_vector", "a", "\ud800"]
LEAVES = st.sampled_from(WORDS) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=20,
)
DTYPES, LENGTHS = st.sampled_from(["float64", "str8", "object"]), st.integers(-1, 3)


def specs(junk: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Types as MLflow writes them, with what does not belong there in between."""

    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        members = st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3)
        return st.one_of(
            st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
            st.fixed_dictionaries({"type": st.just("map"), "values": inner}),
            st.fixed_dictionaries({"type": st.just("object"), "properties": members | junk}),
        )

    scalars = st.sampled_from(["integer", "long", "float", "double", "string", "any"])
    scalar = st.fixed_dictionaries({"type": scalars}, optional={"required": st.booleans() | junk})
    return st.recursive(scalar | junk, around, max_leaves=5)


def parts(junk: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tensor = st.fixed_dictionaries({"dtype": DTYPES | junk, "shape": st.lists(LENGTHS | junk, max_size=3)}) | junk
    tensors = st.fixed_dictionaries({"type": st.just("tensor"), "tensor-spec": tensor})
    columns = st.dictionaries(st.sampled_from("abc"), specs(junk), max_size=3)
    named = columns.map(
        lambda found: [{"name": name, **spec} for name, spec in found.items() if isinstance(spec, dict)]
    )
    return st.one_of(named, tensors.map(lambda one: [one]), st.lists(specs(junk), max_size=2), junk).map(json.dumps)


def signatures(junk: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(("inputs", "outputs", "params"), parts(junk)))


ANYTHING = st.one_of(
    signatures(st.nothing()), signatures(JSON), st.fixed_dictionaries({"inputs": JSON | st.text()}), JSON
)


@given(ANYTHING, ANYTHING)
def test_whatever_stands_there_becomes_a_verdict(one: Any, other: Any) -> None:
    records = []
    for version, signature in (("v1", one), ("v2", other)):
        found = unpack(pack(signature))
        assert found is None or isinstance(found, Signature | Unreadable)
        records.append(Record(version, found))
    outcome = outcome_of(ENFORCED, records[1], records[0])
    assert outcome == Outcome(signature=outcome.signature)
    assert outcome.signature.isprintable()
    assert outcome_of(ENFORCED, records[0], records[0]).passes == (not isinstance(records[0].signature, Unreadable))


@given(ANYTHING)
def test_a_file_with_it_is_read(signature: Any) -> None:
    with suppress(UnicodeEncodeError, ValueError):
        # ValueError: "<<", and nothing else is raised for what is in a file.
        model = read_mlmodel(yaml.safe_dump({"flavors": {"sklearn": {}}, "signature": signature}).encode())
        found = unpack(model.signature)
        assert found is None or isinstance(found, Signature | Unreadable)
