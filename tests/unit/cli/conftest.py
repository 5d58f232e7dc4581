from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner
from typer.testing import Result

from serin.cli import times
from serin.cli.app import app
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.objects import NOW

Run = Callable[..., Result]

# Typer makes all commands anew for each that is run, which takes longer than most of them. A process makes them once.
testing._get_command = cache(get_command)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The same moment, a terminal of 80 columns, and nothing of the machine's own configuration."""
    limit = sys.getrecursionlimit()
    monkeypatch.setattr(times, "now", lambda: NOW)
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "SERIN_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LINES", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    # A command raises it for its process, which here is that of all tests.
    sys.setrecursionlimit(limit)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


@pytest.fixture
def serin(api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line against the API server, as jane, in namespace payments."""
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
    return run


def run(*arguments: str, **options: str) -> Result:
    """One command. Its output is text, its exit code that of the process."""
    return CliRunner().invoke(app, list(arguments), prog_name="serin", **options)  # type: ignore[arg-type]
