"""Tests about clusters that are made on this machine: they run where one is meant, and nowhere else."""

import os
import subprocess
import sys

import pytest

from tests.cluster.command import REPOSITORY

_FILES = ("test_local_life.py", "test_local_faults.py", "test_preflight.py")


@pytest.mark.parametrize(("spec", "run"), [("", True), ("local:mine", True), ("kind", False)])
def test_they_run_where_the_local_cluster_is_meant(spec: str, run: bool) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cluster", "--setup-plan"]
    files = [f"tests/cluster/{file}" for file in _FILES]
    environment = {**os.environ, "SERIN_CLUSTER": spec}
    done = subprocess.run([*argv, *files], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    summary = done.stdout.splitlines()[-1]
    assert ("skipped" in summary) is not run
    if not run:
        assert f"SERIN_CLUSTER is {spec}" in done.stdout
        assert "passed" not in summary
        assert "deselected" not in summary
