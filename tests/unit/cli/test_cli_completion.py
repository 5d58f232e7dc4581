from __future__ import annotations

import os
import sys

import pytest
from typer.testing import CliRunner

from serin.api.kinds import NAMESPACE
from serin.cli.app import app
from serin.cli.app import complete
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.conftest import Run


def completed(*words: str) -> list[str]:
    """What bash would offer after these words, the last of which is not finished."""
    environment = {
        "_SERIN_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["serin", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = CliRunner().invoke(app, [], prog_name="serin", env=environment)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.usefixtures("serin")
def test_names_of_the_namespace(api: ApiServer) -> None:
    api.put(objects.deployment())
    api.put(objects.deployment("forecast"))
    api.put(objects.deployment("ranking", "search"))
    assert completed("status", "f") == ["forecast", "fraud"]
    assert completed("promote", "fr") == ["fraud"]
    assert completed("status", "-n", "search", "") == ["ranking"]
    assert completed("status", "-n=search", "") == completed("-n", "search", "status", "") == ["ranking"]
    assert completed("status", "mdep/f") == ["mdep/forecast", "mdep/fraud"]
    assert completed("-n", "search", "und") == ["undo"]


@pytest.mark.usefixtures("serin")
def test_namespaces_and_contexts(api: ApiServer) -> None:
    for name in ("payments", "search", "serin-system"):
        api.put({"metadata": {"name": name}}, NAMESPACE)
    assert completed("status", "-n", "se") == ["search", "serin-system"]
    assert completed("why", "--context", "") == ["here", "nowhere"]


@pytest.mark.usefixtures("serin")
def test_values_of_options(api: ApiServer) -> None:
    assert completed("watch", "fraud", "--until", "") == ["settled"]
    assert completed("status", "-o", "") == ["json", "text"]
    assert completed("pause", "fraud", "-o", "j") == ["json"]
    assert api.requests == []


@pytest.mark.usefixtures("serin")
def test_revisions_that_an_order_may_be_for(api: ApiServer) -> None:
    older = {"revision": "fraud-v11-0a0a0a0a", "version": "v11", "reason": "Crashed", "message": ""}
    body = objects.rolling()
    body["status"]["rejected"] = [*objects.rejected()["status"]["rejected"], older]
    api.put(body)
    assert completed("promote", "fraud", "--revision", "") == [objects.CANDIDATE]
    assert completed("undo", "fraud", "--revision", "") == [objects.STABLE]
    assert completed("retry", "fraud", "--revision", "") == ["fraud-v11-0a0a0a0a", objects.CANDIDATE]
    assert completed("retry", "fraud", "--revision", "fraud-v11") == ["fraud-v11-0a0a0a0a"]
    api.put(objects.deployment())
    assert completed("promote", "fraud", "--revision", "") == []
    assert completed("promote", "nobody", "--revision", "") == []


def test_a_completion_never_complains(api: ApiServer, serin: Run) -> None:
    assert completed("status", "--context", "nowhere", "f") == []
    assert completed("status", "--context", "unknown", "f") == []
    assert completed("status", "--kubeconfig", "/nowhere", "f") == []
    assert completed("status", "--kubeconfig", "/nowhere", "--context", "") == []
    api.refuse("GET", 403)
    assert completed("status", "f") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_for_shells(shell: str) -> None:
    shown = CliRunner().invoke(app, [], prog_name="serin", env={"_SERIN_COMPLETE": f"source_{shell}"})
    assert shown.exit_code == 0
    assert f"_SERIN_COMPLETE=complete_{shell}" in shown.stdout


@pytest.mark.usefixtures("serin")
def test_kubectl_completes_its_plugin(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """kubectl hands the words after ``kubectl serin`` to the program, the unfinished one last."""
    api.put(objects.deployment())
    api.put(objects.deployment("forecast"))
    for words, told in (
        (["status", "f"], "forecast\nfraud\n:4\n"),
        (["status", "-n", "payments", ""], "forecast\nfraud\n:4\n"),
        (["und"], "undo\n:4\n"),
        (["status", "z"], ":4\n"),
    ):
        monkeypatch.setattr(sys, "argv", ["/usr/bin/kubectl_complete-serin", *words])
        monkeypatch.setattr(os, "environ", os.environ.copy())
        with pytest.raises(SystemExit) as ended:
            complete()
        assert ended.value.code == 0
        assert capsys.readouterr().out.strip().split() == told.split()
