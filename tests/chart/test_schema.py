"""What the chart refuses: a value that is misspelt or of the wrong kind must not be accepted and ignored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts import generate
from serin.settings import Settings
from serin.settings import load
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.chart.rendered import refusal
from tests.chart.rendered import render
from tests.chart.rendered import without_crds

SCHEMA: Json = json.loads((generate.CHART / "values.schema.json").read_text())
# Helm's own, and objects of the Kubernetes API, which the API server checks.
FREE = {"global", "valueFrom", "podSelector", "namespaceSelector", "ipBlock", "nodeAffinity", "podAffinity"}
FREE |= {"podAntiAffinity"}
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
# What the pod itself tells, and where it listens: no values.
NOT_VALUES = {"namespace", "kubeconfig", "http_host"}

WRONG: list[tuple[str, Any]] = [
    ("replicas", 2),
    ("image.name", "x"),
    ("image.repository", "registry.example.com/operator@sha256:00"),
    ("image.repository", "registry.example.com:5000/operator:0.1.0"),
    ("image.digest", "latest"),
    ("image.pullPolicy", "Sometimes"),
    ("imagePullSecrets", ["login"]),
    ("settings.workers", "8"),
    ("settings.workers", 0),
    ("settings.requestsPerSecond", 0),
    ("settings.logLevel", "info"),
    ("settings.httpPort", 80),
    ("settings.requests_per_second", 10),
    ("settings.gateways", [{"name": "public"}]),
    ("settings.gateways", [{"name": "public", "namespace": "gateways", "port": 80}]),
    ("settings.runtimes", []),
    ("settings.runtimes", [{"name": "x"}]),
    ("crds.install", "yes"),
    ("rbac.secretNames", "login"),
    ("resources.request", {}),
    ("extraEnv", [{"value": "x"}]),
    ("podLabels", {"app.kubernetes.io/name": "other"}),
    ("tolerations", [{"effect": "Never"}]),
    ("metrics.monitor.kind", "Both"),
    ("metrics.podMonitor.interval", "often"),
    ("metrics.podMonitor.port", 8082),
    ("metrics.dashboards.labels", {"grafana_dashboard": 1}),
    ("metrics.alerts.disabled", ["RegistryDown"]),
    ("metrics.alerts.runbooks", ""),
    ("settings.prometheusUrl", "prometheus:9090"),
    ("settings.prometheusUrl", "http://user:password@prometheus:9090"),
    ("settings.prometheusMatchers", "cluster=eu"),
    ("settings.prometheusMatchers", 'cluster="eu"} or vector(1) or x{a="b"'),
    ("networkPolicy.from", [{"pods": {}}]),
]


def _objects(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema of an object, with where it stands."""
    if schema.get("type") == "object":
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _objects(inner, f"{path}.{name}".lstrip("."))
    if isinstance(schema.get("items"), dict):
        yield from _objects(schema["items"], f"{path}[]")


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda one: one if isinstance(one, str) else json.dumps(one))
def test_wrong_value_is_refused(name: str, value: Any) -> None:
    assert "values don't meet the specifications of the schema" in refusal({name: value})


@pytest.mark.parametrize("name", ["SERIN_SETTINGS", "SERIN_NAMESPACE", "SERIN_HTTP_PORT"])
def test_a_variable_of_the_charts_own_is_refused(name: str) -> None:
    assert f"extraEnv sets {name}, which the chart sets itself" in refusal({"extraEnv": [{"name": name, "value": "x"}]})


def _says_something(default: Any) -> bool:
    return not isinstance(default, dict) and default not in ("", [])


# Of lists only the runtimes are needed: without tolerations a pod tolerates nothing.
NEEDED = [one for one in generate.values() if _says_something(one.default) and one.name != "tolerations"]
PARENTS = sorted({".".join(one.path[:length]) for one in generate.values() for length in range(1, len(one.path))})
EMPTY = [one.name for one in generate.values() if one.default in ("", [])]


@pytest.mark.parametrize("name", [*(one.name for one in NEEDED), *PARENTS])
def test_value_that_is_taken_away_is_its_default(name: str) -> None:
    """By null, as where all below a key is commented out: the operator was replaced by one that did not start."""
    if name == "image":
        # Its name has no default.
        assert "image.repository is empty" in refusal({name: None})
    else:
        rest = without_crds(name)
        assert render({**rest, name: None}).text == render(rest).text


def test_values_of_an_older_chart_are_enough(tmp_path: Path) -> None:
    """``helm upgrade --reuse-values`` renders by the defaults of the chart before, which lack what this one adds."""
    older = tmp_path / "serin"
    shutil.copytree(generate.CHART, older)
    defaults = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    for one in NEEDED:
        parent = defaults
        for part in one.path[:-1]:
            parent = parent[part]
        del parent[one.path[-1]]
    (older / "values.yaml").write_text(yaml.safe_dump(defaults))
    assert Rendered(generate.render(chart=older)).objects == render().objects
    kept = generate.render("--set=crds.keep=false", chart=older)
    assert kept == generate.render("--set=crds.keep=false")


@pytest.mark.parametrize("enabled", [True, False])
def test_a_chart_that_has_this_one_may_turn_it_off(tmp_path: Path, enabled: bool) -> None:
    """By its dependency's condition, whose value Helm hands on to this chart."""
    shutil.copytree(generate.CHART, tmp_path / "charts" / "serin")
    version = yaml.safe_load((generate.CHART / "Chart.yaml").read_text())["version"]
    dependency = {"name": "serin", "version": version, "condition": "serin.enabled"}
    chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = {"enabled": enabled, "image": {"repository": "example.com/serin"}, "crds": {"install": False}}
    rendered = Rendered(generate.render(f"--set-json=serin={json.dumps(values)}", chart=tmp_path))
    assert ("Deployment" in {one["kind"] for one in rendered.objects}) is enabled


def test_what_is_empty_by_default_may_be_null() -> None:
    assert "settings.gateways" in EMPTY
    unnamed = {name: None for name in EMPTY if not name.endswith("image.repository")}
    assert render(unnamed).objects == render().objects


def test_every_object_is_closed() -> None:
    open_ones = [path for path, schema in _objects(SCHEMA) if schema.get("additionalProperties", True) is True]
    assert {path.rsplit(".", 1)[-1] for path in open_ones} == FREE


def test_descriptions_are_those_of_the_values() -> None:
    for value in generate.values():
        found: Json = SCHEMA
        for part in value.path:
            found = found["properties"][part]
        assert found["description"] == value.description, value.name


def test_settings_are_the_operators_own(tmp_path: Path) -> None:
    """The file that the chart writes is one that the operator loads, and its defaults are the operator's."""
    text = render().one("ConfigMap")["data"]["settings.yaml"]
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert load(file).model_dump() == Settings().model_dump()
    assert set(render().settings) == set(Settings.model_fields) - NOT_VALUES


def test_url_of_prometheus_is_checked_alike(tmp_path: Path) -> None:
    ours = SCHEMA["properties"]["settings"]["properties"]["prometheusUrl"]["pattern"]
    theirs = Settings.model_json_schema()["properties"]["prometheus_url"]["anyOf"][0]["pattern"]
    # Helm has no null: empty is none.
    assert ours == f"^({theirs.removeprefix('^').removesuffix('$')})?$"
    file = tmp_path / "settings.yaml"
    file.write_text(render({"settings.prometheusUrl": "https://prom.example.com/tenant/"}).settings_text)
    assert load(file).prometheus_url == "https://prom.example.com/tenant/"


def test_matchers_are_checked_alike() -> None:
    ours = SCHEMA["properties"]["settings"]["properties"]["prometheusMatchers"]["pattern"]
    assert ours == Settings.model_json_schema()["properties"]["prometheus_matchers"]["pattern"]


def test_bounds_of_settings_are_the_operators_own() -> None:
    own = Settings.model_json_schema()["properties"]
    for name, schema in SCHEMA["properties"]["settings"]["properties"].items():
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        ours, theirs = ({key: one[key] for key in BOUNDS if key in one} for one in (schema, own[snake]))
        if name == "httpPort":
            assert ours["minimum"] >= theirs["minimum"]
            ours["minimum"] = theirs["minimum"]
        assert ours == theirs, name
