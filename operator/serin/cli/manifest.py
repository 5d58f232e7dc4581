"""ModelDeployments from a file, checked as the API server checks them at admission, and errors as people read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from serin.api.crd import structural
from serin.api.group import API_VERSION
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.modeldeployment import NAME_MAX_LENGTH
from serin.api.modeldeployment import NAME_PATTERN
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.cli.exits import CommandError
from serin.cli.names import NAMESPACE_RULE
from serin.cli.names import is_namespace

Json = dict[str, Any]
Path_ = tuple[int | str, ...]

TOP = ("apiVersion", "kind", "metadata", "spec", "status")
SHOWN = 40


@dataclass(frozen=True, slots=True)
class Manifest:
    """One ModelDeployment that is declared."""

    name: str
    namespace: str | None
    spec: ModelDeploymentSpec


def declared(found: list[Json], source: str) -> list[Manifest]:
    """The ModelDeployments among the documents. Raises CommandError with everything that is wrong with them."""
    ours = [one for one in found if one.get("kind") == MODEL_DEPLOYMENT.kind]
    if not ours:
        kinds = ", ".join(sorted({str(one.get("kind")) for one in found})) or "nothing"
        raise CommandError(f"{source} declares no ModelDeployment; it has {kinds}")
    wrong = [complaint for one in ours for complaint in _wrong(one)]
    if wrong:
        raise CommandError(
            f"{source} is not valid:\n" + "\n".join(f"  {complaint}" for complaint in wrong),
            "kubectl explain modeldeployment.spec tells what each field means.",
        )
    return [Manifest(one["metadata"]["name"], one["metadata"].get("namespace"), _spec(one["spec"])) for one in ours]


def _spec(raw: Json) -> ModelDeploymentSpec:
    """As the API server takes it: a text is no number, and what is null was not written. Raises ValidationError."""
    return ModelDeploymentSpec.model_validate_json(json.dumps(_without_nulls(raw, _schema())), strict=True)


@cache
def _schema() -> Json:
    return structural(ModelDeploymentSpec)


def _without_nulls(value: Any, schema: Json) -> Any:
    """As the API server drops them (apiextensions-apiserver PruneNonNullableNullsWithoutDefaults): of the fields it
    knows, and not from lists."""
    if isinstance(value, list):
        return [_without_nulls(one, schema.get("items", {})) for one in value]
    fields, others = schema.get("properties", {}), schema.get("additionalProperties")
    if not isinstance(value, dict) or not (fields or isinstance(others, dict)):
        return value
    return {
        name: _without_nulls(one, fields.get(name, others if isinstance(others, dict) else {}))
        for name, one in value.items()
        if one is not None or not (name in fields or isinstance(others, dict))
    }


def _wrong(body: Json) -> Iterator[str]:
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    who = f"ModelDeployment {name or '(without a name)'}"
    if body.get("apiVersion") != API_VERSION:
        there = f"is {body['apiVersion']}" if body.get("apiVersion") is not None else "is missing"
        yield f"{who}: apiVersion: {there}, must be {API_VERSION}"
    if not isinstance(name, str) or len(name) > NAME_MAX_LENGTH or not re.fullmatch(NAME_PATTERN, name):
        yield (
            f"{who}: metadata.name: must be at most {NAME_MAX_LENGTH} lower case letters, digits and '-', begin with a "
            "letter and end with a letter or digit"
        )
    if namespace is not None and not (isinstance(namespace, str) and is_namespace(namespace)):
        yield f"{who}: metadata.namespace: is {json.dumps(namespace)}, must be {NAMESPACE_RULE}"
    for field in body.keys() - set(TOP):
        yield f"{who}: {field}: there is no such field{_near(field, TOP)}"
    if not isinstance(body.get("spec"), dict):
        yield f"{who}: spec: is missing; the least is spec.model with a name and a version or an alias"
        return
    try:
        _spec(body["spec"])
    except ValidationError as error:
        for one in error.errors():
            yield f"{who}: {_field(one['loc'])}: {_reason(one['type'], one['loc'], one['msg'], one['input'])}"


def _field(at: Path_) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)


def _reason(kind: str, at: Path_, message: str, value: object) -> str:
    """What is wrong and what to write instead."""
    if kind == "extra_forbidden":
        return f"there is no such field{_near(str(at[-1]), _fields(at[:-1]))}"
    if kind == "missing":
        return "is required"
    told = message.removeprefix("Value error, ").replace("Input should be", "must be").replace("String should", "must")
    # Otherwise nobody sees what is wrong with a number in quotes.
    return f"{told}, not {json.dumps(value)}" if kind.endswith("_type") and len(str(value)) <= SHOWN else told


def _near(word: str, known: tuple[str, ...]) -> str:
    """The field that was meant, or all there are."""
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}" if known else ""


def _fields(at: Path_) -> tuple[str, ...]:
    """The fields that may stand at that place of the spec."""
    schema = _schema()
    for part in at:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return tuple(schema.get("properties", {}))
