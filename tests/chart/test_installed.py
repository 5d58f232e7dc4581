"""The chart, the kustomize base and the samples on a real API server: strict validation, Pod Security, upgrades."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charts import generate
from e2e import tools
from e2e.cluster.controlplane import ControlPlane
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.integration.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MANIFESTS = generate.ROOT / "manifests"
SAMPLES = sorted((MANIFESTS / "samples").glob("*.yaml"))
# Another field manager than the operator's and Helm's, and everything that is not exactly right is an error.
STRICT = ("--server-side", "--validate=strict", "--warnings-as-errors")


class Machine:
    """helm and kubectl for one control plane."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def kubectl(self, *arguments: str) -> str:
        """The output of a kubectl call. Its refusal is the failure of the test."""
        return self._run(str(tools.binary("kubectl")), *arguments)

    def helm(self, *arguments: str) -> str:
        """The output of a helm call in the release's namespace."""
        return self._run(str(Path(sys.executable).with_name("helm")), *arguments, "--namespace", generate.NAMESPACE)

    def names(self, kind: str) -> set[str]:
        """Names of all objects of a kind, with their namespaces."""
        listed = self.kubectl("get", kind, "--all-namespaces", "--output", "yaml")
        return {one["metadata"]["name"] for one in yaml.safe_load(listed)["items"]}

    def _run(self, *argv: str) -> str:
        done = subprocess.run(
            [*argv, "--kubeconfig", str(self._kubeconfig)], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with ControlPlane() as plane:
        machine = Machine(plane.kubeconfig)
        machine.kubectl("apply", *STRICT, "-f", str(MANIFESTS / "base" / "namespace.yaml"))
        yield machine


def restricted_pod_is_created(machine: Machine) -> bool:
    """The namespace enforces "restricted": a pod that asks for more would not even be created."""
    pods: list[Json] = yaml.safe_load(machine.kubectl("get", "pods", "-n", generate.NAMESPACE, "-o", "yaml"))["items"]
    return len(pods) == 1


def test_chart_is_installed_upgraded_and_removed(machine: Machine) -> None:
    """What people declared outlives the release, and the release can come back to it."""
    crds = {crd.stem.partition("_")[2] + ".serin.dev" for crd in generate.CRDS.glob("*.yaml")}
    machine.helm("install", generate.RELEASE, str(generate.CHART), *generate.STAND_INS)
    eventually(lambda: restricted_pod_is_created(machine), "the operator's pod")
    assert crds <= machine.names("customresourcedefinitions")
    machine.kubectl("create", "namespace", "payments")
    machine.kubectl("apply", *STRICT, "-f", str(MANIFESTS / "samples" / "shortest.yaml"))
    machine.helm("upgrade", generate.RELEASE, str(generate.CHART), *generate.STAND_INS, "--set=settings.workers=3")
    assert "workers: 3" in machine.kubectl("get", "configmap", "serin", "-n", generate.NAMESPACE, "-o", "yaml")
    machine.helm("uninstall", generate.RELEASE)
    assert generate.RELEASE not in machine.names("clusterroles")
    assert machine.names("modeldeployments") == {"fraud"}
    machine.helm("install", generate.RELEASE, str(generate.CHART), *generate.STAND_INS)
    assert machine.names("modeldeployments") == {"fraud"}
    machine.helm("uninstall", generate.RELEASE)


def test_base_is_the_chart_with_its_defaults(machine: Machine) -> None:
    base = Rendered(machine.kubectl("kustomize", str(MANIFESTS / "base")))
    rendered = Rendered(generate.render())

    def by_name(chart: Rendered) -> dict[tuple[str, str], Json]:
        return {(one["kind"], one["metadata"]["name"]): one for one in chart.objects}

    namespace = by_name(base).pop(("Namespace", generate.NAMESPACE))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {key: one for key, one in by_name(base).items() if key[0] != "Namespace"} == by_name(rendered)


def test_base_may_be_put_into_another_namespace(machine: Machine, tmp_path: Path) -> None:
    """Nothing in it stays behind, and the operator looks for registries and Secrets where its pod is."""
    shutil.copytree(MANIFESTS / "base", tmp_path / "base")
    (tmp_path / "kustomization.yaml").write_text("resources: [base]\nnamespace: mlops\n")
    moved = Rendered(machine.kubectl("kustomize", str(tmp_path)))
    assert moved.one("Namespace")["metadata"]["name"] == "mlops"
    assert {one["metadata"]["namespace"] for one in moved.objects if "namespace" in one["metadata"]} == {"mlops"}
    bound = [subject for kind in ("RoleBinding", "ClusterRoleBinding") for subject in moved.one(kind)["subjects"]]
    assert {subject["namespace"] for subject in bound} == {"mlops"}
    assert generate.NAMESPACE not in moved.text
    (namespace,) = [one for one in moved.container["env"] if one["name"] == "SERIN_NAMESPACE"]
    assert namespace["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_base_is_applied(machine: Machine) -> None:
    # By force: where a release was before, Helm still holds the fields of the CRDs that it left.
    machine.kubectl("apply", *STRICT, "--force-conflicts", "-k", str(MANIFESTS / "base"))
    eventually(lambda: restricted_pod_is_created(machine), "the operator's pod")


def test_hardened_values_are_accepted(machine: Machine) -> None:
    values = generate.CHART / "ci" / "hardened-values.yaml"
    machine.helm(
        "install", "hardened", str(generate.CHART), f"--values={values}", "--dry-run=server", "--set=crds.install=false"
    )


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_sample_is_accepted_as_it_is(machine: Machine, sample: Path) -> None:
    (declared,) = yaml.safe_load_all(sample.read_text())
    apply = ["apply", *STRICT, "-f", str(sample), "-o", "yaml"]
    if declared["metadata"]["namespace"] not in machine.names("namespaces"):
        machine.kubectl("create", "namespace", declared["metadata"]["namespace"])
    accepted = yaml.safe_load(machine.kubectl(*apply))
    assert holds(accepted["spec"], declared["spec"]), "the API server took a part of it away"


def holds(accepted: object, declared: object) -> bool:
    """Whether everything declared is in what the API server stored, which has defaults beside it."""
    if isinstance(declared, dict) and isinstance(accepted, dict):
        return all(key in accepted and holds(accepted[key], value) for key, value in declared.items())
    return accepted == declared


def test_there_are_samples() -> None:
    known = {"autoscaled", "blue-green", "by-policy", "canary", "gated", "restricted", "shortest"}
    assert known | {"model-registry", "rollout-policy"} == {sample.stem for sample in SAMPLES}
