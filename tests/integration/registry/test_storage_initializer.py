"""The storage initializer against a real MLflow server: a model's files reach the pod through the tracking server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serin.api.modelregistry import Artifacts
from serin.registry.place import place
from tests.integration.registry.conftest import Logged
from tests.integration.registry.server import ADMIN
from tests.integration.registry.server import PASSWORD
from tests.integration.registry.server import MlflowServer
from tests.integration.registry.server import furnish
from tests.integration.registry.server import running
from tests.integration.registry.server import with_logins

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

INITIALIZE = Path(__file__).parents[3] / "images" / "storage-initializer" / "initialize.py"
LOGIN = {"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def closed(logged: Logged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    """A server that wants a login, with the same model."""
    folder = tmp_path_factory.mktemp("closed")
    furnish(folder, logged.server)
    with running(with_logins(folder)) as server:
        yield replace(logged, server=server)


def location(logged: Logged) -> tuple[str, Path]:
    """Where the operator says that the pods fetch the model, and where the server keeps it."""
    (folder,) = logged.server.artifacts.rglob(f"{logged.model_id}/artifacts")
    path = folder.relative_to(logged.server.artifacts)
    return place(f"mlflow-artifacts:/{path}", Artifacts(), server=logged.server.url), folder


def fetch(uri: str, into: Path, **env: str) -> tuple[int, list[str]]:
    """Exit code and log, as KServe's init container has them."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(into.parent), "MLFLOW_DISABLE_TELEMETRY": "true"}
    argv = [sys.executable, str(INITIALIZE), uri, str(into)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env={**bare, **env})
    return done.returncode, (done.stdout + done.stderr).splitlines()


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_every_file_of_the_model_arrives(logged: Logged, tmp_path: Path) -> None:
    uri, kept = location(logged)
    code, log = fetch(uri, tmp_path / "models")
    assert code == 0, log
    assert "MLmodel" in files(kept)
    assert files(tmp_path / "models") == files(kept)


def test_what_is_not_there_is_said_in_the_last_line(logged: Logged, tmp_path: Path) -> None:
    uri, _ = location(logged)
    code, log = fetch(f"{uri}-gone", tmp_path / "models")
    assert code == 1
    assert f"Could not download {uri}-gone" in log[-1]
    assert "has nothing at mlflow-artifacts:/" in log[-1]


def test_a_server_that_does_not_answer_is_said_in_the_last_line(tmp_path: Path) -> None:
    server = MlflowServer(tmp_path)
    uri = place("mlflow-artifacts:/1/m", Artifacts(), server=server.url)
    code, log = fetch(uri, tmp_path / "models", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert code == 1
    assert uri in log[-1]
    assert "Connection refused" in log[-1]


def test_a_server_that_wants_a_login_gets_the_one_that_is_for_it(closed: Logged, tmp_path: Path) -> None:
    uri, kept = location(closed)
    code, log = fetch(uri, tmp_path / "models", MLFLOW_TRACKING_URI=f"{closed.server.url}/", **LOGIN)
    assert code == 0, log
    assert files(tmp_path / "models") == files(kept)


@pytest.mark.parametrize("named", [{}, {"MLFLOW_TRACKING_URI": "http://other:5000"}])
def test_a_login_for_another_server_is_not_sent(closed: Logged, tmp_path: Path, named: dict[str, str]) -> None:
    uri, _ = location(closed)
    code, log = fetch(uri, tmp_path / "models", **named, **LOGIN)
    assert code == 1
    assert "401" in log[-1]
    assert any("MLFLOW_TRACKING_PASSWORD is not used" in line for line in log)
    assert not any(PASSWORD in line for line in log)
