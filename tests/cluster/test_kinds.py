"""The other two kinds of cluster, and how one is chosen.

kind and Docker are played by a script that notes what it was asked: that kind does it is not shown here.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from e2e import serin
from e2e import tools
from e2e.cluster import ClusterError
from e2e.cluster import open_cluster
from e2e.cluster.__main__ import main
from e2e.cluster.choose import taken_away_by
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.given import GivenCluster
from e2e.cluster.kind import KindCluster
from e2e.cluster.local import LocalCluster
from e2e.up import look_around

_PLAYED = """\
#!/bin/sh
case "$1" in create) cat > {folder}/config ;; esac
echo "${{0##*/}} $*" >> {folder}/asked
case "$1 $2" in
"get clusters") cat {folder}/clusters ;;
"create cluster") echo serin > {folder}/clusters ;;
"delete cluster") : > {folder}/clusters ;;
"get kubeconfig") echo "a kubeconfig" ;;
"port serin-control-plane") echo 127.0.0.1:32801 ;;
"load image-archive") [ -e "$3" ] || {{ echo "no such archive" >&2; exit 1; }} ;;
*) exit 2 ;;
esac
"""


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindCluster:
    (tmp_path / "clusters").touch()
    for name in ("kind", "docker"):
        (tmp_path / name).write_text(_PLAYED.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return KindCluster()


def asked(folder: Path) -> list[str]:
    """What kind and docker were asked to do, questions left out."""
    return [line for line in (folder / "asked").read_text().splitlines() if " get " not in line]


def test_kind_is_created_once_with_the_gateways_port(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    kind.up()
    assert asked(tmp_path) == ["kind create cluster --name=serin --wait=5m --config=-"]
    (node,) = json.loads((tmp_path / "config").read_text())["nodes"]
    assert node["extraPortMappings"][0]["containerPort"] == 8080
    assert kind.kubeconfig().read_text() == "a kubeconfig\n"
    assert kind.kubeconfig().stat().st_mode & 0o077 == 0
    assert kind.gateway() == "127.0.0.1:32801"


def test_kind_loads_archives_and_tells_what_fails(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    archive = tmp_path / "image.tar"
    archive.touch()
    kind.load_image(archive)
    assert asked(tmp_path)[-1] == f"kind load image-archive {archive} --name=serin"
    with pytest.raises(ClusterError, match="no such archive"):
        kind.load_image(tmp_path / "absent.tar")


def test_kind_is_deleted_once_and_nothing_is_asked_of_a_cluster_that_is_gone(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    kind.down()
    kind.down()
    assert asked(tmp_path)[1:] == ["kind delete cluster --name=serin"]
    for ask in (kind.kubeconfig, kind.gateway):
        with pytest.raises(ClusterError, match="there is no kind cluster serin"):
            ask()


def test_without_kind_the_other_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=r"`kind` is not on PATH.*SERIN_CLUSTER=local"):
        KindCluster().up()


def node(ready: str) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": "Test", "message": "", "lastTransitionTime": None}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "one"},
        "status": {
            "conditions": [condition],
            "addresses": [{"type": "Hostname", "address": "one"}, {"type": "InternalIP", "address": "192.0.2.7"}],
        },
    }


@pytest.mark.integration
def test_a_given_cluster_must_answer_and_have_a_ready_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ControlPlane() as plane:
        given = GivenCluster(plane.kubeconfig)
        with pytest.raises(ClusterError, match="has no node"):
            given.up()
        plane.api.apply("/api/v1/nodes/one", node("False"))
        plane.api.apply("/api/v1/nodes/one/status", node("False"))
        with pytest.raises(ClusterError, match="no Ready node"):
            given.up()
        plane.api.apply("/api/v1/nodes/one/status", node("True"))
        given.up()
        assert "one: Ready" in given.status()
        assert given.gateway() == "192.0.2.7:8080"
        monkeypatch.setenv("SERIN_GATEWAY", "gateway.example.com:80")
        assert given.gateway() == "gateway.example.com:80"
        given.down(purge=True)
        assert plane.api.missing("/api/v1/nodes/one") is None, "it is not ours to take down"
    with pytest.raises(ClusterError, match="does not answer"):
        given.up()


def test_a_given_cluster_takes_images_by_a_command_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = GivenCluster(tmp_path / "kubeconfig")
    archive = tmp_path / "an image.tar"
    archive.write_text("image")
    with pytest.raises(ClusterError, match="set SERIN_LOAD_IMAGE"):
        given.load_image(archive)
    monkeypatch.setenv("SERIN_LOAD_IMAGE", f"cp {{archive}} {tmp_path}/loaded")
    given.load_image(archive)
    assert (tmp_path / "loaded").read_text() == "image"
    monkeypatch.setenv("SERIN_LOAD_IMAGE", "ls {archive}")
    with pytest.raises(ClusterError, match=r"SERIN_LOAD_IMAGE.*No such file"):
        given.load_image(tmp_path / "absent.tar")


def test_the_kind_of_cluster_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERIN_CLUSTER", raising=False)
    assert isinstance(open_cluster(), LocalCluster)
    assert open_cluster().name == "local"
    assert open_cluster("local:other").name == "other"
    monkeypatch.setenv("SERIN_CLUSTER", "kind:mine")
    chosen = open_cluster()
    assert isinstance(chosen, KindCluster)
    assert chosen.name == "mine"
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setenv("SERIN_CLUSTER", str(tmp_path / "kubeconfig"))
    assert open_cluster().kubeconfig() == tmp_path / "kubeconfig"


@pytest.mark.parametrize(
    "spec", ["minikube", "local:", "local:Upper", "local:a/b", f"local:{'a' * 30}", "/no/such/file"]
)
def test_what_names_no_cluster_is_refused_without_a_trace(
    spec: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERIN_CLUSTER", spec)
    assert main(["status"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("cluster: error: ")
    assert "can be" in error or "cannot be the name" in error


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        (None, "make down"),
        ("local", "make down"),
        ("local:second", "SERIN_CLUSTER=local:second make down"),
        ("kind", "SERIN_CLUSTER=kind make down"),
        ("kind:mine", "SERIN_CLUSTER=kind:mine make down"),
    ],
)
def test_people_are_told_how_this_very_cluster_is_taken_away(
    spec: str | None, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERIN_CLUSTER", raising=False)
    assert taken_away_by(open_cluster(spec)) == command


def test_people_are_told_that_a_given_cluster_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "binary", lambda name: tmp_path / name)  # else it would be built
    file = tmp_path / "kubeconfig"
    file.touch()
    told = look_around(open_cluster(str(file)))
    assert "make down" not in told
    assert "stays" in told
    assert f"helm uninstall {serin.RELEASE} -n {serin.NAMESPACE}" in told
