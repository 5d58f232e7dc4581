"""What is built before anything starts, for which cluster; nothing is built here."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import prepare
from e2e import tools
from e2e.cluster.interface import ClusterError
from e2e.cluster.local import LocalCluster
from e2e.stack import images
from tests.cluster.command import REPOSITORY

Built = dict[str, set[str]]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    """What is asked for."""
    asked: Built = {"tools": set(), "environments": set(), "images": set()}

    def note(what: str) -> Callable[[str], None]:
        return lambda name: asked[what].add(name)

    monkeypatch.setattr("e2e.prepare.tools.build", note("tools"))
    monkeypatch.setattr("e2e.prepare.interpreter", note("environments"))
    monkeypatch.setattr("e2e.prepare.images.build", note("images"))
    return asked


def test_for_somebody_elses_kubernetes_none_is_built(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERIN_CLUSTER", "kind")
    monkeypatch.setattr("e2e.cluster.kind.KindCluster.preflight", lambda self: None)
    prepare.prepare(with_images=True)
    assert built["tools"] == {"kubectl", "contour", "kserve", "prometheus", "versitygw"}
    assert built["environments"] == set()
    assert built["images"] == set(images.IMAGES)


def test_for_a_cluster_from_source_and_for_control_planes_everything_is(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalCluster, "preflight", lambda self: None)
    for with_images in (True, False):
        monkeypatch.setenv("SERIN_CLUSTER", "local" if with_images else "kind")
        prepare.prepare(with_images=with_images)
        assert built["tools"] == set(tools.TOOLS)
        assert built["environments"] == {"mlflow-server"}
        assert built["images"] == (set(images.IMAGES) if with_images else set())
        for asked in built.values():
            asked.clear()


def test_where_there_can_be_no_cluster_nothing_is_built(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERIN_CLUSTER", "kind")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="`kind` is not on PATH"):
        prepare.prepare(with_images=True)
    assert not any(built.values())


@pytest.mark.usefixtures("built")
def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(tool: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/home/me/.cache/serin")

    monkeypatch.setattr("e2e.prepare.tools.build", refuse)
    monkeypatch.setattr(sys, "argv", ["prepare", "--control-plane"])
    assert prepare.main() == 1
    said = capsys.readouterr().err
    assert "Read-only file system: '/home/me/.cache/serin'" in said
    assert "XDG_CACHE_HOME" in said


def test_programs_of_administrators_are_found_by_who_became_root_with_a_users_path() -> None:
    environment = {**os.environ, "PATH": "/mine:/usr/bin:/bin"}
    ask = [sys.executable, "-c", "import os, e2e; print(os.environ['PATH'])"]
    done = subprocess.run(ask, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "/mine:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin\n"
