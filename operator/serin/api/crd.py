"""From the models to the CustomResourceDefinitions in ``crds/``: the schema, the rules and the columns.

``python -m serin.api.crd FOLDER`` writes them. pydantic's JSON schema is made structural as Kubernetes wants it
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema);
what no JSON schema can say is said by CEL, and each rule's message names the field and the remedy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from serin.api import kinds
from serin.api.analysis import ANALYSIS_RULES
from serin.api.base import GROUP
from serin.api.base import VERSION
from serin.api.gates import GATE_RULES
from serin.api.kinds import Kind
from serin.api.modeldeployment import GATEWAY_DURATION_PATTERN
from serin.api.modeldeployment import GATEWAY_DURATION_RULE
from serin.api.modeldeployment import GATEWAYS_RULE
from serin.api.modeldeployment import NAME_MAX_LENGTH
from serin.api.modeldeployment import NAME_PATTERN
from serin.api.modeldeployment import RESERVED_ENV
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.modelregistry import ModelRegistryStatus
from serin.api.quantities import LONGEST
from serin.api.rollout import DIRECT_HEADER
from serin.api.rollout import HEADER_NAME_LENGTH
from serin.api.rollout import HEADER_NAME_PATTERN
from serin.api.rollout import LONGEST_READINESS
from serin.api.rollout import Rollout
from serin.api.rolloutpolicy import RolloutPolicySpec
from serin.api.status import ModelDeploymentStatus

Schema = dict[str, Any]
Rules = dict[tuple[str, ...], list[dict[str, str]]]
Column = tuple[str, str, str, int, str]


def _at_most(field: str, limit: str, where: str) -> dict[str, str]:
    """A limit of a duration that may be left out."""
    return {
        "rule": f"!has(self.{field}) || duration(self.{field}) <= duration('{limit}')",
        "message": f"{where}{field} must be at most {limit}",
    }


def rollout_rules(path: tuple[str, ...]) -> Rules:
    """Rules of a rollout's settings, inline or as a policy. No member has a default: what is not written is absent."""
    where = ".".join(path)
    return {
        path: [
            {
                "rule": "!has(self.steps) || self.steps.map(step, step.weight).isSorted()",
                "message": f"weights of {where}.steps must not fall from one step to the next",
            },
            *(_at_most(field, LONGEST, f"{where}.") for field in ("bake", "keepPrevious", "deadline")),
            {
                "rule": "!has(self.deadline) || duration(self.deadline) > duration('0s')",
                "message": f"{where}.deadline must be above 0s; leave it out for none",
            },
            {
                "rule": "!has(self.analysis) || self.analysis.checks.size() > 0",
                "message": f"{where}.analysis needs {where}.analysis.checks: without one nothing is judged; "
                "add one, or leave analysis out",
            },
            {
                "rule": "!has(self.onFailure) || has(self.analysis)",
                "message": f"{where}.onFailure says what happens when a check fails: set {where}.analysis, too",
            },
            {
                "rule": "!has(self.onInconclusive) || has(self.deadline)",
                "message": f"{where}.onInconclusive says what happens at the deadline: set {where}.deadline, too",
            },
        ],
        **{
            (*path, "analysis", *below): [{**rule, "message": f"{where}.analysis: {rule['message']}"} for rule in rules]
            for below, rules in ANALYSIS_RULES.items()
        },
        **{
            (*path, "gates", *below): [{**rule, "message": f"{where}.gates: {rule['message']}"} for rule in rules]
            for below, rules in GATE_RULES.items()
        },
        (*path, "steps", "[]"): [
            _at_most("hold", LONGEST, f"{where}.steps[]."),
            {
                "rule": "has(self.hold) || (has(self.approval) && self.approval)",
                "message": f"hold of {where}.steps must be set, or approval: true for a step that only a person ends",
            },
        ],
        (*path, "steps", "[]", "match"): [
            {
                "rule": f'self.headers.all(name, name.matches("{HEADER_NAME_PATTERN}") && '
                f"name.size() <= {HEADER_NAME_LENGTH})",
                "message": f"match.headers of {where}.steps must be names of HTTP headers",
            },
            {
                "rule": f"self.headers.all(name, name.lowerAscii() != '{DIRECT_HEADER}')",
                "message": f"match.headers of {where}.steps must not be {DIRECT_HEADER}: "
                "it always reaches the revision that it names",
            },
            {
                "rule": "self.headers.all(name, "
                "self.headers.exists_one(other, other.lowerAscii() == name.lowerAscii()))",
                "message": f"match.headers of {where}.steps must name each header once, whatever its case",
            },
        ],
        (*path, "readiness"): [_at_most("stableFor", LONGEST_READINESS, f"{where}.readiness.")],
    }


# Rules by the path of the schema they stand at; "[]" is a list's element.
MODEL_DEPLOYMENT_RULES: Rules = {
    (): [
        {
            "rule": f"self.metadata.name.size() <= {NAME_MAX_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
            "message": f"metadata.name must be at most {NAME_MAX_LENGTH} lower case letters, digits and '-', "
            "begin with a letter and end with a letter or digit: it becomes part of host names",
        }
    ],
    ("spec", "model"): [
        {
            "rule": "has(self.version) != has(self.alias)",
            "message": "exactly one of spec.model.version and spec.model.alias must be set: "
            "a version stays, an alias is followed",
        }
    ],
    ("spec", "serving"): [
        {
            "rule": "!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas",
            "message": "spec.serving.maxReplicas must not be below spec.serving.minReplicas (default 1)",
        },
        {
            "rule": "!has(self.scaling) || (has(self.maxReplicas) && self.maxReplicas > self.minReplicas)",
            "message": "spec.serving.scaling needs spec.serving.maxReplicas above spec.serving.minReplicas",
        },
        {
            "rule": f"duration(self.startupDeadline) <= duration('{LONGEST}')",
            "message": f"spec.serving.startupDeadline must be at most {LONGEST}",
        },
    ],
    ("spec", "serving", "env", "[]"): [
        {
            "rule": "has(self.value) != has(self.valueFrom)",
            "message": "exactly one of value and valueFrom must be set for each variable of spec.serving.env",
        },
        {
            "rule": f"!(self.name in {list(RESERVED_ENV)})",
            "message": f"spec.serving.env must not set {', '.join(RESERVED_ENV)}: "
            "the operator sets these, or the backend refuses them; use spec.serving.workers for processes",
        },
    ],
    ("spec", "serving", "env", "[]", "valueFrom"): [
        {
            "rule": "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
            "message": "exactly one of secretKeyRef, configMapKeyRef and fieldRef must be set in valueFrom",
        }
    ],
    ("spec", "traffic"): [
        {
            "rule": f"duration(self.timeout) > duration('0s') && duration(self.timeout) <= duration('{LONGEST}')",
            "message": f"spec.traffic.timeout must be above 0s and at most {LONGEST}",
        },
        # What HTTPRoute refuses, so that a route can always be written: it is by a write that traffic is taken away.
        {
            "rule": f"self.timeout.matches('{GATEWAY_DURATION_PATTERN}')",
            "message": f"spec.traffic.{GATEWAY_DURATION_RULE}",
        },
        {
            "rule": "self.gateways.all(one, self.gateways.exists_one(other, other.name == one.name "
            "&& other.__namespace__ == one.__namespace__ "
            "&& (!has(other.sectionName) || !has(one.sectionName) || other.sectionName == one.sectionName)))",
            "message": f"spec.traffic.{GATEWAYS_RULE}",
        },
    ],
}

MODEL_REGISTRY_RULES: Rules = {
    ("spec",): [
        {
            "rule": "duration(self.pollInterval) >= duration('1s') && duration(self.pollInterval) <= duration('1h')",
            "message": "spec.pollInterval must be at least 1s and at most 1h",
        },
        {
            "rule": "!has(self.tls) || self.url.startsWith('https://')",
            "message": "spec.tls needs a spec.url that begins with https://",
        },
    ],
    ("spec", "allowedNamespaces", "matchExpressions", "[]"): [
        {
            "rule": "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) "
            ": (!has(self.values) || self.values.size() == 0)",
            "message": "values must be set for In and NotIn, and must not be set for Exists and DoesNotExist",
        }
    ],
}

POLICY_ALONE = {
    "rule": "!has(self.policy) || !("
    + " || ".join(f"has(self.{to_camel(field)})" for field in sorted(Rollout.model_fields))
    + ")",
    "message": "spec.rollout.policy must stand alone: what stands beside it belongs into the RolloutPolicy",
}
MODEL_DEPLOYMENT_RULES |= rollout_rules(("spec", "rollout"))
MODEL_DEPLOYMENT_RULES["spec", "rollout"].append(POLICY_ALONE)
ROLLOUT_POLICY_RULES: Rules = rollout_rules(("spec",))

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
