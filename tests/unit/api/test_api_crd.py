"""The CRDs: structural as Kubernetes wants them, described in every field, and one with the models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic import ValidationError

from serin.api.base import to_wire
from serin.api.crd import definitions
from serin.api.crd import structural
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.status import ModelDeploymentStatus
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling

Schema = dict[str, Any]
CRDS = Path(__file__).parents[3] / "crds"
# https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
FORBIDDEN = {"$ref", "$defs", "definitions", "title", "const", "discriminator", "oneOf", "allOf", "not", "examples"}
TYPES = {"object", "array", "string", "integer", "number", "boolean"}


def schemas(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from schemas(schema["additionalProperties"], f"{path}{{}}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


DEFINITIONS = definitions()


def all_schemas(name: str) -> Iterator[tuple[str, Schema]]:
    """Every schema of one kind."""
    return schemas(DEFINITIONS[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_every_schema_is_structural_and_described(name: str) -> None:
    for path, schema in all_schemas(name):
        assert not FORBIDDEN & set(schema), path
        if schema.get("x-kubernetes-int-or-string"):
            assert schema["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
            assert "type" not in schema, path
        else:
            assert "anyOf" not in schema, path
            assert schema["type"] in TYPES, path
        if path.endswith(("[]", "{}")) or path == ".metadata":
            continue
        words = schema["description"]
        assert words.endswith("."), (path, words)
        assert words == " ".join(words.split()), path
        assert len(words) < 400, path


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_every_schema_is_bounded_and_closed(name: str) -> None:
    """What people write has limits, so that the rules' cost has, too; and nothing is accepted and ignored."""
    for path, schema in all_schemas(name):
        if schema.get("type") == "object" and "properties" not in schema and path != ".metadata":
            assert "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
        assert not (schema.get("properties") and schema.get("additionalProperties")), path
        if path.startswith(".spec") and schema.get("type") == "array":
            assert "maxItems" in schema, path
        for rule in schema.get("x-kubernetes-validations", []):
            assert rule["message"], path


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_what_is_on_disk_is_what_the_models_say(name: str) -> None:
    assert yaml.load((CRDS / name).read_text(), yaml.CSafeLoader) == DEFINITIONS[name], "run: make generate"


def test_nothing_else_is_on_disk() -> None:
    assert {path.name for path in CRDS.glob("*.yaml")} == set(DEFINITIONS)


def test_a_fresh_object_is_not_ready_by_default() -> None:
    """kstatus takes an object without a status for ready: the default says that nobody has looked yet."""
    for definition in DEFINITIONS.values():
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        if definition["spec"]["names"]["kind"] == "RolloutPolicy":
            # Nothing is done with it, so there is nothing to wait for: it has no status at all.
            assert "status" not in schema["properties"]
            continue
        assert schema["properties"]["status"]["default"] == {"observedGeneration": -1}
        assert schema["properties"]["status"]["properties"]["observedGeneration"]["type"] == "integer"


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_columns_show_fields_that_exist(name: str) -> None:
    version = DEFINITIONS[name]["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[")[0].strip(".").split(".")
        at = schema
        for part in path if path[0] != "metadata" else ():
            at = at["properties"][part]


MINIMAL: Schema = {"model": {"name": "fraud-detector", "version": 1}}


def changed(path: str, value: Any) -> Schema:
    """The smallest spec with one field more; "-" takes it away."""
    spec: Schema = {section: dict(members) for section, members in MINIMAL.items()}
    at, *parts = spec, *path.split(".")
    for part in parts[:-1]:
        at = at.setdefault(part, {})
    if value == "-":
        del at[parts[-1]]
    else:
        at[parts[-1]] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.version", "-"),
        ("model.alias", "champion"),
        ("model.version", 0),
        ("model.name", "a/b"),
        ("model.name", "a:b"),
        ("model.name", ""),
        ("serving.minReplicas", 0),
        ("serving.backend", "Other"),
        ("serving.protocol", "v3"),
        ("serving.startupDeadline", "soon"),
        ("serving.env", [{"name": "1A", "value": "1"}]),
        ("serving.novel", 1),
        ("traffic.timeout", "30"),
        ("traffic.hostnames", ["Upper.test"]),
        ("traffic.hostnames", ["a_b.test"]),
        ("traffic.gateways", [{"name": "public"}]),
        ("traffic.gateways", [{"name": "public", "namespace": "gate.ways"}]),
        ("traffic.gateways", [{"name": "public", "namespace": "g" * 64}]),
        ("traffic.gateways", [{"name": "public", "namespace": "gateways", "sectionName": "ht..tps"}]),
        ("rollout.steps", [{"weight": 101, "hold": "1m"}]),
        ("rollout.steps", [{"weight": -1, "hold": "1m"}]),
        ("rollout.steps", [{"weight": 5}]),
        ("rollout.steps", [{"weight": 5, "approval": False}]),
        ("rollout.steps", [{"weight": 5, "hold": "1m", "wait": True}]),
        ("rollout.steps", [{"weight": 5, "hold": "1m", "mirror": 0}]),
        ("rollout.steps", [{"weight": 5, "hold": "1m", "match": {"headers": {}}}]),
        ("rollout", {"policy": "cautious", "bake": "1h"}),
        ("rollout", {"onInconclusive": "Maybe"}),
        ("novel", {}),
    ],
)
def test_what_the_schema_refuses_the_model_refuses(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        ModelDeploymentSpec.model_validate(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.registry", "team-a"),
        ("serving", {}),
        ("serving.resources", {"requests": {"cpu": 1, "memory": "2Gi"}, "limits": {"nvidia.com/gpu": 1}}),
        ("serving.overrides", {"any": {"thing": [1, None, {"a": True}]}}),
        ("serving.env", [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]),
        ("traffic.hostnames", ["*.example.com", "fraud.example.com"]),
        ("traffic.gateways", [{"name": "a", "namespace": "b", "sectionName": "https"}]),
        ("traffic.gateways", [{"name": "a.b", "namespace": "g" * 63, "sectionName": "https.internal"}]),
        ("rollout", {"policy": "cautious"}),
        ("rollout", {"bake": "30m", "deadline": "4h", "onInconclusive": "Rollback"}),
        (
            "rollout.gates",
            {"signature": "Warn", "quality": [{"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "2%"}]},
        ),
        ("rollout.steps", [{"weight": 0, "approval": True, "mirror": 20, "match": {"headers": {"x-cohort": "beta"}}}]),
        ("rollout.steps", [{"weight": 0, "hold": "0s"}, {"weight": 100, "hold": "1h30m"}]),
        ("suspend", True),
    ],
)
def test_what_is_written_comes_back_as_it_was(path: str, value: Any) -> None:
    """Defaults may be added, as the API server does; nothing of what people wrote may be lost or change its form."""
    written = changed(path, value)
    spec = ModelDeploymentSpec.model_validate(written)
    assert _within(written, to_wire(spec))
    back = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert back == written
    assert ModelDeploymentSpec.model_validate(back) == spec


def test_defaults_of_the_schema_are_those_of_the_models() -> None:
    for model, minimal in ((ModelDeploymentSpec, MINIMAL), (ModelRegistrySpec, {"url": "http://mlflow:5000"})):
        defaulted = _with_defaults(structural(model), minimal)
        assert model.model_validate(defaulted) == model.model_validate(minimal)
        assert _within(defaulted, to_wire(model.model_validate(minimal)))


@pytest.mark.parametrize("stage", ["first", "rolling", "rolled back", "previous kept"])
def test_every_status_fits_its_schema(stage: str) -> None:
    """The API server prunes what the schema does not know: the operator would forget it."""
    scene = healthy() if stage == "first" else rolling({10: "5m"})
    if stage == "rolled back":
        scene.become_ready = False
        scene.run(1200)
        assert scene.status.rejected
    if stage in ("rolling", "previous kept"):
        scene.run(60 if stage == "rolling" else 400)
    status = to_wire(scene.status)
    assert _pruned(structural(ModelDeploymentStatus), status) == status
    assert ModelDeploymentStatus.model_validate(status) == scene.status


def test_a_status_of_a_newer_operator_is_read_as_far_as_it_is_known() -> None:
    status = to_wire(healthy().status)
    newer = {**status, "novel": {"a": 1}, "stable": {**status["stable"], "novel": 1}}  # type: ignore[dict-item]
    assert to_wire(ModelDeploymentStatus.model_validate(newer)) == status


def test_a_union_that_no_crd_can_say_is_refused_at_once() -> None:
    class Wrong(BaseModel):
        field: int | list[str]

    with pytest.raises(ValueError, match="a union of 2 types cannot be expressed in a CRD"):
        structural(Wrong)


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(_within(value, whole.get(key)) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_within, part, whole))
    return bool(part == whole)


def _with_defaults(schema: Schema, value: Any) -> Any:
    """As the API server fills in defaults."""
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, inner in schema["properties"].items():
            if name not in filled and "default" in inner:
                filled[name] = inner["default"]
            if name in filled:
                filled[name] = _with_defaults(inner, filled[name])
        return filled
    return value


def _pruned(schema: Schema, value: Any) -> Any:
    """As the API server drops what the schema does not know."""
    if isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        if "properties" in schema:
            known = schema["properties"]
            return {name: _pruned(known[name], inner) for name, inner in value.items() if name in known}
        return {name: _pruned(schema["additionalProperties"], inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_pruned(schema["items"], inner) for inner in value]
    return value
