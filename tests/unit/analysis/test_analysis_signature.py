"""What of a signature breaks clients: one row for each rule of MLflow's enforcement, and what must hold of all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.analysis.signature import Array
from serin.analysis.signature import Field
from serin.analysis.signature import Map
from serin.analysis.signature import Object
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.analysis.signature import Tensor
from serin.analysis.signature import Type
from serin.analysis.signature import broken
from serin.analysis.signature import shown

DOUBLE, LONG, TEXT, ANY = Scalar("double"), Scalar("long"), Scalar("string"), Scalar("any")
IMAGE = Tensor("uint8", (-1, 28, 28))


def optional(kind: Type) -> tuple[Type, bool]:
    return kind, False


def fields(**kinds: Any) -> tuple[Field, ...]:
    return tuple(Field(name, *kind) if isinstance(kind, tuple) else Field(name, kind) for name, kind in kinds.items())


def schema(**kinds: Any) -> Schema:
    return Schema(fields(**kinds))


def unnamed(*kinds: Type) -> Schema:
    return Schema(tuple(Field(str(place), kind) for place, kind in enumerate(kinds)), named=False)


def thing(**kinds: Any) -> Object:
    return Object(fields(**kinds))


HARMLESS_INPUTS: dict[str, tuple[Schema, Schema]] = {
    "the same": (schema(a=DOUBLE, b=TEXT), schema(a=DOUBLE, b=TEXT)),
    "another order": (schema(a=DOUBLE, b=TEXT), schema(b=TEXT, a=DOUBLE)),
    "one less, which is ignored": (schema(a=DOUBLE, b=TEXT), schema(a=DOUBLE)),
    "a new one that is optional": (schema(a=DOUBLE), schema(a=DOUBLE, b=optional(TEXT))),
    "required becomes optional": (schema(a=DOUBLE), schema(a=optional(DOUBLE))),
    "integer into long": (schema(a=Scalar("integer")), schema(a=LONG)),
    "integer into double": (schema(a=Scalar("integer")), schema(a=DOUBLE)),
    "float into double": (schema(a=Scalar("float")), schema(a=DOUBLE)),
    "into anything": (schema(a=Array(TEXT)), schema(a=ANY)),
    "elements": (schema(a=Array(Scalar("float"))), schema(a=Array(DOUBLE))),
    "values of a map": (schema(a=Map(Scalar("integer"))), schema(a=Map(LONG))),
    "a member that is optional": (schema(a=thing(b=TEXT)), schema(a=thing(b=TEXT, c=optional(TEXT)))),
    "one less without names": (unnamed(DOUBLE, TEXT), unnamed(DOUBLE)),
    "a length that may be any": (schema(a=Tensor("uint8", (1, 28))), schema(a=Tensor("uint8", (-1, 28)))),
    "ragged": (unnamed(Tensor("float64", (-1, 3))), unnamed(Tensor("object", (-1,)))),
}
BROKEN_INPUTS: dict[str, tuple[Schema, Schema, str]] = {
    "a new one": (schema(a=DOUBLE), schema(a=DOUBLE, b=TEXT), "input 'b' (string) is required and new"),
    "renamed": (schema(a=DOUBLE), schema(b=DOUBLE), "input 'b' (double) is required and new"),
    "optional becomes required": (
        schema(a=optional(DOUBLE)),
        schema(a=DOUBLE),
        "input 'a' is required and was optional",
    ),
    "another type": (schema(a=DOUBLE), schema(a=TEXT), "input 'a' is string and was double"),
    "narrower": (schema(a=LONG), schema(a=Scalar("integer")), "input 'a' is integer and was long"),
    "long into double loses digits": (schema(a=LONG), schema(a=DOUBLE), "input 'a' is double and was long"),
    "integer into float": (
        schema(a=Scalar("integer")),
        schema(a=Scalar("float")),
        "input 'a' is float and was integer",
    ),
    "no longer anything": (schema(a=ANY), schema(a=TEXT), "input 'a' is string and was any"),
    "a list of one": (schema(a=TEXT), schema(a=Array(TEXT)), "input 'a' is array of string and was string"),
    "elements": (schema(a=Array(DOUBLE)), schema(a=Array(TEXT)), "elements of input 'a' is string and was double"),
    "values": (schema(a=Map(DOUBLE)), schema(a=Map(TEXT)), "values of input 'a' is string and was double"),
    "a member that is gone": (
        schema(a=thing(b=TEXT, c=TEXT)),
        schema(a=thing(b=TEXT)),
        "input 'a'.c is gone, and objects with members that are not known are refused",
    ),
    "a member that is new": (
        schema(a=thing(b=TEXT)),
        schema(a=thing(b=TEXT, c=LONG)),
        "input 'a'.c (long) is required and new",
    ),
    "a member that is required": (
        schema(a=thing(b=optional(TEXT))),
        schema(a=thing(b=TEXT)),
        "input 'a'.b is required and was optional",
    ),
    "a member deep down": (
        schema(a=Array(thing(b=thing(c=DOUBLE)))),
        schema(a=Array(thing(b=thing(c=LONG)))),
        "elements of input 'a'.b.c is long and was double",
    ),
    "one more without names": (unnamed(DOUBLE), unnamed(DOUBLE, TEXT), "input '1' (string) is required and new"),
    "names that went": (
        schema(a=DOUBLE),
        unnamed(DOUBLE),
        "inputs are columns without names and were columns with names",
    ),
    "names that came": (
        unnamed(DOUBLE),
        schema(a=DOUBLE),
        "inputs are columns with names and were columns without names",
    ),
    "columns become a tensor": (
        schema(a=DOUBLE, b=DOUBLE),
        unnamed(Tensor("float64", (-1, 2))),
        "inputs are tensors without names and were columns with names",
    ),
    "another shape": (
        schema(a=IMAGE),
        schema(a=Tensor("uint8", (-1, 32, 32))),
        "input 'a' is tensor of uint8 (-1, 32, 32) and was tensor of uint8 (-1, 28, 28)",
    ),
    "a length that is fixed": (
        schema(a=IMAGE),
        schema(a=Tensor("uint8", (1, 28, 28))),
        "input 'a' is tensor of uint8 (1, 28, 28) and was tensor of uint8 (-1, 28, 28)",
    ),
    "fewer dimensions": (
        schema(a=IMAGE),
        schema(a=Tensor("uint8", (-1, 784))),
        "input 'a' is tensor of uint8 (-1, 784) and was tensor of uint8 (-1, 28, 28)",
    ),
    "one dimension more": (
        schema(a=Tensor("uint8", (-1, 28))),
        schema(a=IMAGE),
        "input 'a' is tensor of uint8 (-1, 28, 28) and was tensor of uint8 (-1, 28)",
    ),
    "a wider dtype, which tensors do not take": (
        schema(a=Tensor("float32", (-1,))),
        schema(a=Tensor("float64", (-1,))),
        "input 'a' is tensor of float64 (-1) and was tensor of float32 (-1)",
    ),
}
HARMLESS_OUTPUTS: dict[str, tuple[Schema, Schema]] = {
    "the same": (schema(a=DOUBLE), schema(a=DOUBLE)),
    "one more": (schema(a=DOUBLE), schema(a=DOUBLE, b=TEXT)),
    "always there now": (schema(a=optional(DOUBLE)), schema(a=DOUBLE)),
    "was anything": (schema(a=ANY), schema(a=TEXT)),
    "one more member": (schema(a=thing(b=TEXT)), schema(a=thing(b=TEXT, c=TEXT))),
    "a length that is fixed": (unnamed(Tensor("float64", (-1, -1))), unnamed(Tensor("float64", (-1, 3)))),
}
BROKEN_OUTPUTS: dict[str, tuple[Schema, Schema, str]] = {
    "gone": (schema(a=DOUBLE, b=TEXT), schema(a=DOUBLE), "output 'b' (string) is gone"),
    "renamed": (schema(a=DOUBLE), schema(b=DOUBLE), "output 'a' (double) is gone"),
    "another type": (schema(a=DOUBLE), schema(a=TEXT), "output 'a' is string and was double"),
    "wider, which nobody converts back": (
        schema(a=Scalar("float")),
        schema(a=DOUBLE),
        "output 'a' is double and was float",
    ),
    "narrower": (schema(a=DOUBLE), schema(a=Scalar("float")), "output 'a' is float and was double"),
    "anything now": (schema(a=TEXT), schema(a=ANY), "output 'a' is any and was string"),
    "not always": (schema(a=TEXT), schema(a=optional(TEXT)), "output 'a' is optional and was always there"),
    "elements": (schema(a=Array(TEXT)), schema(a=Array(LONG)), "elements of output 'a' is long and was string"),
    "values": (schema(a=Map(TEXT)), schema(a=Map(LONG)), "values of output 'a' is long and was string"),
    "a member that is gone": (
        schema(a=thing(b=TEXT, c=TEXT)),
        schema(a=thing(c=TEXT)),
        "output 'a'.b (string) is gone",
    ),
    "one more without names": (
        unnamed(DOUBLE),
        unnamed(DOUBLE, DOUBLE),
        "there are 2 outputs and were 1, which have no names",
    ),
    "a tensor becomes a column": (
        unnamed(Tensor("float64", (-1,))),
        unnamed(DOUBLE),
        "outputs are columns without names and were tensors without names",
    ),
    "a length that may be any": (
        unnamed(Tensor("float64", (-1, 3))),
        unnamed(Tensor("float64", (-1, -1))),
        "output '0' is tensor of float64 (-1, -1) and was tensor of float64 (-1, 3)",
    ),
    "ragged": (
        unnamed(Tensor("float64", (-1, 3))),
        unnamed(Tensor("object", (-1,))),
        "output '0' is tensor of object (-1) and was tensor of float64 (-1, 3)",
    ),
}
PARAMS: dict[str, tuple[tuple[Field, ...], tuple[Field, ...], str]] = {
    "the same": (fields(k=LONG), fields(k=LONG), ""),
    "a new one, which has a default": ((), fields(k=LONG), ""),
    "integer into float": (fields(k=Scalar("integer")), fields(k=Scalar("float")), ""),
    "long into double": (fields(k=LONG), fields(k=DOUBLE), ""),
    "elements": (fields(k=Array(LONG)), fields(k=Array(DOUBLE)), ""),
    "gone": (fields(k=LONG), (), "parameter 'k' (long) is gone, and ignored where it is set"),
    "another type": (fields(k=DOUBLE), fields(k=LONG), "parameter 'k' is long and was double"),
    "a list": (fields(k=LONG), fields(k=Array(LONG)), "parameter 'k' is array of long and was long"),
    "other elements": (
        fields(k=Array(DOUBLE)),
        fields(k=Array(TEXT)),
        "parameter 'k' is array of string and was array of double",
    ),
    "a member": (
        fields(k=thing(a=TEXT)),
        fields(k=thing(b=optional(TEXT))),
        "parameter 'k'.a is gone, and objects with members that are not known are refused",
    ),
}


@pytest.mark.parametrize(("before", "after"), HARMLESS_INPUTS.values(), ids=HARMLESS_INPUTS)
def test_inputs_that_disturb_nobody(before: Schema, after: Schema) -> None:
    assert list(broken(Signature(inputs=before), Signature(inputs=after))) == []


@pytest.mark.parametrize(("before", "after", "sentence"), BROKEN_INPUTS.values(), ids=BROKEN_INPUTS)
def test_inputs_that_break_clients(before: Schema, after: Schema, sentence: str) -> None:
    assert list(broken(Signature(inputs=before), Signature(inputs=after))) == [sentence]


@pytest.mark.parametrize(("before", "after"), HARMLESS_OUTPUTS.values(), ids=HARMLESS_OUTPUTS)
def test_outputs_that_disturb_nobody(before: Schema, after: Schema) -> None:
    assert list(broken(Signature(outputs=before), Signature(outputs=after))) == []


@pytest.mark.parametrize(("before", "after", "sentence"), BROKEN_OUTPUTS.values(), ids=BROKEN_OUTPUTS)
def test_outputs_that_break_clients(before: Schema, after: Schema, sentence: str) -> None:
    assert list(broken(Signature(outputs=before), Signature(outputs=after))) == [sentence]


@pytest.mark.parametrize(("before", "after", "sentence"), PARAMS.values(), ids=PARAMS)
def test_params(before: tuple[Field, ...], after: tuple[Field, ...], sentence: str) -> None:
    assert list(broken(Signature(params=before), Signature(params=after))) == ([sentence] if sentence else [])


def test_what_a_signature_does_not_say() -> None:
    full = Signature(schema(a=DOUBLE), schema(b=DOUBLE))
    assert list(broken(full, Signature(outputs=full.outputs))) == ["the signature says nothing of its inputs any more"]
    assert list(broken(full, Signature(inputs=full.inputs))) == ["the signature says nothing of its outputs any more"]
    assert list(broken(Signature(), full)) == []


def test_everything_that_breaks_is_named() -> None:
    before = Signature(schema(a=DOUBLE, b=TEXT), schema(y=DOUBLE), fields(k=LONG))
    after = Signature(schema(a=TEXT, b=LONG, c=TEXT), schema(z=DOUBLE))
    assert len(list(broken(before, after))) == 5


def test_names_of_others_do_no_harm_to_a_status() -> None:
    name = "a\n\ud800\x1b[31m" + "x" * 1000
    after = Signature(inputs=Schema((Field(name, Object(tuple(Field(f"{n}", TEXT) for n in range(5000)))),)))
    sentences = list(broken(Signature(inputs=schema(a=TEXT)), after))
    assert len(sentences) == 1
    assert sentences[0].isprintable()
    assert len(sentences[0]) < 250
    assert shown("ü" * 60) == "ü" * 60


NAMES = st.sampled_from("abc")
SCALARS = st.sampled_from([DOUBLE, LONG, TEXT, ANY, Scalar("integer"), Scalar("float")])


def _members(kinds: st.SearchStrategy[Type]) -> st.SearchStrategy[tuple[Field, ...]]:
    one = st.builds(Field, NAMES, kinds, st.booleans())
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda field: field.name).map(tuple)


TYPES: st.SearchStrategy[Type] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.builds(Array, inner), st.builds(Map, inner), st.builds(Object, _members(inner))),
    max_leaves=6,
)
COLUMNS = st.builds(Schema, _members(TYPES))
SIGNATURES = st.builds(Signature, st.none() | COLUMNS, st.none() | COLUMNS, st.just(()) | _members(TYPES))


@given(SIGNATURES)
def test_no_signature_breaks_its_own_clients(one: Signature) -> None:
    assert list(broken(one, one)) == []


@given(COLUMNS, COLUMNS, COLUMNS)
def test_two_harmless_changes_of_inputs_are_one(one: Schema, two: Schema, three: Schema) -> None:
    """Else the order of versions would decide what clients may send. With names that went and came again it does: what
    was ignored in between is of another type then; so only where the names stay."""
    first, second, third = (Signature(inputs=each) for each in (one, two, three))
    names = {frozenset(field.name for field in each.fields) for each in (one, two, three)}
    if len(names) == 1 and not list(broken(first, second)) and not list(broken(second, third)):
        assert not list(broken(first, third))


@given(COLUMNS, COLUMNS, COLUMNS)
def test_two_harmless_changes_of_outputs_are_one(one: Schema, two: Schema, three: Schema) -> None:
    first, second, third = (Signature(outputs=each) for each in (one, two, three))
    if not list(broken(first, second)) and not list(broken(second, third)):
        assert not list(broken(first, third))
