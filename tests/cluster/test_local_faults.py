"""`up` puts right whatever happened to a local cluster: killed programs, a killed `up`, a reboot, a neighbour."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.cgroup import Cgroup
from e2e.cluster.progress import wait_for
from tests.cluster.command import REPOSITORY
from tests.cluster.command import Command
from tests.cluster.machine import snapshot

pytestmark = [pytest.mark.cluster, pytest.mark.machine]

CLIENTS = {"controller-manager", "scheduler", "kubelet", "proxy", "coredns"}


@pytest.fixture
def up(command: Command, probe_archive: Path) -> Command:
    command.run("up")
    command.run("load", str(probe_archive))
    command.start_probe()
    return command


def main_process(command: Command, program: str) -> int:
    """The oldest process of a program: its children, like containerd's shims, come later, if with lower numbers where
    those begin anew."""
    return min(command.processes()[program], key=_started)


def _started(pid: int) -> int:
    """When, in the kernel's ticks: proc_pid_stat(5), field 22."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.mark.parametrize(
    "killed",
    [
        ("kubelet",),
        ("containerd",),
        ("apiserver",),
        ("etcd",),
        ("proxy",),
        ("coredns", "controller-manager", "scheduler"),
        ("etcd", "containerd", "apiserver", "kubelet"),
    ],
    ids="+".join,
)
def test_up_restarts_what_was_killed_and_pods_live_on(up: Command, killed: tuple[str, ...]) -> None:
    started = up.kubectl("get", "pod", "probe", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
    for program in killed:
        os.kill(main_process(up, program), signal.SIGKILL)

    output = up.run("up")

    # Without an API server its clients get slow of hearing: they are started with it.
    deaf = CLIENTS if {"etcd", "apiserver"} & set(killed) else set()
    assert set(output.rpartition("started ")[2].strip().split(", ")) == {*killed, *deaf}
    up.eventually("the probe answers", lambda: up.ask("/") == "probe")
    up.eventually("names", lambda: up.ask("/lookup?name=kubernetes.default") == "10.96.0.1")
    again = up.kubectl("get", "pod", "probe", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
    assert again == started
    up.kubectl("delete", "pod", "probe", "--wait", "--timeout=60s")
    up.start_probe()  # so containers can still be ended and made


def test_up_restarts_a_program_whose_configuration_changed(up: Command) -> None:
    corefile = Path(os.environ["XDG_STATE_HOME"]) / "serin" / up.name / "config" / "Corefile"
    corefile.write_text(corefile.read_text().replace("ttl 5", "ttl 6"))
    before = up.processes()
    # Written anew with the old content, the file is what coredns was started with: nothing to do.
    assert "up already" in up.run("up")
    assert up.processes() == before
    started = Path(f"/run/serin-{up.name}/coredns.started")
    started.write_text(started.read_text() + "changed")
    assert "started coredns" in up.run("up")
    changed = {name for name, pids in up.processes().items() if pids != before[name]}
    assert changed == {"coredns"}


@pytest.mark.parametrize("moment", ["boot-id", "ns/mnt", "ns/set-up", "etcd.started", "kubelet.started"])
def test_up_after_an_up_that_was_killed(command: Command, probe_archive: Path, moment: str) -> None:
    command.run("down")
    run = Path(f"/run/serin-{command.name}")
    mark = Path(os.environ["XDG_STATE_HOME"], "serin", command.name, moment) if "-id" in moment else run / moment
    process = command.start("up")
    wait_for(f"{mark}", lambda: None if mark.exists() or process.poll() is not None else "not yet", 60, every=0.001)
    assert process.poll() is None, "it was over before it could be killed"
    process.kill()
    process.wait()

    command.run("up")
    command.run("load", str(probe_archive))
    command.start_probe()
    assert command.ask("/") == "probe"


def test_down_after_an_up_that_was_killed_leaves_nothing(command: Command) -> None:
    command.run("down")
    before = snapshot(command.name)
    process = command.start("up")
    started = Path(f"/run/serin-{command.name}/apiserver.started")
    wait_for(f"{started}", lambda: None if started.exists() else "not yet", 60, every=0.001)
    process.kill()
    process.wait()
    command.run("down")
    command.eventually("nothing left", lambda: snapshot(command.name) == before, seconds=10)


def test_up_after_a_reboot(up: Command) -> None:
    """What a reboot leaves: files. No process, no mount, no interface, no cgroup, and containerd in mid-sentence."""
    cgroup = Cgroup(f"serin-{up.name}")
    cgroup.kill()
    for mount in ("ns/mnt", "ns/net", "ns"):
        subprocess.run(["umount", f"/run/serin-{up.name}/{mount}"], check=True)
    cgroup.remove()
    state = Path(os.environ["XDG_STATE_HOME"], "serin", up.name)
    slot = int((state / "slot").read_text())
    wait_for("the interface goes", lambda: "there" if Path(f"/sys/class/net/serin{slot}").exists() else None, 10)
    (state / "boot-id").write_text("of another boot\n")

    up.run("up")
    pods = up.kubectl("get", "pods", "--all-namespaces", "-o", "name")
    assert pods == "", "etcd ran without fsync: its data is not to be trusted after a reboot"
    up.start_probe()  # its image is still there
    assert up.ask("/") == "probe"


def test_up_where_a_cluster_of_another_state_folder_ended(
    up: Command, short_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a test run leaves it whose processes were all ended: what is left of its namespaces holds on to its name."""
    mine = os.environ["XDG_STATE_HOME"]
    monkeypatch.setenv("XDG_STATE_HOME", str(short_folder()))
    process = up.start("up")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1, output
    assert f"whose state is in {mine}" in output, "a cluster that runs is not touched"

    Cgroup(f"serin-{up.name}").kill()
    up.run("up")
    up.run("down", "--purge")
    monkeypatch.setenv("XDG_STATE_HOME", mine)
    up.run("up")


@pytest.fixture
def neighbour(state_home: Path) -> Iterator[Command]:
    neighbour = Command(f"n{os.getpid()}")
    yield neighbour
    neighbour.run("down", "--purge")


def test_two_clusters_side_by_side_and_one_goes(up: Command, neighbour: Command, probe_archive: Path) -> None:
    neighbour.run("up")
    neighbour.run("load", str(probe_archive))
    neighbour.start_probe()
    assert up.cluster.gateway() != neighbour.cluster.gateway()
    assert up.ask("/") == neighbour.ask("/") == "probe"

    up.run("down")

    left = snapshot(up.name)
    # The neighbour's mount namespace was made when ours was mounted: it must not keep it alive.
    assert left["keepers"] == []
    assert left["processes"] == []
    assert neighbour.ask("/") == "probe"
    neighbour.kubectl("delete", "pod", "probe", "--wait", "--timeout=60s")
    neighbour.start_probe()


def test_the_name_of_a_cluster_elsewhere_is_refused(
    up: Command, short_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, mine = os.environ["XDG_STATE_HOME"], short_folder()
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(mine))
        # The first finds nothing of its own; nor may it say so and leave.
        for verb in ("down", "up", "down"):
            process = up.start(verb)
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 1
            assert elsewhere in output
    assert up.ask("/") == "probe"


def test_down_after_a_reboot_leaves_the_link_that_another_cluster_has_taken_since(state_home: Path) -> None:
    slot = 64 * 256 - 1
    state = state_home / "serin" / "rebooted"
    state.mkdir(parents=True)
    (state / "slot").write_text(str(slot))
    interface = f"serin{slot}"
    subprocess.run(["ip", "link", "add", interface, "alias", "serin-other", "type", "veth"], check=True)
    try:
        Command("rebooted").run("down", "--purge")
        assert Path("/sys/class/net", interface).exists()
    finally:
        subprocess.run(["ip", "link", "del", interface], check=False)


def test_a_link_takes_no_address_that_the_machine_has() -> None:
    """As a VPN that has taken the same range."""
    ask = "from e2e.cluster.namespaces import free_link; print(free_link({1}).machine)"
    vpn = "ip link add vpn type veth && ip addr add 198.18.0.1/16 dev vpn && ip addr add 198.18.0.10 dev vpn"
    argv = ["unshare", "--net", "--mount", "sh", "-euc", f'mount -t sysfs sysfs /sys; {vpn}; exec "$@"', "vpn"]
    done = subprocess.run(
        [*argv, sys.executable, "-c", ask], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout == "198.18.0.13\n", done.stderr
