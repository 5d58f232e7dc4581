"""From the models to the CustomResourceDefinitions in ``crds/``: the schema, the rules and the columns.

``python -m serin.api.crd FOLDER`` writes them. pydantic's JSON schema is made structural as Kubernetes wants it
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema);
what no JSON schema can say is said by the rules of :mod:`serin.api.rules`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from serin.api import kinds
from serin.api.group import GROUP
from serin.api.group import VERSION
from serin.api.kinds import Kind
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.modelregistry import ModelRegistryStatus
from serin.api.rolloutpolicy import RolloutPolicySpec
from serin.api.rules import MODEL_DEPLOYMENT_RULES
from serin.api.rules import MODEL_REGISTRY_RULES
from serin.api.rules import ROLLOUT_POLICY_RULES
from serin.api.rules import Rules
from serin.api.status import ModelDeploymentStatus

Schema = dict[str, Any]
Column = tuple[str, str, str, int, str]

READY = '.status.conditions[?(@.type=="Ready")]'

MODEL_DEPLOYMENT_COLUMNS: tuple[Column, ...] = (
    ("Model", "string", ".spec.model.name", 0, "Registered model."),
    ("Stable", "string", ".status.stable.version", 0, "Version in use."),
    ("Candidate", "string", ".status.candidate.version", 0, "Version that is to take over."),
    ("Weight", "integer", ".status.rollout.weight", 0, "Percent of the requests for the candidate."),
    ("Step", "string", ".status.rollout.progress", 0, "Step of the rollout."),
    ("Phase", "string", ".status.phase", 0, "State in one word."),
    ("Ready", "string", f"{READY}.status", 0, "Whether the declared version has all traffic."),
    ("Age", "date", ".metadata.creationTimestamp", 0, ""),
    ("Alias", "string", ".spec.model.alias", 1, "Alias that is followed."),
    ("Backend", "string", ".spec.serving.backend", 1, "What serves the model."),
    ("URL", "string", ".status.url", 1, "Where clients reach the model."),
    ("Message", "string", ".status.message", 1, "State in one sentence."),
)

MODEL_REGISTRY_COLUMNS: tuple[Column, ...] = (
    ("URL", "string", ".spec.url", 0, "URL of the MLflow server."),
    ("Version", "string", ".status.serverVersion", 0, "Version of the MLflow server."),
    ("Followed", "integer", ".status.modelsFollowed", 0, "Models whose aliases are followed."),
    ("Ready", "string", f"{READY}.status", 0, "Whether the last poll succeeded."),
    ("Age", "date", ".metadata.creationTimestamp", 0, ""),
    ("Message", "string", f"{READY}.message", 1, "State in one sentence."),
)

ROLLOUT_POLICY_COLUMNS: tuple[Column, ...] = (
    ("Bake", "string", ".spec.bake", 0, "How long the candidate has all traffic before it is promoted."),
    ("Deadline", "string", ".spec.deadline", 0, "How long a rollout may take."),
    ("Age", "date", ".metadata.creationTimestamp", 0, ""),
)


def definitions() -> dict[str, Schema]:
    """The CRDs by file name."""
    return {
        f"{GROUP}_modeldeployments.yaml": _definition(
            kinds.MODEL_DEPLOYMENT,
            ["mdep"],
            "One model that is served, by the version or alias that is declared; changes reach users step by step.",
            (ModelDeploymentSpec, ModelDeploymentStatus),
            MODEL_DEPLOYMENT_RULES,
            MODEL_DEPLOYMENT_COLUMNS,
        ),
        f"{GROUP}_modelregistries.yaml": _definition(
            kinds.MODEL_REGISTRY,
            ["mreg"],
            "An MLflow registry that ModelDeployments may name. It counts in the operator's namespace only.",
            (ModelRegistrySpec, ModelRegistryStatus),
            MODEL_REGISTRY_RULES,
            MODEL_REGISTRY_COLUMNS,
        ),
        f"{GROUP}_rolloutpolicies.yaml": _definition(
            kinds.ROLLOUT_POLICY,
            ["rpol"],
            "A way to roll out that ModelDeployments may name. It counts in the operator's namespace only; a rollout "
            "that runs goes on by what it started with. The one named default is for those that name none.",
            (RolloutPolicySpec, None),
            ROLLOUT_POLICY_RULES,
            ROLLOUT_POLICY_COLUMNS,
        ),
    }


def structural(model: type[BaseModel]) -> Schema:
    """The model's schema as Kubernetes accepts it."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(schema, schema.get("$defs", {}))


def _definition(
    kind: Kind,
    short_names: list[str],
    description: str,
    models: tuple[type[BaseModel], type[BaseModel] | None],
    rules: Rules,
    columns: tuple[Column, ...],
) -> Schema:
    schema: Schema = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "serin.dev/v1alpha1."},
            "kind": {"type": "string", "description": f"{kind.kind}."},
            "metadata": {"type": "object"},
            "spec": structural(models[0]),
        },
    }
    if models[1] is not None:
        schema["properties"]["status"] = {**structural(models[1]), "default": {"observedGeneration": -1}}
    for path, additions in rules.items():
        _at(schema, path).setdefault("x-kubernetes-validations", []).extend(additions)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": short_names,
                "categories": ["serin"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    **({"subresources": {"status": {}}} if models[1] is not None else {}),
                    "additionalPrinterColumns": [_column(*column) for column in columns],
                }
            ],
        },
    }


def _column(name: str, kind: str, path: str, priority: int, description: str) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    if priority:
        column["priority"] = priority
    if description:
        column["description"] = description
    return column


def _at(schema: Schema, path: tuple[str, ...]) -> Schema:
    for part in path:
        schema = schema["items"] if part == "[]" else schema["properties"][part]
    return schema


def _structural(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _without_references(schema, definitions)
    schema = _without_unions(schema, definitions)
    for unused in ("title", "$defs", "discriminator"):
        schema.pop(unused, None)
    if isinstance(schema.get("default"), dict):
        # Written out, not left to the defaults of the members: rules are checked against a default as it stands.
        schema["default"] = _without_nulls(schema["default"])
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "properties" in schema:
        schema.pop("additionalProperties", None)
        schema["properties"] = {name: _structural(inner, definitions) for name, inner in schema["properties"].items()}
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        schema["items"] = _structural(schema["items"], definitions)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return schema


def _without_references(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """A reference replaced by what it refers to; what stands beside it (a default, a description) counts more."""
    schema = dict(schema)
    reference = schema.pop("$ref", None)
    if reference is None:
        return schema
    return {**_without_references(definitions[reference.rsplit("/", 1)[-1]], definitions), **schema}


def _without_unions(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """``X | None`` is an X that may be left out; int-or-string is the one union that Kubernetes knows."""
    if "anyOf" not in schema or "x-kubernetes-int-or-string" in schema:
        return schema
    options = [option for option in schema.pop("anyOf") if option.get("type") != "null"]
    if len(options) != 1:
        raise ValueError(f"a union of {len(options)} types cannot be expressed in a CRD: {options}")
    if schema.get("default", 0) is None:
        del schema["default"]
    return {**_without_references(options[0], definitions), **schema}


def _without_nulls(value: Any) -> Any:
    """``None`` is how pydantic says that a member is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def main() -> None:
    """Write the CRDs into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, definition in definitions().items():
        head = "# Generated from operator/serin/api by `make generate`. Do not edit.\n"
        text = yaml.safe_dump(definition, sort_keys=False, width=120, allow_unicode=True)
        (folder / name).write_text(head + text)


if __name__ == "__main__":
    main()
