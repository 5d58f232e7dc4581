"""What a start costs, and what the command line is called."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from serin import __main__ as operator
from serin.cli import app
from serin.cli import exits
from serin.cli.exits import Exit
from tests.unit.cli.conftest import run

ROOT = Path(__file__).parents[3]
NEVER = ("kopf", "mlflow", "aiohttp", "prometheus_client", "structlog")
LATE = ("kubernetes", "pydantic", "pydantic_settings", "urllib3", "yaml")


def loaded_by(code: str) -> set[str]:
    """Top-level packages that are there after running the code in a new interpreter."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join({{name.split('.')[0] for name in sys.modules}}))"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}/operator"},
    )
    return set(told.stdout.split())


def test_help_waits_for_nothing_that_only_a_cluster_or_a_manifest_needs() -> None:
    assert not loaded_by("import serin.cli.app") & {*NEVER, *LATE}


def test_no_command_loads_what_only_the_operator_needs() -> None:
    modules = [f"serin.cli.{path.stem}" for path in (ROOT / "operator/serin/cli").glob("*.py")]
    everything = "\n".join(f"import {module}" for module in ["serin.cluster.session", *modules])
    # google.auth, which kubernetes takes where it is installed, and aiohttp come from the development environment.
    assert not loaded_by(everything) & {"kopf", "mlflow", "prometheus_client", "structlog"}


def test_the_scripts() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["serin"] == scripts["kubectl-serin"] == "serin.cli.app:main"
    for script in scripts.values():
        module, function = script.split(":")
        assert callable(getattr(import_module(module), function))


def test_the_operator_is_not_started_for_who_wants_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["__main__.py", "status", "--help"])
    assert operator.main() == 2
    told = capsys.readouterr().err
    assert "the operator, which takes no arguments: status --help\n" in told
    assert "The command line is the program serin." in told


def test_the_operator_says_in_a_sentence_that_it_has_no_cluster() -> None:
    command = [sys.executable, "-m", "serin"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": f"{ROOT}/operator"})
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "there is no API server to work for" in ended.stderr


@pytest.mark.parametrize(("called", "told"), [("/usr/bin/kubectl-serin", "kubectl serin"), ("serin", "serin")])
def test_it_is_called_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], called: str, told: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "status", "--help"])
    with pytest.raises(SystemExit):
        app.main()
    assert capsys.readouterr().out.startswith(f"Usage: {told} status ")


@pytest.mark.parametrize("arguments", [[], ["status"], ["-n", "payments", "promote"]])
def test_help_is_asked_for_as_of_kubectl(arguments: list[str]) -> None:
    shown = run(*arguments, "-h")
    assert (shown.exit_code, shown.stdout) == (0, run(*arguments, "--help").stdout)


def test_every_exit_code_is_documented() -> None:
    shown = run("--help").stdout
    for code in Exit:
        assert f"  {code.value}  {exits.MEANINGS[code]}\n" in shown
        assert f"\n{code.value}  " in str(app.__doc__)


def test_every_command_is_listed_on_one_line() -> None:
    shown = run("--help").stdout
    listed = shown.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == [
        "status",
        "watch",
        "promote",
        "approve",
        "abort",
        "retry",
        "pause",
        "resume",
        "undo",
        "history",
        "why",
        "report",
        "render",
    ]
    assert all(line.endswith(".") and "..." not in line for line in listed), listed
