"""The other two kinds of cluster, and how one is chosen.

kind and Docker are played by a script that notes what it was asked: that kind does it is not shown here.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import proxy_bypass

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
from e2e.prepare import prepare
from e2e.traffic import Endpoint
from e2e.up import look_around
from e2e.up import main as up

_PLAYED = """\
#!/bin/sh
cd {folder}
case "$1" in create) cat > config ;; esac
echo "${{0##*/}} $*" >> asked
case "$1 $2" in
"ps --all")
  [ ! -e away ] || {{ echo "Cannot connect to the Docker daemon" >&2; exit 1; }}
  [ ! -s is ] || echo c0ffee ;;
"inspect c0ffee") [ ! -e making ] || {{ rm making; echo "No such object" >&2; exit 1; }}; cat "$(cat is).json" ;;
"start serin-control-plane") echo running > is ;;
"exec serin-control-plane") cat nodes.json; mv later.json nodes.json 2>/dev/null || : ;;
"create cluster")
  echo " • Preparing nodes 📦   ..." >&2
  echo running > is
  [ ! -p slow ] || read go < slow
  [ ! -e interrupted ] || {{ kill -INT $PPID; exec sleep 60; }}
  [ ! -e broken ] || {{ echo "ERROR: no room" >&2; exit 1; }}
  : > "${{4#--kubeconfig=}}" ;;
"delete cluster") : > is ;;
"get kubeconfig") [ ! -e unfinished ] || {{ echo "no admin.conf" >&2; exit 1; }}; echo "a kubeconfig" ;;
"load image-archive") [ -e "$3" ] || {{ echo "no such archive" >&2; exit 1; }} ;;
*) exit 2 ;;
esac
"""
_STARTED = "2026-11-28T22:14:05"


def container(*, running: bool, bindings: dict[str, Any]) -> str:
    """What `docker inspect` tells of it: its ports only while it runs, its bindings always."""
    state = {"Running": running, "StartedAt": f"{_STARTED}.123456789Z"}
    ports = bindings if running else {}
    rest = {"HostConfig": {"PortBindings": bindings}, "NetworkSettings": {"Ports": ports}}
    return json.dumps([{"Name": "/serin-control-plane", "State": state, **rest}])


def nodes(ready: str, heartbeat: str) -> str:
    condition = {"type": "Ready", "status": ready, "message": "no network", "lastHeartbeatTime": f"{heartbeat}Z"}
    return json.dumps({"items": [{"metadata": {"name": "serin-control-plane"}, "status": {"conditions": [condition]}}]})


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KindCluster]:
    """None there, and what is created gets Ready. The file `is` says what there is."""
    # Who runs in the background ignores it, and so would the tests that send it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    bindings = {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32801"}]}
    (tmp_path / "is").touch()
    (tmp_path / "running.json").write_text(container(running=True, bindings=bindings))
    (tmp_path / "stopped.json").write_text(container(running=False, bindings=bindings))
    (tmp_path / "theirs.json").write_text(container(running=True, bindings={"6443/tcp": []}))
    (tmp_path / "nodes.json").write_text(nodes("True", _STARTED))
    for name in ("kind", "docker"):
        (tmp_path / name).write_text(_PLAYED.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("e2e.cluster.kind._SECONDS", 5.0)
    monkeypatch.setattr("e2e.cluster.kind._EVERY", 0.01)
    yield KindCluster()
    signal.signal(signal.SIGINT, before)


def asked(folder: Path) -> list[str]:
    """What kind and docker were asked to do, questions left out."""
    told = folder / "asked"
    lines = told.read_text().splitlines() if told.exists() else []
    return [line for line in lines if line.split()[1] in ("create", "delete", "load", "start")]


def options(folder: Path) -> str:
    return f"--name=serin --kubeconfig={folder}/state/serin/kind-serin.kubeconfig"


def test_kind_is_created_once_with_the_gateways_port(
    kind: KindCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind.up()
    kind.up()
    assert asked(tmp_path) == [f"kind create cluster {options(tmp_path)} --wait=5m --config=-"]
    (node,) = json.loads((tmp_path / "config").read_text())["nodes"]
    assert node["extraPortMappings"][0]["containerPort"] == 8080
    assert kind.kubeconfig().read_text() == "a kubeconfig\n"
    assert kind.kubeconfig().stat().st_mode & 0o077 == 0
    assert kind.gateway() == "127.0.0.1:32801"
    assert kind.status() == "serin (kind): up"
    assert "cluster: kind: Preparing nodes 📦\n" in capsys.readouterr().out


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
    assert asked(tmp_path)[1:] == [f"kind delete cluster {options(tmp_path)}"]
    assert kind.status() == "serin (kind): down"
    for ask in (kind.kubeconfig, kind.gateway):
        with pytest.raises(ClusterError, match="there is no kind cluster serin: `SERIN_CLUSTER=kind python"):
            ask()
    with pytest.raises(ClusterError, match="there is no kind cluster mine: `SERIN_CLUSTER=kind:mine python"):
        KindCluster("mine").kubeconfig()


def test_a_kind_cluster_that_docker_has_stopped_is_started_again(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    (tmp_path / "is").write_text("stopped")
    assert kind.status() == "serin (kind): serin-control-plane is stopped"
    for ask in (kind.kubeconfig, kind.gateway, lambda: kind.load_image(tmp_path / "is")):
        with pytest.raises(ClusterError, match=r"serin is stopped: `SERIN_CLUSTER=kind python .* starts it again"):
            ask()
    kind.up()
    assert asked(tmp_path)[1:] == ["docker start serin-control-plane"]
    assert kind.gateway() == "127.0.0.1:32801"


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (nodes("True", "2026-11-28T22:13:59"), "the kubelet of serin-control-plane has not reported yet"),
        (nodes("False", _STARTED), "serin-control-plane is not Ready: no network"),
        ('{"items": []}', "the kubelet of serin-control-plane has not reported yet"),
    ],
    ids=["before its last start", "not Ready", "no node"],
)
def test_a_kind_cluster_is_up_when_its_node_is_ready_and_not_when_it_once_was(
    kind: KindCluster, tmp_path: Path, before: str, told: str
) -> None:
    kind.up()
    (tmp_path / "nodes.json").rename(tmp_path / "later.json")
    (tmp_path / "nodes.json").write_text(before)
    kind.up()
    assert not (tmp_path / "later.json").exists(), "it was not asked again"
    assert len(asked(tmp_path)) == 1
    (tmp_path / "nodes.json").write_text(before)
    assert kind.status() == f"serin (kind): {told}"


def test_a_kind_cluster_that_never_gets_ready_says_why_and_what_to_do(
    kind: KindCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.up()
    monkeypatch.setattr("e2e.cluster.kind._SECONDS", 0.0)
    (tmp_path / "nodes.json").write_text(nodes("False", _STARTED))
    with pytest.raises(ClusterError, match=r"no network\n.*`SERIN_CLUSTER=kind make down` takes it away"):
        kind.up()
    (tmp_path / "unfinished").touch()
    with pytest.raises(ClusterError, match=r"no admin.conf\n.*`SERIN_CLUSTER=kind make down` takes it away"):
        kind.up()


def test_a_kind_cluster_that_somebody_else_made_is_left_alone(kind: KindCluster, tmp_path: Path) -> None:
    (tmp_path / "is").write_text("theirs")
    for ask in (kind.up, kind.down, kind.kubeconfig, kind.gateway, kind.status):
        with pytest.raises(ClusterError, match=r"not made here.*SERIN_CLUSTER=kind:NAME.*`kind delete cluster"):
            ask()
    assert asked(tmp_path) == []


def test_a_creation_that_fails_says_what_kind_said(kind: KindCluster, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(ClusterError, match=r"`kind create cluster .*` failed: (.|\n)*ERROR: no room"):
        kind.up()


@pytest.mark.parametrize("left", ["running", "stopped"])
def test_a_creation_that_was_interrupted_begins_afresh(kind: KindCluster, tmp_path: Path, left: str) -> None:
    (tmp_path / "interrupted").touch()
    with pytest.raises(KeyboardInterrupt):
        kind.up()
    (tmp_path / "interrupted").unlink()
    (tmp_path / "is").write_text(left)
    (tmp_path / "nodes.json").rename(tmp_path / "later.json")
    (tmp_path / "nodes.json").write_text('{"items": []}')
    kind.up()
    create = f"kind create cluster {options(tmp_path)} --wait=5m --config=-"
    assert asked(tmp_path) == [create, f"kind delete cluster {options(tmp_path)}", create]


def test_two_that_come_at_once_make_one_kind_cluster(
    kind: KindCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "slow")
    second_waits = threading.Event()
    monkeypatch.setattr("e2e.cluster.files.say", lambda _: second_waits.set())
    with ThreadPoolExecutor(max_workers=2) as people:
        first = people.submit(kind.up)
        with (tmp_path / "slow").open("w") as go:  # opens when kind reads it
            second = people.submit(KindCluster().up)
            second.add_done_callback(lambda _: second_waits.set())
            assert second_waits.wait(30)
            go.write("go\n")
        first.result()
        second.result()
    assert asked(tmp_path) == [f"kind create cluster {options(tmp_path)} --wait=5m --config=-"]


def test_a_container_that_docker_still_makes_is_waited_for(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    (tmp_path / "making").touch()
    assert kind.status() == "serin (kind): up"
    assert not (tmp_path / "making").exists()


def test_a_creation_that_is_interrupted_is_not_taken_for_the_one_before(kind: KindCluster, tmp_path: Path) -> None:
    kind.up()
    (tmp_path / "is").write_text("")  # by hand
    (tmp_path / "interrupted").touch()
    with pytest.raises(KeyboardInterrupt):
        kind.up()
    assert not list((tmp_path / "state" / "serin").glob("*.kubeconfig")), "of a cluster that is gone"
    (tmp_path / "interrupted").unlink()
    kind.up()
    kind.down()
    assert list((tmp_path / "state" / "serin").iterdir()) == []


def test_a_kind_cluster_that_somebody_else_has_stopped_is_started_and_not_made_afresh(
    kind: KindCluster, tmp_path: Path
) -> None:
    (tmp_path / "is").write_text("stopped")
    kind.up()
    assert asked(tmp_path) == ["docker start serin-control-plane"]
    assert kind.gateway() == "127.0.0.1:32801"


def test_where_docker_does_not_answer_that_is_said_with_the_other_ways(
    kind: KindCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "away").touch()
    monkeypatch.setenv("SERIN_CLUSTER", "kind")
    for verb in ("up", "status", "down"):
        assert main([verb]) == 1
        error = capsys.readouterr().err
        assert error.startswith("cluster: error: Docker does not answer: Cannot connect")
        assert "SERIN_CLUSTER=local" in error


@pytest.mark.parametrize("absent", ["kind", "docker"])
def test_without_kind_or_docker_the_other_ways_are_named(
    kind: KindCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    (tmp_path / absent).unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match=rf"`{absent}` is not on PATH.*SERIN_CLUSTER=local"):
        kind.up()


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
    monkeypatch.delenv("SERIN_LOAD_IMAGE", raising=False)
    with pytest.raises(ClusterError, match="set SERIN_LOAD_IMAGE"):
        given.load_image(archive)
    monkeypatch.setenv("SERIN_LOAD_IMAGE", f"cp {{archive}} {tmp_path}/loaded")
    given.load_image(archive)
    assert (tmp_path / "loaded").read_text() == "image"
    monkeypatch.setenv("SERIN_LOAD_IMAGE", "ls {archive}")
    with pytest.raises(ClusterError, match=r"SERIN_LOAD_IMAGE.*No such file"):
        given.load_image(tmp_path / "absent.tar")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SERIN_LOAD_IMAGE", "", 'set SERIN_LOAD_IMAGE to a command .*="minikube image load {archive}"'),
        ("SERIN_LOAD_IMAGE", "true", "set SERIN_LOAD_IMAGE to a command"),
        ("SERIN_LOAD_IMAGE", "'true {archive}", "SERIN_LOAD_IMAGE=.* is no command: No closing quotation"),
        ("SERIN_LOAD_IMAGE", "no-such-program {archive}", "`no-such-program` of SERIN_LOAD_IMAGE=.* is not on PATH"),
        ("SERIN_GATEWAY", "http://gateway.example.com", "SERIN_GATEWAY=.* is not host:port"),
    ],
)
def test_what_a_given_cluster_has_to_be_told_is_asked_for_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv("SERIN_CLUSTER", str(tmp_path / "kubeconfig"))
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setenv("SERIN_LOAD_IMAGE", "true {archive}")
    monkeypatch.setenv("SERIN_GATEWAY", "gateway.example.com:80")
    monkeypatch.setenv(variable, value)
    for build in ("e2e.prepare.tools.build", "e2e.prepare.images.build", "e2e.cluster.given.tools.binary"):
        monkeypatch.setattr(build, lambda name: pytest.fail(f"{name} was built"))
    with pytest.raises(ClusterError, match=told):
        prepare(with_images=True)


def test_a_gateway_out_of_reach_is_a_message_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gateway = f"127.0.0.1:{nobody.getsockname()[1]}"
    endpoint = Endpoint(gateway, "fraud.example.com", "fraud")
    monkeypatch.setattr("e2e.up.open_cluster", lambda spec: spec)
    monkeypatch.setattr("e2e.up.up", lambda cluster: endpoint.wait(0.0))
    monkeypatch.setattr("sys.argv", ["up"])
    assert up() == 1
    error = capsys.readouterr().err
    assert error.startswith(f"up: error: the gateway at {gateway} does not answer for fraud.example.com within 0 s")
    assert "ConnectionRefusedError" in error
    assert "SERIN_GATEWAY=host:port" in error


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


def test_no_proxy_is_asked_for_a_local_cluster_and_people_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "binary", lambda name: tmp_path / name)  # else it would be built
    monkeypatch.setattr("e2e.cluster.namespaces.Namespaces.exist", lambda self: True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name, value in (("HTTPS_PROXY", ""), ("https_proxy", ""), ("NO_PROXY", "mine.example"), ("no_proxy", "")):
        monkeypatch.setenv(name, value)
    (tmp_path / "serin/local").mkdir(parents=True)
    (tmp_path / "serin/local/slot").write_text("0")
    cluster = LocalCluster()
    assert "NO_PROXY=" not in look_around(cluster)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert not proxy_bypass("elsewhere.example")
    assert proxy_bypass("mine.example")
    assert proxy_bypass(cluster.gateway().partition(":")[0])
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "mine.example,198.18.0.2,10.244.0.0/16,10.96.0.0/16"
    assert "NO_PROXY=mine.example,198.18.0.2,10.244.0.0/16,10.96.0.0/16" in look_around(cluster)


def test_people_are_told_that_a_given_cluster_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "binary", lambda name: tmp_path / name)  # else it would be built
    file = tmp_path / "kubeconfig"
    file.touch()
    told = look_around(open_cluster(str(file)))
    assert "make down" not in told
    assert "stays" in told
    assert f"helm uninstall {serin.RELEASE} -n {serin.NAMESPACE}" in told
