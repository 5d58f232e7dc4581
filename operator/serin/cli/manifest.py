"""ModelDeployments from a file, checked as the API server's schema checks them, and errors as people read them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from serin.api.base import API_VERSION
from serin.api.crd import structural
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.modeldeployment import NAME_MAX_LENGTH
from serin.api.modeldeployment import NAME_PATTERN
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.cli.exits import CommandError

Json = dict[str, Any]
Path_ = tuple[int | str, ...]

STDIN = "-"
TOP = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One ModelDeployment that is declared."""

    name: str
    namespace: str | None
    spec: ModelDeploymentSpec


def documents(file: str) -> list[Json]:
    """All documents of a YAML or JSON file, those of a List included. Raises CommandError."""
    try:
        content = sys.stdin.read() if file == STDIN else Path(file).read_text()
        found = list(yaml.safe_load_all(content))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise CommandError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    flat: list[Json] = []
    for one in found:
        if one is None:
            continue
        if not isinstance(one, dict):
            raise CommandError(f"{file} holds something else than Kubernetes objects: {str(one)[:60]}")
        flat += one.get("items") or [] if one.get("kind") == "List" else [one]
    return flat


def declared(found: list[Json], file: str) -> list[Manifest]:
    """The ModelDeployments among the documents. Raises CommandError with everything that is wrong with them."""
    ours = [one for one in found if one.get("kind") == MODEL_DEPLOYMENT.kind]
    if not ours:
        kinds = ", ".join(sorted({str(one.get("kind")) for one in found})) or "nothing"
        raise CommandError(f"{file} declares no ModelDeployment; it has {kinds}")
    wrong = [complaint for one in ours for complaint in _wrong(one)]
    if wrong:
        raise CommandError(
            f"{file} is not valid:\n" + "\n".join(f"  {complaint}" for complaint in wrong),
            "kubectl explain modeldeployment.spec tells what each field means.",
        )
    return [
        Manifest(one["metadata"]["name"], one["metadata"].get("namespace"), ModelDeploymentSpec(**one["spec"]))
        for one in ours
    ]


def _wrong(body: Json) -> Iterator[str]:
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    who = f"ModelDeployment {name or '(without a name)'}"
    if body.get("apiVersion") != API_VERSION:
        yield f"{who}: apiVersion: is {body.get('apiVersion')}, must be {API_VERSION}"
    if not isinstance(name, str) or len(name) > NAME_MAX_LENGTH or not re.fullmatch(NAME_PATTERN, name):
        yield (
            f"{who}: metadata.name: must be at most {NAME_MAX_LENGTH} lower case letters, digits and '-', begin with a "
            "letter and end with a letter or digit"
        )
    for field in body.keys() - set(TOP):
        yield f"{who}: {field}: there is no such field{_near(field, TOP)}"
    if not isinstance(body.get("spec"), dict):
        yield f"{who}: spec: is missing; the least is spec.model with a name and a version or an alias"
        return
    try:
        ModelDeploymentSpec.model_validate(body["spec"])
    except ValidationError as error:
        for one in error.errors():
            yield f"{who}: {_field(one['loc'])}: {_reason(one['type'], one['loc'], one['msg'])}"


def _field(at: Path_) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)


def _reason(kind: str, at: Path_, message: str) -> str:
    """What is wrong and what to write instead."""
    if kind == "extra_forbidden":
        return f"there is no such field{_near(str(at[-1]), _fields(at[:-1]))}"
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ").replace("Input should be", "must be").replace("String should", "must")


def _near(word: str, known: tuple[str, ...]) -> str:
    """The field that was meant, or all there are."""
    near = get_close_matches(word, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}" if known else ""


def _fields(at: Path_) -> tuple[str, ...]:
    """The fields that may stand at that place of the spec."""
    schema: Json = structural(ModelDeploymentSpec)
    for part in at:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return tuple(schema.get("properties", {}))
