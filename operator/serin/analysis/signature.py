"""What an MLflow signature promises to clients, and what of it another version would break. Pure.

By the rules of MLflow's own enforcement (``mlflow/models/utils.py`` of 3.17: ``_enforce_schema`` and what it calls):

- Inputs that a version does not know are ignored, but members of objects that it does not know are refused.
- A column takes the type it names and what converts safely into it (``_enforce_mlflow_datatype``): integer into long
  and double, float into double; not long into double, which loses digits. A type of ``any`` takes everything.
- A tensor takes exactly its dtype; its shape must fit, where -1 fits every length.
- A parameter has a default, takes what converts safely into it, and is ignored where the version does not know it:
  that its value counts no more breaks who sets it.

What a version answers is held to its exact types: MLflow converts nothing there, and clients read what they know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ANY = "any"
OPEN = -1
"""The length of a dimension that may have any."""
# Into the second goes every value of the first.
_COLUMNS = frozenset({("integer", "long"), ("integer", "double"), ("float", "double")})
_PARAMS = _COLUMNS | {("integer", "float"), ("long", "float"), ("long", "double")}
_NAME_LENGTH = 60
_TYPE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: double, string, …, any, or a vector of Spark ML."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Array:
    """A list of values of one type."""

    items: Type

    def __str__(self) -> str:
        return f"array of {self.items}"


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type by names that the client chooses."""

    values: Type

    def __str__(self) -> str:
        return f"map of {self.values}"


@dataclass(frozen=True, slots=True)
class Object:
    """Named members."""

    members: tuple[Field, ...]

    def __str__(self) -> str:
        return f"object of {', '.join(member.name for member in self.members)}"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array of NumPy."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"tensor of {self.dtype} ({', '.join(map(str, self.shape))})"


Type = Scalar | Array | Map | Object | Tensor


@dataclass(frozen=True, slots=True)
class Field:
    """One input, output, parameter or member of an object. ``required`` says nothing of a parameter."""

    name: str
    type: Type
    required: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """All inputs, or all outputs. Without names their places count, and the fields are named 0, 1, …"""

    fields: tuple[Field, ...]
    named: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """What a version takes and gives. None where it does not say."""

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: tuple[Field, ...] = ()


def broken(before: Signature, after: Signature) -> Iterator[str]:
    """What clients of the first would miss in the second: sentences without an end, which name field and types."""
    yield from _lost("inputs", before.inputs, after.inputs)
    if before.inputs is not None and after.inputs is not None:
        yield from _inputs(before.inputs, after.inputs)
    yield from _lost("outputs", before.outputs, after.outputs)
    if before.outputs is not None and after.outputs is not None:
        yield from _outputs(before.outputs, after.outputs)
    yield from _params(before.params, after.params)


def shown(text: str, limit: int = _NAME_LENGTH) -> str:
    """Somebody else's words in one line of printable characters, cut where they are too long for a status."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: limit + 1])
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def _lost(what: str, before: Schema | None, after: Schema | None) -> Iterator[str]:
    if before is not None and after is None:
        yield f"the signature says nothing of its {what} any more"


def _inputs(before: Schema, after: Schema) -> Iterator[str]:
    form = _form_changed("inputs", before, after)
    if form:
        yield form
        return
    known = {field.name: field for field in before.fields}
    for field in after.fields:
        where = f"input {_quoted(field.name)}"
        old = known.get(field.name)
        if old is None:
            if field.required:
                yield f"{where} ({_typed(field.type)}) is required and new"
            continue
        if field.required and not old.required:
            yield f"{where} is required and was optional"
        yield from _takes(where, old.type, field.type)


def _outputs(before: Schema, after: Schema) -> Iterator[str]:
    form = _form_changed("outputs", before, after)
    if form:
        yield form
        return
    if not before.named and len(after.fields) != len(before.fields):
        yield f"there are {len(after.fields)} outputs and were {len(before.fields)}, which have no names"
        return
    yield from _gives("output", before.fields, after.fields)


def _form_changed(what: str, before: Schema, after: Schema) -> str | None:
    """The whole looks another way: nothing in it can be compared one by one."""
    was, now = _form(before), _form(after)
    return f"{what} are {now} and were {was}" if was != now else None


def _form(schema: Schema) -> str:
    names = "with names" if schema.named else "without names"
    return f"{'tensors' if any(isinstance(field.type, Tensor) for field in schema.fields) else 'columns'} {names}"


def _takes(where: str, old: Type, new: Type) -> Iterator[str]:
    """Why a value that was good is not taken any more."""
    if old == new or new == Scalar(ANY):
        return
    match old, new:
        case Scalar(), Scalar() if (old.name, new.name) in _COLUMNS:
            return
        case Array(), Array():
            yield from _takes(f"elements of {where}", old.items, new.items)
        case Map(), Map():
            yield from _takes(f"values of {where}", old.values, new.values)
        case Object(), Object():
            yield from _members_taken(where, old, new)
        case Tensor(), Tensor() if old.dtype == new.dtype and _fits(old.shape, new.shape):
            return
        case _, Tensor(dtype="object", shape=(-1,)):
            # Also what is ragged.
            return
        case _:
            yield _retyped(where, old, new)


def _members_taken(where: str, old: Object, new: Object) -> Iterator[str]:
    known = {member.name: member for member in new.members}
    before = {member.name for member in old.members}
    for member in old.members:
        place = f"{where}.{shown(member.name)}"
        now = known.get(member.name)
        if now is None:
            yield f"{place} is gone, and objects with members that are not known are refused"
            continue
        if now.required and not member.required:
            yield f"{place} is required and was optional"
        yield from _takes(place, member.type, now.type)
    for member in new.members:
        if member.name not in before and member.required:
            yield f"{where}.{shown(member.name)} ({_typed(member.type)}) is required and new"


def _gives(what: str, before: tuple[Field, ...], after: tuple[Field, ...], path: str = "") -> Iterator[str]:
    """What is read today and is missing or another thing tomorrow. What is new disturbs nobody."""
    known = {field.name: field for field in after}
    for old in before:
        where = f"{path}.{shown(old.name)}" if path else f"{what} {_quoted(old.name)}"
        new = known.get(old.name)
        if new is None:
            yield f"{where} ({_typed(old.type)}) is gone"
            continue
        if old.required and not new.required:
            yield f"{where} is optional and was always there"
        yield from _given(where, old.type, new.type)


def _given(where: str, old: Type, new: Type) -> Iterator[str]:
    if old == new or old == Scalar(ANY):
        return
    match old, new:
        case Array(), Array():
            yield from _given(f"elements of {where}", old.items, new.items)
        case Map(), Map():
            yield from _given(f"values of {where}", old.values, new.values)
        case Object(), Object():
            yield from _gives("", old.members, new.members, where)
        case Tensor(), Tensor() if old.dtype == new.dtype and _fits(new.shape, old.shape):
            return
        case _:
            yield _retyped(where, old, new)


def _params(before: tuple[Field, ...], after: tuple[Field, ...]) -> Iterator[str]:
    known = {field.name: field for field in after}
    for old in before:
        where = f"parameter {_quoted(old.name)}"
        new = known.get(old.name)
        if new is None:
            yield f"{where} ({_typed(old.type)}) is gone, and ignored where it is set"
        else:
            yield from _param_takes(where, old.type, new.type)


def _param_takes(where: str, old: Type, new: Type) -> Iterator[str]:
    match old, new:
        case Scalar(), Scalar() if old == new or (old.name, new.name) in _PARAMS:
            return
        case Array(items=Scalar() as one), Array(items=Scalar() as other):
            if one != other and (one.name, other.name) not in _PARAMS:
                yield _retyped(where, old, new)
        case _:
            yield from _takes(where, old, new)


def _fits(narrow: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    """Whether everything of the first shape has the second shape, too."""
    return len(narrow) == len(wide) and all(
        one == other or other == OPEN for one, other in zip(narrow, wide, strict=True)
    )


def _retyped(where: str, old: Type, new: Type) -> str:
    return f"{where} is {_typed(new)} and was {_typed(old)}"


def _typed(one: Type) -> str:
    return shown(str(one), _TYPE_LENGTH)


def _quoted(name: str) -> str:
    return f"'{shown(name)}'"
