"""What keeps services from starting while packages are installed goes again, whatever became of the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.local import LocalCluster
from e2e.cluster.preflight import preflight
from e2e.cluster.services import allow_services
from e2e.cluster.services import no_services
from tests.cluster.command import REPOSITORY

_KILLED = """
import os, pathlib, signal
from e2e.cluster import services
services._POLICY = pathlib.Path(%r)
with services.no_services():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where invoke-rc.d would look."""
    monkeypatch.setattr("e2e.cluster.services._POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "policy-rc.d"


@pytest.fixture
def left(policy: Path) -> Path:
    """By a run that was killed while it installed packages."""
    killed = subprocess.run([sys.executable, "-c", _KILLED % str(policy)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -9
    assert policy.exists()
    return policy


def test_no_service_starts_inside_the_block_and_any_does_after_it(policy: Path) -> None:
    with no_services():
        assert subprocess.run([policy, "containerd", "start"], check=False).returncode == 101
    assert not policy.exists()


def test_what_a_killed_run_has_left_goes_with_down(left: Path) -> None:
    LocalCluster("none").down()
    assert not left.exists()


def test_what_a_killed_run_has_left_goes_with_the_next_run(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr("e2e.cluster.preflight.cni_plugins", lambda: left.parent)
    for trial in ("_try_namespaces", "_try_cgroups"):
        monkeypatch.setattr(f"e2e.cluster.preflight.{trial}", lambda *_: [])
    preflight(Path("/tmp"))
    assert not left.exists()


def test_what_a_killed_run_has_left_goes_with_the_next_installation(left: Path) -> None:
    with no_services():
        assert left.exists()
    assert not left.exists()


def test_what_apt_holds_stays(policy: Path) -> None:
    with no_services() as held:
        assert held
        allow_services()
        assert policy.exists()


def test_a_policy_of_the_machines_own_stays(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 101\n")
    with no_services() as held:
        assert not held
    allow_services()
    assert policy.exists()
