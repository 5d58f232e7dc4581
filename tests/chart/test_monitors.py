"""What Prometheus makes of the chart's monitors, and of annotations: each pod of a model once, with its revision.

The Prometheus operator's own code turns the PodMonitor into a configuration, and Prometheus' own finds the targets.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charts import generate
from e2e import tools
from e2e.cluster.controlplane import ControlPlane
from e2e.stack.component import own_manifest
from serin.serving.kserve import inference_service
from tests.chart.rendered import Json
from tests.chart.rendered import render
from tests.unit.serving.test_serving_kserve import plan
from tests.unit.serving.test_serving_kserve import planned

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

OPERATOR = "github.com/prometheus-operator/prometheus-operator"
KINDS = ("podmonitors", "servicemonitors", "prometheusrules")
SECONDS = "5s"


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    crds = tools.module_folder("podmonitor", OPERATOR) / "example" / "prometheus-operator-crd"
    with ControlPlane() as plane:
        for kind in KINDS:
            kubectl(plane, "apply", "--server-side", "-f", str(crds / f"monitoring.coreos.com_{kind}.yaml"))
        kubectl(plane, "wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
        kubectl(plane, "create", "namespace", "payments")
        for pod, address in (("one", "10.1.2.3"), ("other", "10.1.2.4")):
            add(plane, pod, address)
        add(plane, "hidden", "10.1.2.5", {"prometheus.io/scrape": "false"})
        yield plane


def kubectl(plane: ControlPlane, *arguments: str, given: Json | None = None) -> str:
    argv = [str(tools.binary("kubectl")), "--kubeconfig", str(plane.kubeconfig), *arguments]
    text = None if given is None else json.dumps(given)
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=text)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def add(plane: ControlPlane, name: str, address: str, annotations: Json | None = None) -> None:
    """A pod as KServe makes it of our InferenceService: with its metadata, more than one container, and no ports."""
    service = inference_service(plan(), planned())
    metadata = {
        "name": name,
        "namespace": "payments",
        "labels": service["metadata"]["labels"],
        "annotations": {**service["spec"]["predictor"]["annotations"], **(annotations or {})},
    }
    containers = [{"name": one, "image": "none"} for one in ("kserve-container", "agent")]
    spec = {
        "automountServiceAccountToken": False,
        "serviceAccountName": "default",
        "initContainers": [{"name": "storage-initializer", "image": "none"}],
        "containers": containers,
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    kubectl(plane, "create", "-f", "-", given=pod)
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    patch = json.dumps({"status": status})
    kubectl(plane, "patch", "pod", name, "-n", "payments", "--subresource=status", "--type=merge", "-p", patch)


def by_pod_monitor() -> Json:
    """The job that the Prometheus operator makes of the chart's PodMonitor."""
    (monitor,) = render({"metrics.podMonitor.enabled": True}).all("PodMonitor")
    argv = [str(tools.binary("podmonitor"))]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=yaml.safe_dump(monitor))
    assert done.returncode == 0, done.stderr
    # The only shard of a Prometheus is number 0: its config-reloader puts that in.
    (job,) = yaml.safe_load(done.stdout.replace("$(SHARD)", "0"))["scrape_configs"]
    return dict(job)


def by_annotations() -> Json:
    """The job of the Prometheus that the scenarios have."""
    (config,) = [one for one in own_manifest("prometheus") if one["kind"] == "ConfigMap"]
    (job,) = yaml.safe_load(config["data"]["prometheus.yml"])["scrape_configs"]
    return dict(job)


def targets(plane: ControlPlane, job: Json, folder: Path) -> list[Json]:
    """The labels of the targets that Prometheus would scrape."""
    (discovery,) = job["kubernetes_sd_configs"]
    job["kubernetes_sd_configs"] = [{"role": discovery["role"], "kubeconfig_file": str(plane.kubeconfig)}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    argv = [str(tools.binary("promtool")), "check", "service-discovery", f"--timeout={SECONDS}", str(file)]
    done = subprocess.run([*argv, job["job_name"]], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [one["labels"] for one in json.loads(done.stdout) if one.get("labels")]
    # Prometheus scrapes targets with the same labels once.
    return [dict(labels) for labels in {tuple(sorted(one.items())) for one in found}]


@pytest.mark.parametrize("job", [by_pod_monitor, by_annotations])
def test_each_pod_is_scraped_once_and_by_its_revision(
    plane: ControlPlane, tmp_path: Path, job: Callable[[], Json]
) -> None:
    """Once, although each of its containers is a target until relabelling makes one of them."""
    listed = targets(plane, job(), tmp_path)
    found = {one["pod"]: one for one in listed}
    assert len(found) == len(listed)
    labels = inference_service(plan(), planned())["metadata"]["labels"]
    assert {pod: one["__address__"] for pod, one in found.items()} == {"one": "10.1.2.3:8082", "other": "10.1.2.4:8082"}
    for one in found.values():
        assert one["__metrics_path__"] == "/metrics"
        assert one["namespace"] == "payments"
        for name in ("modeldeployment", "revision", "version"):
            assert one[f"serin_dev_{name}"] == labels[f"serin.dev/{name}"]


@pytest.mark.parametrize("job", [by_pod_monitor, by_annotations])
def test_the_pods_of_the_new_internet_protocol(plane: ControlPlane, tmp_path: Path, job: Callable[[], Json]) -> None:
    add(plane, "sixth", "fd00::7")
    try:
        found = {one["pod"]: one["__address__"] for one in targets(plane, job(), tmp_path)}
        assert found["sixth"] == "[fd00::7]:8082"
    finally:
        kubectl(plane, "delete", "pod", "sixth", "-n", "payments", "--force", "--grace-period=0")


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_objects_for_the_prometheus_operator_are_accepted(plane: ControlPlane, kind: str) -> None:
    """By its CRDs, to the last field."""
    values = {"metrics.monitor.kind": kind, "metrics.podMonitor.enabled": True, "metrics.alerts.enabled": True}
    objects = [one for one in render(values).objects if one["apiVersion"].startswith("monitoring.coreos.com/")]
    assert {one["kind"] for one in objects} == {kind, "PodMonitor", "PrometheusRule"}
    for one in objects:
        one["metadata"]["namespace"] = "payments"
        kubectl(plane, "apply", "--server-side", "--validate=strict", "--warnings-as-errors", "-f", "-", given=one)


def test_the_job_that_is_told_to_people_is_the_one_that_is_tested() -> None:
    text = (generate.ROOT / "docs" / "how-to" / "monitor.md").read_text()
    block = re.search(r"```yaml\n(- job_name: pods\n.*?)```", text, re.DOTALL)
    assert block is not None
    assert yaml.safe_load(block[1]) == [by_annotations()]
