"""What `helm install` says at its end: manifests that are accepted as they stand, and what would keep a model away."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from functools import cache

import pytest
import yaml

from charts import generate
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modelregistry import ModelRegistrySpec
from serin.errors import RegistryError
from serin.registry.place import place
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.chart.rendered import arguments

# Helm shows notes to whoever installs into a cluster, and nobody else: here an object of a copy of the chart has them.
SHOWN = """\
apiVersion: v1
kind: Secret
metadata: {name: notes}
notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}
"""
Notes = Callable[[Json], str]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    copy = shutil.copytree(generate.CHART, tmp_path_factory.mktemp("chart") / "serin")
    (copy / "templates" / "shown.yaml").write_text(SHOWN)

    @cache
    def rendered(*arguments: str) -> str:
        return str(Rendered(generate.render(*arguments, chart=copy)).one("Secret")["notes"])

    return lambda values: rendered(*arguments(values))


def manifests(text: str) -> dict[str, Json]:
    """What stands between <<END and END, by kind."""
    found = [yaml.safe_load(one) for one in re.findall(r"<<END\n(.*?)\n +END\n", text, re.DOTALL)]
    return {one["kind"]: one for one in found}


@pytest.mark.parametrize("enabled", [False, True])
def test_models_that_mlflow_stores_by_default_can_be_fetched(notes: Notes, *, enabled: bool) -> None:
    """By what the notes declare, where the chart is installed as it was for these notes."""
    declared = manifests(notes({"storageInitializer.enabled": enabled}))["ModelRegistry"]
    assert declared["metadata"]["namespace"] == generate.NAMESPACE
    spec = ModelRegistrySpec.model_validate(declared["spec"])
    server = spec.url if enabled else None
    assert place("mlflow-artifacts:/1/models/m-1/artifacts", spec.artifacts, server=server)


def test_kserves_own_storage_container_may_stay_as_it_is(notes: Notes) -> None:
    """Its pattern (kserve v0.20 config/storagecontainers/default.yaml), found anywhere in a location, takes none of
    those that pods fetch through MLflow."""
    found = place(
        "mlflow-artifacts:/1/models/m-1", ModelRegistrySpec(url="http://a").artifacts, server="https://mlflow"
    )
    assert re.search(r"https?://(.+)/(.+)", found) is None
    assert "ClusterStorageContainer" not in notes({"storageInitializer.enabled": True})


def test_nothing_fetches_them_by_itself() -> None:
    """Why the notes say it."""
    with pytest.raises(RegistryError):
        place("mlflow-artifacts:/1/models/m-1/artifacts", ModelRegistrySpec(url="http://mlflow:5000").artifacts)


def test_manifest_of_the_model_is_accepted(notes: Notes) -> None:
    declared = manifests(notes({}))["ModelDeployment"]
    assert ModelDeploymentSpec.model_validate(declared["spec"]).serving.service_account_name == "models"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"settings.domain": "models.example.org"}, "settings.domain is example.com"),
        ({"settings.gateways": [{"name": "public", "namespace": "gateways"}]}, "No gateway is set"),
        ({"settings.prometheusUrl": "http://prometheus:9090"}, "No Prometheus is set"),
        ({"crds.keep": False}, "stay when this release is uninstalled"),
    ],
)
def test_what_is_missing_is_said_until_it_is_set(notes: Notes, values: Json, sentence: str) -> None:
    assert sentence in notes({})
    assert sentence not in notes(values)


def test_runtimes_are_those_of_the_settings(notes: Notes) -> None:
    runtime = {"name": "triton", "server": "KServe", "protocol": "v2", "modelFormat": "onnx", "flavors": ["onnx"]}
    (asked,) = re.findall(r"kubectl get clusterservingruntimes (.*)", notes({"settings.runtimes": [runtime]}))
    assert asked.split() == ["triton"]
