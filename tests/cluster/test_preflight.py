"""A machine that cannot carry a local cluster says so at once, with what is missing and the other ways."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.cluster.interface import ClusterError
from e2e.cluster.preflight import preflight
from tests.cluster.command import REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.machine]

OTHER_WAYS = ("SERIN_CLUSTER=kind", "SERIN_CLUSTER=/path/to/kubeconfig")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("sys_admin", "cannot make a network and a mount namespace: unshare: unshare failed: Operation not permitted"),
        ("net_admin", "cannot make a veth pair: RTNETLINK answers: Operation not permitted"),
        ("net_admin", "cannot use nftables: "),
    ],
)
def test_root_without_a_capability(state_home: Path, capability: str, expected: str) -> None:
    limited = ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"]
    argv = [*limited, sys.executable, "-m", "e2e.cluster", "--cluster=local:limited", "up"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert expected in done.stderr
    assert all(way in done.stderr for way in OTHER_WAYS)
    assert "Traceback" not in done.stderr
    assert not Path("/run/serin-limited").exists()


def test_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="run it as root") as error:
        preflight(tmp_path)
    assert all(way in str(error.value) for way in OTHER_WAYS)


def test_a_state_folder_whose_sockets_would_have_no_name(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"has .* bytes and may have 74, .* set XDG_STATE_HOME to a shorter one"):
        preflight(tmp_path / ("long" * 20))


def test_a_state_folder_with_a_space_in_its_name(short_folder: Callable[[], Path]) -> None:
    preflight(short_folder() / "of mine")


def test_missing_programs_are_named_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no apt-get either
    with pytest.raises(ClusterError, match="containerd, iproute2, iptables, mount, nftables, runc, util-linux"):
        preflight(tmp_path)


def test_missing_packages_are_installed_without_starting_services(
    short_folder: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a played apt-get: what a real one does to a machine cannot be taken back."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "apt-get").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n[ -x /usr/sbin/policy-rc.d ]\n')
    (folder / "apt-get").chmod(0o755)
    for program in ("ctr", "containerd", "nft", "iptables", "conntrack", "ip", "nsenter", "unshare", "setsid", "mount"):
        (folder / program).write_text("#!/bin/sh\n")
        (folder / program).chmod(0o755)
    policy = Path("/usr/sbin/policy-rc.d")
    before = policy.read_bytes() if policy.exists() else None
    monkeypatch.setenv("PATH", str(folder))
    preflight(short_folder())
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends runc")
    assert (policy.read_bytes() if policy.exists() else None) == before
