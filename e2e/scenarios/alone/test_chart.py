"""The chart as its users meet it: install, upgrade, wait, and a namespace that allows nothing special."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from e2e import serin
from e2e.scenarios.world import World

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900, func_only=True)]


def test_operator_runs_where_pod_security_is_restricted(world: World) -> None:
    namespace = world.kubectl.get("namespace", serin.NAMESPACE)
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (name,) = world.operator_pods()
    pod = world.kubectl.get("pod", name, serin.NAMESPACE)
    assert pod is not None
    assert pod["status"]["phase"] == "Running"


def test_upgrade_brings_changed_crds(world: World, tmp_path: Path) -> None:
    """A newer chart, whose CRD has one more column; and back to what it was."""
    newer = tmp_path / "serin"
    shutil.copytree(serin.CHART, newer)
    file = newer / "files" / "crds" / "serin.dev_modeldeployments.yaml"
    crd = yaml.safe_load(file.read_text())
    column = {"name": "Newer", "type": "string", "jsonPath": ".metadata.uid"}
    crd["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
    file.write_text(yaml.safe_dump(crd))
    before = _columns(world)
    try:
        serin.install(world.cluster, chart=newer)
        assert _columns(world) == [*before, "Newer"]
    finally:
        serin.install(world.cluster)
    assert _columns(world) == before


def _columns(world: World) -> list[str]:
    crd = world.kubectl.get("crd", "modeldeployments.serin.dev")
    assert crd is not None
    return [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]


def test_release_is_what_helm_says(world: World) -> None:
    (release,) = json.loads(serin.helm(world.cluster, "list", "--output=json"))
    assert (release["name"], release["status"]) == (serin.RELEASE, "deployed")
