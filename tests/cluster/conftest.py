"""Local clusters of these tests' own: none that somebody works with is touched."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import tools
from e2e.cluster.image import write_image
from tests.cluster.command import PROBE_IMAGE
from tests.cluster.command import Command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is about local clusters says nothing of another one, and may need what this machine does not have."""
    spec = os.environ.get("SERIN_CLUSTER") or "local"
    if spec.partition(":")[0] == "local":
        return
    why = f"about the cluster that is made on this machine (SERIN_CLUSTER=local), and SERIN_CLUSTER is {spec}"
    for item in items:
        if item.get_closest_marker("machine"):
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders for state that go with the tests. Sockets in pytest's own would have names that are too long."""
    with contextlib.ExitStack() as folders:
        yield lambda: Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="serin test-")))


@pytest.fixture(scope="module")
def state_home(short_folder: Callable[[], Path]) -> Iterator[Path]:
    """A state folder that goes with the tests. Not for the session: the scenarios' cluster is where people look."""
    with pytest.MonkeyPatch.context() as patch:
        folder = short_folder()
        patch.setenv("XDG_STATE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def command(state_home: Path, request: pytest.FixtureRequest) -> Iterator[Command]:
    """A cluster of its own for each module; down at first, purged at last."""
    command = Command(f"t{os.getpid()}-{request.module.__name__.rpartition('_')[2]}"[:20])
    yield command
    command.run("down", "--purge")


@pytest.fixture(scope="session")
def probe_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the probe, see e2e/tools/probe."""
    archive = tmp_path_factory.mktemp("images") / "probe.tar"
    write_image(archive, tools.binary("probe"), PROBE_IMAGE)
    return archive
