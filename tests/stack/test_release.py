"""Serin's release and what somebody has installed already, with helm and kubectl on a real API server."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from e2e import serin
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.given import GivenCluster
from e2e.stack import install as stack
from e2e.stack.component import namespace
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.somebodys import NotOursError
from e2e.stack.somebodys import refuse
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

_QUICK: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "quick"}}
# There is no node: whoever waits for it waits for ever.
_NEVER_READY: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "never-ready"},
    "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "x", "image": "x"}]},
        },
    },
}


class Bare(GivenCluster):
    """A control plane that was brought up here."""

    given = False


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        yield plane


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A namespace and locks of the test's own, and no images."""
    monkeypatch.setattr("e2e.serin.NAMESPACE", f"serin-{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr("e2e.serin.load_images", lambda _cluster, _kubectl, names: dict.fromkeys(names, "x:1"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def chart(folder: Path, *templates: Object) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: small, version: 0.1.0}")
    (folder / "templates" / "all.yaml").write_text(yaml.safe_dump_all(templates))
    return folder


def interrupted(plane: ControlPlane, chart: Path, *, before: list[tuple[str, str]]) -> None:
    """An operation of helm that was killed while it waited, after those."""
    argv = [str(Path(sys.executable).with_name("helm")), "upgrade", "--install", serin.RELEASE, str(chart), "--wait"]
    with subprocess.Popen([*argv, f"--namespace={serin.NAMESPACE}", f"--kubeconfig={plane.kubeconfig}"]) as helm:
        eventually(lambda: len(records(plane)) > len(before), "a record of the operation")
        helm.kill()


def records(plane: ControlPlane) -> list[tuple[str, str]]:
    """Number and state of each operation that helm remembers."""
    found = Kubectl(plane.kubeconfig).list_all("secrets", serin.NAMESPACE, "-l", "owner=helm")
    return sorted((one["metadata"]["labels"]["version"], one["metadata"]["labels"]["status"]) for one in found)


def test_what_a_helm_that_was_killed_has_left_stands_in_nobodys_way(
    plane: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick, slow = chart(tmp_path / "quick", _QUICK), chart(tmp_path / "slow", _QUICK, _NEVER_READY)
    plane.kubectl(["create", "namespace", serin.NAMESPACE])
    interrupted(plane, slow, before=[])
    assert records(plane) == [("1", "pending-install")]
    serin.install(Bare(plane.kubeconfig), chart=quick)
    assert records(plane) == [("1", "deployed")]
    interrupted(plane, slow, before=records(plane))
    assert records(plane) == [("1", "deployed"), ("2", "pending-upgrade")]
    serin.install(Bare(plane.kubeconfig), chart=quick)
    assert records(plane) == [("1", "superseded"), ("2", "deployed")]
    told = capsys.readouterr().out
    assert "left serin pending-install; no helm of ours goes on, so that record is deleted" in told
    assert "left serin pending-upgrade; no helm of ours goes on, so that record is deleted" in told


def test_a_helm_that_outlives_whoever_called_it_holds_the_lock_on(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = tmp_path / "helm"
    played.write_text(f"#!/bin/sh\nls -l /proc/self/fd > {tmp_path}/open\n")
    played.chmod(0o755)
    monkeypatch.setattr("e2e.serin._binary", lambda: str(played))
    serin.install(Bare(plane.kubeconfig))
    assert f"{tmp_path}/state/serin/helm-" in (tmp_path / "open").read_text()
    assert list((tmp_path / "state" / "serin").iterdir()) == []


def test_on_a_given_cluster_an_operation_that_may_still_go_on_is_waited_for(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, quick = GivenCluster(plane.kubeconfig), chart(tmp_path / "quick", _QUICK)
    serin.install(given, chart=quick)
    interrupted(plane, chart(tmp_path / "slow", _NEVER_READY), before=records(plane))
    polled: list[str] = []

    def grows_old(what: str, check: object, seconds: float, every: float) -> None:
        assert callable(check)
        polled.append(check())
        monkeypatch.setattr("e2e.serin._SECONDS", -3600.0)
        polled.append(check())

    with monkeypatch.context() as patch:
        patch.setattr("e2e.serin.wait_for", grows_old)
        patch.setattr("e2e.serin.helm", lambda *_, **__: "")
        serin.install(given, chart=quick)
    assert "began" in polled[0]
    assert polled[1] is None
    assert records(plane) == [("1", "deployed")]


def test_what_somebody_has_on_a_given_cluster_is_not_overwritten(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = GivenCluster(plane.kubeconfig)
    monkeypatch.setattr("e2e.stack.install.load_images", lambda *_: pytest.fail("something was changed"))
    plane.kubectl(["create", "clusterrole", "prometheus", "--verb=get", "--resource=pods"])
    plane.kubectl(["create", "namespace", "kserve"])
    plane.kubectl(["create", "configmap", "inferenceservice-config", "--namespace=kserve"])
    with pytest.raises(NotOursError) as error:
        stack.install(given)
    # A namespace that somebody made is not changed by what is put beside his things.
    theirs = ("ClusterRole/prometheus", "ConfigMap/kserve/inferenceservice-config")
    assert str(error.value).splitlines()[1:-1] == [f"  - {one}" for one in theirs]
    stack.refuse_somebodys(Bare(plane.kubeconfig))


def test_what_was_applied_from_here_is_not_somebodys(plane: ControlPlane) -> None:
    """Nor what says nothing but its name, of which the API server does not note who applied it."""
    place = {"name": "ours", "namespace": "ours"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"ours": "1"}}
    objects = [namespace("ours"), account, config]
    kubectl = Kubectl(plane.kubeconfig)
    kubectl.apply(objects)
    assert kubectl.somebodys(objects) == []


def test_what_may_be_overwritten_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, found = GivenCluster(tmp_path / "kubeconfig"), [f"Namespace/{number}" for number in range(12)]
    with pytest.raises(NotOursError, match=r"Namespace/9\n  - and 2 more\n.*set SERIN_OVERWRITE=yes"):
        refuse(given, found)
    monkeypatch.setenv("SERIN_OVERWRITE", "yes")
    refuse(given, found)


def test_somebodys_serin_on_a_given_cluster_is_not_taken_over(plane: ControlPlane, tmp_path: Path) -> None:
    given, quick = GivenCluster(plane.kubeconfig), chart(tmp_path / "quick", _QUICK)
    serin.install(given, chart=quick)
    serin.install(given, chart=quick)
    serin.helm(given, "uninstall", serin.RELEASE)
    serin.install(given, chart=quick)
    serin.helm(given, "uninstall", serin.RELEASE)
    serin.helm(given, "install", serin.RELEASE, str(quick))
    with pytest.raises(NotOursError, match=f"Helm release {serin.NAMESPACE}/serin\n"):
        serin.install(given, chart=quick)
    assert records(plane) == [("1", "deployed")]


def test_somebodys_serin_elsewhere_on_a_given_cluster_is_left_alone(
    plane: ControlPlane, request: pytest.FixtureRequest
) -> None:
    crds = sorted((serin.CHART / "files" / "crds").glob("*.yaml"))
    for crd in crds:
        plane.kubectl(["create", "-f", str(crd)])
        request.addfinalizer(partial(plane.kubectl, ["delete", "-f", str(crd)]))
    with pytest.raises(NotOursError, match=r"CustomResourceDefinition/modeldeployments\.serin\.dev\n"):
        serin.install(GivenCluster(plane.kubeconfig))
    plane.kubectl(["create", "namespace", serin.NAMESPACE])
    with pytest.raises(NotOursError, match=f"Namespace/{serin.NAMESPACE}\n"):
        serin.install(GivenCluster(plane.kubeconfig))
