"""A local cluster from nothing to nothing: nodes, pods, names, images, and what it leaves behind."""

import os
import re
import subprocess
import time
import urllib.error
from pathlib import Path

import pytest
import yaml

from tests.cluster.command import REPOSITORY
from tests.cluster.command import Command
from tests.cluster.command import Report
from tests.cluster.machine import snapshot

pytestmark = [pytest.mark.cluster, pytest.mark.machine]

_BRIDGE_NETFILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"


@pytest.fixture(scope="module")
def up(command: Command, probe_archive: Path, figure: Report) -> Command:
    command.before = snapshot(command.name)
    start = time.monotonic()
    command.run("up")
    figure(f"up from nothing: {time.monotonic() - start:.1f} s")
    command.run("load", str(probe_archive))
    command.start_probe()
    return command


def test_the_node_is_ready_and_its_version_can_be_read(up: Command) -> None:
    node = up.kubectl("get", "node", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
    assert re.fullmatch(r"v1\.\d+\.\d+", node)
    assert "Server Version: v1." in up.kubectl("version")


def test_up_again_changes_nothing(up: Command, figure: Report) -> None:
    before = up.processes()
    assert all(before.values())
    start = time.monotonic()
    output = up.run("up")
    figure(f"up again: {time.monotonic() - start:.1f} s")
    assert "up already" in output
    assert up.processes() == before


def test_a_pod_is_reached_from_the_machine_through_the_gateways_port(up: Command) -> None:
    assert up.ask("/") == "probe"


def test_a_pod_resolves_services_and_nothing_else(up: Command) -> None:
    address = up.kubectl("get", "service", "probe", "-o", "jsonpath={.spec.clusterIP}")
    assert up.ask("/lookup?name=probe.default.svc.cluster.local") == address
    assert up.ask("/lookup?name=kubernetes.default") == "10.96.0.1"
    with pytest.raises(urllib.error.HTTPError) as refused:
        up.ask("/lookup?name=example.com")
    assert refused.value.code == 502


def test_a_pod_reaches_itself_and_the_api_server_through_services(up: Command) -> None:
    # The Service is there before the node's proxy has its endpoints.
    up.eventually("the probe reaches itself", lambda: up.ask("/fetch?url=http://probe.default/") == "probe")
    with pytest.raises(urllib.error.HTTPError) as refused:
        up.ask("/fetch?url=https://kubernetes.default/")
    assert b"certificate" in refused.value.read()  # so it got as far as the API server's TLS


def test_a_pod_reaches_another_on_its_node_through_a_service(up: Command) -> None:
    """Also where nothing has loaded br_netfilter, without which what crosses a bridge is not seen by kube-proxy."""
    up.run("exec", "--", "sh", "-c", f"[ ! -e {_BRIDGE_NETFILTER} ] || echo 0 > {_BRIDGE_NETFILTER}")
    pod, service = yaml.safe_load_all((REPOSITORY / "tests/cluster/probe.yaml").read_text())
    for each in (pod, service):
        each["metadata"]["name"] = "other"
    pod["metadata"]["labels"] = service["spec"]["selector"] = {"app": "other"}
    del pod["spec"]["containers"][0]["ports"]
    up.kubectl("apply", "-f", "-", given=yaml.safe_dump_all([pod, service]))
    up.eventually("the other answers", lambda: up.ask("/fetch?url=http://other.default/") == "other")


def test_pod_logs_can_be_read(up: Command) -> None:
    """Through the kubelet, whose address and certificate the API server must accept."""
    up.kubectl("logs", "probe")


def test_exec_runs_in_the_clusters_network_and_gives_its_exit_code(up: Command) -> None:
    assert "198.18." in up.run("exec", "--", "ip", "-4", "addr", "show", "eth0")
    process = up.start("exec", "--", "sh", "-c", "exit 7")
    process.communicate(timeout=30)
    assert process.returncode == 7


def test_the_audit_log_tells_who_wrote(up: Command) -> None:
    up.kubectl("create", "configmap", "audited")
    up.kubectl("delete", "configmap", "audited")
    wrote = [w.verb for w in up.cluster.audit().writes("serin-admin") if w.name == "audited"]
    assert wrote == ["create", "delete"]


def test_an_image_that_is_there_is_not_imported_again(up: Command, probe_archive: Path) -> None:
    log = Path(os.environ["XDG_STATE_HOME"]) / "serin" / up.name / "log" / "containerd.log"
    before = log.read_text().count("ImageUpdate")
    up.run("load", str(probe_archive))
    assert log.read_text().count("ImageUpdate") == before


def test_what_is_no_image_is_refused_with_a_remedy(up: Command, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("nothing")
    process = up.start("load", str(tmp_path / "x.tar"))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "is not a docker-archive" in output
    assert "docker save" in output
    assert "Traceback" not in output


def test_down_leaves_nothing_and_images_survive_it(up: Command, figure: Report) -> None:
    volumes = up.kubectl("get", "pod", "probe", "-o", "jsonpath={.spec.volumes[*].name}")
    assert volumes.startswith("kube-api-access"), "a pod with a mounted volume, or this test proves little"
    start = time.monotonic()
    up.run("down")
    figure(f"down: {time.monotonic() - start:.1f} s")
    up.eventually("nothing left", lambda: snapshot(up.name) == up.before, seconds=10)
    assert snapshot(up.name) == up.before
    assert up.run("status") == f"{up.name}: down\n"
    up.run("down")

    start = time.monotonic()
    up.run("up")
    figure(f"up with images there: {time.monotonic() - start:.1f} s")
    # Not loaded again.
    up.start_probe()
    up.run("down", "--purge")
    up.eventually("nothing left", lambda: snapshot(up.name) == up.before, seconds=10)
    assert not (Path(os.environ["XDG_STATE_HOME"]) / "serin" / up.name).exists()


def test_commands_on_a_cluster_that_is_down_say_how_to_bring_it_up(state_home: Path) -> None:
    absent = Command("absent")
    for arguments in (["kubeconfig"], ["gateway"], ["exec", "--", "true"]):
        process = absent.start(*arguments)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "`python -m e2e.cluster up`" in output
    assert absent.run("down") == ""
    assert subprocess.run(["ls", "/run/serin-absent"], capture_output=True, check=False).returncode != 0
