from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from charts.generate import ROOT
from serin.cli.offline import platform_of
from serin.cli.render import ALIAS_VERSION
from serin.settings import load
from serin.settings import platform
from tests.unit.cli.conftest import run

Json = dict[str, Any]

SAMPLES = sorted((ROOT / "manifests/samples").glob("*.yaml"))
SHORTEST = """\
apiVersion: serin.dev/v1alpha1
kind: ModelDeployment
metadata: {name: fraud, namespace: payments}
spec:
  model: {name: fraud-detector, alias: champion}
"""


def rendered(manifest: str, *options: str) -> Result:
    return run("render", "-f", "-", *options, input=manifest)


def objects(shown: Result) -> list[Json]:
    assert shown.exit_code == 0, shown.output
    return [one for one in yaml.safe_load_all(shown.stdout) if one]


def manifest(**spec: Any) -> str:
    whole = {"model": {"name": "fraud-detector", "version": 13}, **spec}
    return yaml.safe_dump(
        {
            "apiVersion": "serin.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "fraud", "namespace": "payments"},
            "spec": whole,
        }
    )


def test_several_files_are_rendered_and_none_is_passed_over(tmp_path: Path) -> None:
    """As kubectl takes them. Only the last one would be read otherwise, and the others be taken for valid."""
    for name in ("one", "other"):
        (tmp_path / name).write_text(SHORTEST.replace("name: fraud,", f"name: {name},"))
    options = [part for name in ("one", "other") for part in ("-f", str(tmp_path / name))]
    found = objects(run("render", *options))
    assert [one["metadata"]["name"] for one in found if one["kind"] == "HTTPRoute"] == ["one", "other"]
    (tmp_path / "one").write_text(SHORTEST.replace("alias", "alas"))
    shown = run("render", *options)
    assert shown.exit_code == 1
    assert "did you mean alias?" in shown.stderr


def test_the_shortest_manifest_by_documented_placeholders() -> None:
    service, route = objects(rendered(SHORTEST))
    assert (service["kind"], route["kind"]) == ("InferenceService", "HTTPRoute")
    model = service["spec"]["predictor"]["model"]
    assert model["storageUri"] == "s3://example/models/fraud-detector/1"
    assert model["runtime"] == "kserve-mlserver"
    assert service["metadata"]["name"].startswith(f"fraud-v{ALIAS_VERSION}-")
    assert route["spec"]["hostnames"] == ["fraud.payments.example.com"]
    assert [ref["name"] for ref in route["spec"]["parentRefs"]] == ["public"]
    [backend] = route["spec"]["rules"][-1]["backendRefs"]
    assert (backend["name"], backend["weight"]) == (f"{service['metadata']['name']}-predictor", 100)


def test_nothing_belongs_to_an_owner_that_does_not_exist() -> None:
    """Applied with one, the garbage collector would take the objects away at once."""
    assert all("ownerReferences" not in one["metadata"] for one in objects(rendered(SHORTEST)))


def test_what_the_registry_would_say_can_be_said() -> None:
    said = ("--version", "7", "--artifact-uri", "gs://models/7", "--flavor", "sklearn", "--flavor", "python_function")
    shown = rendered(SHORTEST, *said)
    service = objects(shown)[0]
    assert service["metadata"]["name"].startswith("fraud-v7-")
    assert service["spec"]["predictor"]["model"]["storageUri"] == "gs://models/7"
    assert shown.stdout.startswith(
        "# ModelDeployment fraud: fraud-detector version 7 from gs://models/7,\n# flavors sklearn, python_function;"
    )


@pytest.mark.parametrize(
    "location", ["foo", "", "models/7", "/models/7", "mlflow-artifacts:/1/models/m-7/artifacts", "s3://"]
)
def test_what_pods_cannot_fetch_is_no_location(location: str) -> None:
    shown = rendered(SHORTEST, "--artifact-uri", location)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "is no location that pods can fetch, such as s3://models/fraud/7" in " ".join(shown.stderr.split())


@pytest.mark.parametrize(
    "location", ["file:///models/7", "pvc://models/7", "serin+https://mlflow.example.com/7", "S3://b/7"]
)
def test_every_scheme_is_a_location(location: str) -> None:
    service = objects(rendered(SHORTEST, "--artifact-uri", location))[0]
    assert service["spec"]["predictor"]["model"]["storageUri"] == location


def test_replicas_are_told_where_no_object_says_them() -> None:
    assert "-predictor, made by the backend; replicas: 3." in rendered(manifest(serving={"minReplicas": 3})).stdout
    scaled = objects(rendered(manifest(serving={"minReplicas": 2, "maxReplicas": 6})))
    [autoscaler] = [one for one in scaled if one["kind"] == "HorizontalPodAutoscaler"]
    assert (autoscaler["spec"]["minReplicas"], autoscaler["spec"]["maxReplicas"]) == (2, 6)


@pytest.mark.parametrize("sample", [path for path in SAMPLES if "kind: ModelDeployment" in path.read_text()])
def test_every_sample_comes_to_something(sample: Path) -> None:
    kinds = [one["kind"] for one in objects(run("render", "-f", str(sample)))]
    assert {"InferenceService", "HTTPRoute"} <= set(kinds)


def test_what_is_suspended_is_rendered_as_it_will_be() -> None:
    assert objects(rendered(manifest(suspend=True))) == objects(rendered(manifest()))


def test_the_namespace_is_the_manifests_then_the_options() -> None:
    assert objects(rendered(SHORTEST, "-n", "other"))[0]["metadata"]["namespace"] == "payments"
    without = SHORTEST.replace(", namespace: payments", "")
    assert objects(rendered(without, "-n", "other"))[0]["metadata"]["namespace"] == "other"
    assert objects(rendered(without))[0]["metadata"]["namespace"] == "default"


def test_several_and_what_is_none_of_ours() -> None:
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    second = SHORTEST.replace("name: fraud,", "name: churn,")
    shown = rendered(f"{SHORTEST}---\n{other}---\n---\n{second}")
    assert [one["metadata"]["name"] for one in objects(shown) if one["kind"] == "HTTPRoute"] == ["fraud", "churn"]
    assert shown.stderr == "left out, as no ModelDeployments: ConfigMap\n"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"serving": {"minReplica": 2}}, "spec.serving.minReplica: there is no such field; did you mean minReplicas?"),
        ({"model": {"version": 1}}, "spec.model.name: is required"),
        ({"model": {"name": "x"}}, "spec.model: exactly one of version and alias must be set"),
        ({"serving": {"minReplicas": 0}}, "spec.serving.minReplicas: must be greater than or equal to 1"),
        ({"serving": {"protocol": "v3"}}, "spec.serving.protocol: must be 'v1' or 'v2'"),
        (
            {"rollout": {"steps": [{"weight": 5, "hold": "5x"}]}},
            "spec.rollout.steps[0].hold: '5x' is not a duration such as 90s, 10m or 1h30m",
        ),
        (
            {"serving": {"resources": {"limits": {"memory": "2gb"}}}},
            "spec.serving.resources.limits.memory: '2gb' is not a quantity such as 1, 500m or 2Gi",
        ),
        (
            {"serving": {"resources": {"limits": {"cpu": 0.5}}}},
            'limits.cpu: 0.5 is not a quantity such as 1, 500m or 2Gi, or "0.5" with its quotes',
        ),
        (
            {"rollout": {"gates": {"quality": [{"metric": "f1", "notWorseThanStable": "2"}]}}},
            "spec.rollout.gates.quality[0].notWorseThanStable: '2' is not a percentage such as 5% or 0.25%",
        ),
        ({"model": {"name": "x", "version": "13"}}, 'spec.model.version: must be a valid integer, not "13"'),
        ({"model": {"name": "x", "version": True}}, "spec.model.version: must be a valid integer, not true"),
        ({"suspend": "yes"}, 'spec.suspend: must be a valid boolean, not "yes"'),
        (
            {"rollout": {"steps": [{"weigth": 5, "hold": "5s"}]}},
            "steps[0].weigth: there is no such field; did you",
        ),
        ({"traffic": {"xyz": 1}}, "spec.traffic.xyz: there is no such field; there are gateways, hostnames, timeout"),
    ],
)
def test_what_is_wrong_is_told_by_field_reason_and_remedy(wrong: Json, told: str) -> None:
    shown = rendered(manifest(**wrong))
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert f"ModelDeployment fraud: {told}" in " ".join(shown.stderr.split()) or told in " ".join(shown.stderr.split())
    assert "kubectl explain modeldeployment.spec" in shown.stderr


def test_everything_that_is_wrong_is_told_at_once() -> None:
    broken = (
        SHORTEST.replace("v1alpha1", "v1").replace("name: fraud,", "name: Fraud_1,").replace("spec:", "sepc: {}\nspec:")
    )
    shown = rendered(broken)
    assert shown.exit_code == 1
    for told in (
        "apiVersion: is serin.dev/v1, must be serin.dev/v1alpha1",
        "metadata.name: must be at most 50 lower case letters",
        "sepc: there is no such field; did you mean spec?",
    ):
        assert told in " ".join(shown.stderr.split())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            SHORTEST.replace("apiVersion: serin.dev/v1alpha1\n", ""),
            "apiVersion: is missing, must be serin.dev/v1alpha1",
        ),
        ("{", "standard input is no YAML"),
        ("just words", "standard input holds something else than Kubernetes objects"),
        ("", "standard input declares no ModelDeployment; it has nothing"),
        ("kind: Pod", "declares no ModelDeployment; it has Pod"),
        (SHORTEST.replace("  model:", "  #model:"), "spec: is missing"),
        (SHORTEST.replace("spec:", "spec: 7 #"), "is no YAML"),
        ("kind: ModelDeployment\nmetadata: 7\nspec: []", "spec: is missing"),
        ("kind: List\nitems: [null]", "holds something else than Kubernetes objects: null"),
        ("kind: List\nitems: abc", 'holds a List whose items are no list: "abc"'),
        ("kind: List\nitems: [[]]", "holds something else than Kubernetes objects: []"),
        ("kind: List\nitems:", "declares no ModelDeployment; it has nothing"),
        (SHORTEST + "7: x\n", "7: there is no such field; there are apiVersion, kind"),
        (SHORTEST.replace("payments", "5"), "metadata.namespace: is 5, must be lower case letters and digits"),
        (SHORTEST.replace("payments", "a/b"), 'metadata.namespace: is "a/b", must be lower case'),
        (SHORTEST + "  suspend: true\n  suspend: false\n", "the key suspend stands twice"),
        ("a: &a [*a]", "holds YAML that is no JSON"),
        ("? [1]\n: 2", "is no YAML"),
        ("[" * 5000, "holds YAML that is no JSON"),
        ("- " * 5000, "holds YAML that is no JSON"),
        ("a: !!python/name:os.system x", "is no YAML"),
    ],
)
def test_what_is_no_manifest(content: str, told: str) -> None:
    shown = rendered(content)
    assert shown.exit_code == 1
    assert told in " ".join(shown.stderr.split())
    assert run("render", "-f", "/nowhere/x.yaml").exit_code == 1
    assert run("render").exit_code == 2


def test_lists_are_opened_whatever_they_are_called() -> None:
    [whole] = list(yaml.safe_load_all(SHORTEST))
    bare = {"metadata": {"name": "churn"}, "spec": whole["spec"]}
    lists = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {"apiVersion": "serin.dev/v1alpha1", "kind": "ModelDeploymentList", "items": [whole, bare]},
            {"apiVersion": "v1", "kind": "List", "items": None},
        ],
    }
    shown = rendered(yaml.safe_dump(lists))
    assert [one["metadata"]["name"] for one in objects(shown) if one["kind"] == "HTTPRoute"] == ["fraud", "churn"]
    # Another kind that only ends like one.
    assert "it has AllowList" in rendered("kind: AllowList\nspec: {}").stderr


def test_a_manifest_is_read_as_kubectl_reads_it() -> None:
    """Moments and other words of YAML are texts, numbers without a fraction whole ones, nulls are not written."""
    written = SHORTEST.replace("name: fraud-detector, alias: champion", "name: 2026-11-20, version: 13.0").replace(
        "metadata: {name: fraud, namespace: payments}", "metadata: {name: fraud, namespace: payments, labels: }"
    )
    written += "  serving:\n    env: [{name: DAY, value: 2026-11-20}]\n    workers: null\n    overrides: {nodeName: }\n"
    written += "  traffic:\n  rollout: {bake: }\n"
    shown = rendered(written)
    model = objects(shown)[0]["spec"]["predictor"]
    assert shown.stdout.startswith("# ModelDeployment fraud: 2026-11-20 version 13 from")
    assert {"name": "DAY", "value": "2026-11-20"} in model["model"]["env"]
    assert rendered("\ufeff" + SHORTEST).exit_code == 0


def test_a_null_in_a_list_is_a_value() -> None:
    assert (
        "spec.traffic.hostnames[0]: must be a valid string, not null"
        in rendered(manifest(traffic={"hostnames": [None]})).stderr
    )


def test_a_query_that_the_operator_would_refuse() -> None:
    """The API server takes any text; the operator would say it with the same words."""
    check = {"name": "margin", "query": "avg(margin) > {{ foo }}", "atLeast": 0.1}
    shown = rendered(manifest(rollout={"analysis": {"checks": [check]}}))
    assert shown.exit_code == 1
    told = " ".join(shown.stderr.split())
    assert told.startswith(
        "error: fraud would not be served: InvalidQuery: spec.rollout.analysis: the query of check margin:"
    )
    assert "Correct the query that the message names" in told


def test_a_version_that_contradicts_the_manifest() -> None:
    assert rendered(manifest(), "--version", "14").exit_code == 2
    assert rendered(manifest(), "--version", "13").exit_code == 0


def test_what_would_never_be_served_is_told_with_a_remedy() -> None:
    shown = rendered(SHORTEST, "--flavor", "spark")
    assert (shown.exit_code, shown.stdout) == (1, "")
    told = " ".join(shown.stderr.split())
    assert told.startswith(
        "error: fraud would not be served: NoRuntime: fraud-detector version 1 has the flavors spark"
    )
    assert "have the platform team add a runtime to the operator's settings." in told
    long = SHORTEST.replace("payments", "p" * 63)
    assert "NameTooLong" in rendered(long).stderr


SETTINGS: Json = {"domain": "models.acme", "gateways": [{"name": "front", "namespace": "edge"}]}


@pytest.mark.parametrize(
    "form",
    [
        SETTINGS,
        {"kind": "ConfigMap", "data": {"settings.yaml": yaml.safe_dump(SETTINGS)}},
        {"settings": {**SETTINGS, "httpPort": 8080, "logLevel": "INFO"}, "rbac": {"create": True}},
    ],
    ids=["file", "ConfigMap", "values"],
)
def test_settings_in_every_form_that_people_have(tmp_path: Path, form: Json) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(form))
    route = objects(rendered(SHORTEST, "--settings", str(file)))[-1]
    assert route["spec"]["hostnames"] == ["fraud.payments.models.acme"]
    assert route["spec"]["parentRefs"][0]["name"] == "front"


def test_variables_of_ones_own_are_not_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"gateways": SETTINGS["gateways"]}))
    before = rendered(SHORTEST, "--settings", str(file)).stdout
    assert "fraud.payments.example.com" in before
    monkeypatch.setenv("SERIN_DOMAIN", "elsewhere.test")
    monkeypatch.setenv("SERIN_RUNTIMES", "no JSON")
    assert rendered(SHORTEST, "--settings", str(file)).stdout == before


def test_the_charts_own_values_are_the_defaults() -> None:
    from_values = platform_of(str(ROOT / "charts/serin/values.yaml"))
    default = platform_of(None)
    assert from_values == replace(default, gateways=()) == platform(load(None))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("domain: 7", "domain: "),
        ("gatways: []", "gatways: "),
        ("kind: ConfigMap\ndata: {}", "has no key settings.yaml"),
        ("kind: ConfigMap\ndata: foo", "has no key settings.yaml"),
        ("kind: ConfigMap\ndata: {settings.yaml: {domain: x}}", "has no key settings.yaml with a text"),
        ("kind: ConfigMap\ndata: {settings.yaml: '{'}", "settings.yaml of the ConfigMap in"),
        ("kind: ConfigMap\ndata: {settings.yaml: '[1]'}", "must hold one mapping with settings"),
        ("settings: {runtimes: foo}", "runtimes: "),
        ("settings: {runtimes: [foo]}", "runtimes.0: "),
        ("settings: {runtimes: {a: 1}}", "runtimes: "),
        ("settings: foo", "settings: "),
        ("---\na: 1\n---\nb: 2", "must hold one document"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    shown = rendered(SHORTEST, "--settings", str(file))
    assert shown.exit_code == 1
    assert told in shown.stderr


def test_a_gateway_has_to_come_from_somewhere(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("domain: models.acme")
    assert "GatewayNotConfigured" in rendered(SHORTEST, "--settings", str(file)).stderr


@pytest.mark.parametrize("written", ["image: {repository: a/b}", "image: {repository: a/b}\nsettings:\n"])
def test_values_of_the_chart_need_no_settings(tmp_path: Path, written: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(written)
    reached = manifest(traffic={"gateways": [{"name": "a", "namespace": "b"}]})
    assert objects(rendered(reached, "--settings", str(file))) == objects(rendered(reached))
