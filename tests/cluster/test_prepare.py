"""What is built before anything starts, for which cluster; nothing is built here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import prepare
from e2e import tools
from e2e.cluster.interface import ClusterError
from e2e.cluster.local import LocalCluster
from e2e.stack import images

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
