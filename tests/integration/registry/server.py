"""A real MLflow server as a process on loopback, in an environment of its own that is made from its lock once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import closing
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from e2e.environment import interpreter

START_DEADLINE = 300.0
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
ADMIN, PASSWORD = "admin", "p4ss-canary-word"


class MlflowServer:
    """One server with its database and its artifacts in ``folder``. It can be stopped and started again."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.database = folder / DATABASE
        self.artifacts = folder / ARTIFACTS
        self._options = options
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers. Raises RuntimeError with the end of its log where it does not."""
        python = interpreter("mlflow-server")
        command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}", *self._options]
        if "--no-serve-artifacts" not in self._options:
            command += ["--artifacts-destination", str(self.artifacts)]
        # Without the second it starts nine more processes.
        env = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=out,
                stderr=out,
                env={**os.environ, **env, **self._env, "PATH": f"{python.parent}:{os.environ['PATH']}"},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"MLflow did not start:\n{log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Ends it with its workers."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def post(self, path: str, **body: object) -> dict[str, object]:
        """A write over the REST API, as a data scientist's client would send it."""
        return self._call("POST", path, body)

    def delete(self, path: str, **body: object) -> dict[str, object]:
        """A deletion over the REST API."""
        return self._call("DELETE", path, body)

    def run(self, script: Path, *arguments: str) -> str:
        """Runs a script in the server's environment; the last line it printed, after MLflow's own."""
        done = subprocess.run(
            [str(interpreter("mlflow-server")), str(script), self.url, *arguments],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **self._env, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        if done.returncode != 0:
            raise RuntimeError(f"{script.name} failed:\n{done.stderr[-3000:]}")
        return done.stdout.splitlines()[-1]

    def _call(self, method: str, path: str, body: Mapping[str, object]) -> dict[str, object]:
        user, password = self._env.get("MLFLOW_TRACKING_USERNAME"), self._env.get("MLFLOW_TRACKING_PASSWORD")
        auth = (user, password) if user and password else None
        response = requests.request(
            method, f"{self.url}/api/2.0/mlflow/{path}", json=dict[str, Any](body), auth=auth, timeout=30
        )
        if not response.ok:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        answer: dict[str, object] = response.json()
        return answer

    def _answers(self) -> bool:
        try:
            # Not /version, which is 401 under basic auth.
            return requests.get(f"{self.url}/health", timeout=1).ok
        except requests.RequestException:
            # Refused at once until it listens: not a busy loop, but not a quiet one either.
            with suppress(subprocess.TimeoutExpired):
                self._process and self._process.wait(0.1)
            return False


@contextmanager
def running(server: MlflowServer) -> Iterator[MlflowServer]:
    """Starts the server, and ends it also where the test does not get to its end."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def furnish(folder: Path, other: MlflowServer) -> None:
    """For a server in ``folder``, not started yet, the models of another: logging them again takes much longer."""
    with closing(sqlite3.connect(other.database)) as theirs, closing(sqlite3.connect(folder / DATABASE)) as ours:
        theirs.backup(ours)
    shutil.copytree(other.artifacts, folder / ARTIFACTS)


def with_logins(folder: Path, *options: str) -> MlflowServer:
    """A server that knows only its administrator, as whom ``post`` and ``run`` ask it."""
    config = folder / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN}\nadmin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "0123456789abcdef",
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    }
    return MlflowServer(folder, "--app-name", "basic-auth", *options, env=env)
