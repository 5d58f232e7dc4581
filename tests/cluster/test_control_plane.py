"""The control plane alone: ready, alone or in company, with KServe's admission, and gone with its owner."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.api import ApiError
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.interface import ClusterError
from e2e.cluster.kserve import add_kserve
from e2e.cluster.progress import wait_for
from tests.cluster.command import REPOSITORY
from tests.cluster.command import Report

pytestmark = pytest.mark.integration

NAMESPACES = "/api/v1/namespaces"
CONFIG_MAPS = f"{NAMESPACES}/default/configmaps"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"


@pytest.fixture(scope="module")
def plane(figure: Report) -> Iterator[ControlPlane]:
    start = time.monotonic()
    with ControlPlane() as plane:
        figure(f"control plane ready: {time.monotonic() - start:.1f} s")
        yield plane


@pytest.fixture(scope="module")
def kserve(plane: ControlPlane, figure: Report) -> ControlPlane:
    start = time.monotonic()
    add_kserve(plane)
    figure(f"KServe added: {time.monotonic() - start:.1f} s")
    return plane


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}


def inference_service(name: str, **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "mlflow"}, "runtime": "kserve-mlserver", "storageUri": "s3://models/1"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "labels": {"networking.kserve.io/visibility": "cluster-local"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "none",
            },
        },
        "spec": {"predictor": {"model": model, **predictor}},
    }


def test_a_user_has_the_rights_that_rbac_gives_and_its_writes_are_in_the_audit_log(plane: ControlPlane) -> None:
    name = "somebody:new"
    kubeconfig = plane.user(name)
    argv = ["--kubeconfig", str(kubeconfig), "create", "configmap", "theirs"]
    assert "forbidden" in plane.kubectl(argv).stderr
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "somebody"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "User", "name": name}],
    }
    plane.api.apply("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/somebody", binding)
    wait_for("the right", lambda: plane.kubectl(argv).stderr or None, 10)

    # kubectl asks for OpenAPI, too: reads, and no resources.
    writes = plane.audit.writes(name)
    assert {(w.verb, w.resource) for w in writes} == {("create", "configmaps")}
    assert writes[0].code == 403
    assert writes[-1].code == 201
    plane.api.apply(f"{CONFIG_MAPS}/ours", config_map("ours"))
    assert plane.audit.writes(name) == writes
    assert [w.verb for w in plane.audit.writes("serin-admin") if w.name == "ours"] == ["patch"]


def test_the_controller_manager_works(plane: ControlPlane) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made"}}
    plane.api.apply(f"{NAMESPACES}/made", namespace)
    account = f"{NAMESPACES}/made/serviceaccounts/default"
    wait_for("its service account", lambda: plane.api.missing(account), 20)


def test_two_side_by_side_know_nothing_of_each_other(plane: ControlPlane, figure: Report) -> None:
    """Started from threads, too: processes die with their process, and not with the thread that asked for them."""

    def start() -> ControlPlane:
        return ControlPlane().__enter__()

    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(start) for _ in range(2)]
        others = [future.result() for future in futures]
    figure(f"two control planes at once, beside a third, ready: {time.monotonic() - begin:.1f} s")
    try:
        others[0].api.apply(f"{CONFIG_MAPS}/only-here", config_map("only-here"))
        assert others[0].api.missing(f"{CONFIG_MAPS}/only-here") is None
        for other in (others[1], plane):
            with pytest.raises(ApiError) as error:
                other.api.get(f"{CONFIG_MAPS}/only-here")
            assert error.value.code == 404
    finally:
        for other in others:
            other.__exit__(None, None, None)
    for other in others:
        assert not other.folder.exists()
        assert "refused" in str(other.api.ready())


def test_kserve_fills_in_its_defaults(kserve: ControlPlane) -> None:
    kserve.api.apply(f"{SERVICES}/filled", inference_service("filled"))
    filled = kserve.api.get(f"{SERVICES}/filled")
    # Neither was in what we applied: the defaulter of the real KServe was here.
    assert filled["spec"]["predictor"]["automountServiceAccountToken"] is False
    assert filled["metadata"]["annotations"]["modelFormat"] == "mlflow"


def test_kserve_refuses_what_is_wrong(kserve: ControlPlane) -> None:
    with pytest.raises(ApiError, match=r"MinReplicas.*cannot be greater than MaxReplicas") as error:
        kserve.api.apply(f"{SERVICES}/wrong", inference_service("wrong", minReplicas=3, maxReplicas=1))
    assert error.value.code == 403
    with pytest.raises(ApiError, match="unknown"):
        kserve.api.apply(f"{SERVICES}/wrong", inference_service("wrong", unknown=True))


def test_kserves_controller_makes_children_and_reports(kserve: ControlPlane) -> None:
    path = f"{SERVICES}/served"
    kserve.api.apply(path, inference_service("served", minReplicas=2))
    deployment = "/apis/apps/v1/namespaces/default/deployments/served-predictor"
    wait_for("its Deployment", lambda: kserve.api.missing(deployment), 30)
    assert kserve.api.get(deployment)["spec"]["replicas"] == 2

    def not_ready() -> str | None:
        """There is no node; before KServe has looked at the Deployment it says Unknown."""
        conditions = {
            one["type"]: one["status"] for one in kserve.api.get(path).get("status", {}).get("conditions", ())
        }
        return None if conditions.get("Ready") == "False" else f"{conditions}"

    wait_for("its status", not_ready, 30)


def test_a_program_that_cannot_start_is_named_with_its_log(plane: ControlPlane) -> None:
    with ControlPlane() as other:
        other.start("kube-scheduler", ["--no-such-option"])

        def ended() -> str | None:
            with pytest.raises(ClusterError, match=r"(?s)kube-scheduler ended with code 1.*unknown flag"):
                other.leash.check()
            return None

        wait_for("its end", lambda: "runs" if other.leash.running("kube-scheduler") else ended(), 10)


def test_a_killed_owner_leaves_no_process_and_the_next_one_removes_its_folder(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from e2e.cluster.controlplane import ControlPlane\n"
        "with ControlPlane() as plane:\n"
        "    print(plane.folder, *plane.leash.pids(), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    owner = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    folder, *pids = owner.stdout.readline().split()
    assert len(pids) == 3
    owner.kill()
    owner.wait()

    def alive() -> str | None:
        stats = [Path(f"/proc/{pid}/stat") for pid in pids]
        living = [str(stat) for stat in stats if stat.exists() and " Z " not in stat.read_text()]
        return f"{living}" if living else None

    wait_for("the end of its processes", alive, 10)
    assert Path(folder).exists(), "nobody was left to remove it"
    again = subprocess.run(
        [sys.executable, "-c", script], env=environment, input="", capture_output=True, text=True, check=True
    )
    assert again.stdout.split()[0] != folder
    assert list(tmp_path.iterdir()) == []
