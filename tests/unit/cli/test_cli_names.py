"""Names and places as people write them: kubectl's habits, and what must not become part of a request's path."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from serin.cli.arguments import arranged
from serin.cli.verbs import VERBS
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.conftest import Run
from tests.unit.cli.conftest import run

OF_ONE = ["status", "watch", "history", "why", "report", *(verb.word for verb in VERBS)]


@pytest.mark.parametrize(
    "prefix",
    [
        "mdep/",
        "modeldeployment/",
        "modeldeployments/",
        "ModelDeployment/",
        "modeldeployment.serin.dev/",
        "modeldeployments.v1alpha1.serin.dev/",
    ],
)
def test_kubectls_prefix_is_no_part_of_the_name(api: ApiServer, serin: Run, prefix: str) -> None:
    api.put(objects.deployment())
    assert "fraud in payments" in serin("status", f"{prefix}fraud").stdout


@pytest.mark.parametrize("verb", OF_ONE)
@pytest.mark.parametrize("option", ["--context", "--kubeconfig"])
def test_an_empty_option_does_not_stand_for_another_cluster(api: ApiServer, serin: Run, verb: str, option: str) -> None:
    api.put(objects.rolling())
    ended = serin(verb, "fraud", option, "")
    assert ended.exit_code == 2
    assert "it is empty; leave the option out, or set the variable that it comes from" in ended.stderr
    assert api.requests == []


def test_a_report_is_not_written_to_a_file_that_nobody_named(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    assert serin("report", "fraud", "-o", "").exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize("verb", OF_ONE)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "the name is empty; is the variable that it comes from set?"),
        ("mdep/", "the name is empty"),
        ("fraud/status", "'fraud/status' is no name of a ModelDeployment; write NAME, or modeldeployment/NAME"),
        ("pod/fraud", "is no name of a ModelDeployment"),
        ("mdep/mdep/fraud", "is no name of a ModelDeployment"),
        ("..", "is no name: lower case letters and digits, '-' and '.' between them, at most 253"),
        ("fraud?x=1", "is no name"),
        ("fraud%2Fstatus", "is no name"),
        ("Fraud", "is no name"),
        ("fraud\n", "is no name"),
        ("a" * 254, "is no name"),
    ],
)
def test_what_is_no_name_asks_for_nothing(api: ApiServer, serin: Run, verb: str, name: str, told: str) -> None:
    api.put(objects.rolling())
    ended = serin(verb, name, *(["--no-wait"] if verb in {one.word for one in VERBS} else []))
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert api.requests == []


@pytest.mark.parametrize("verb", [*OF_ONE, "render"])
@pytest.mark.parametrize(
    ("namespace", "told"),
    [
        ("", "the namespace is empty; leave the option out for the context's"),
        ("a/b", "'a/b' is no namespace: lower case letters and digits, '-' between them, at most 63"),
        ("..", "is no namespace"),
        ("pay.ments", "is no namespace"),
        ("a" * 64, "is no namespace"),
    ],
)
def test_what_is_no_namespace_asks_for_nothing(
    api: ApiServer, serin: Run, verb: str, namespace: str, told: str
) -> None:
    ended = serin(verb, *(["-f", "-"] if verb == "render" else ["fraud"]), "-n", namespace)
    assert ended.exit_code == 2
    assert told in ended.stderr
    assert api.requests == []


def test_a_context_whose_namespace_is_none(api: ApiServer, tmp_path: Path) -> None:
    file = api.kubeconfig(tmp_path / "kubeconfig", namespace="a/b")
    ended = run("status", "fraud", "--kubeconfig", str(file))
    assert ended.exit_code == 1
    assert "the context's namespace 'a/b' can be none" in ended.stderr
    assert api.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "ranking", "-n=search"],
        ["status", "-n=search", "ranking"],
        ["-n", "search", "status", "ranking"],
        ["-nsearch", "status", "ranking"],
        ["-n=search", "status", "ranking"],
        ["--namespace", "search", "--context", "here", "status", "ranking"],
        ["--context=here", "--namespace=search", "status", "ranking"],
        ["-n", "payments", "status", "-n", "search", "ranking"],
        ["-n", "search", "status", "--", "ranking"],
    ],
)
def test_places_as_kubectl_takes_them(api: ApiServer, serin: Run, arguments: list[str]) -> None:
    api.put(objects.deployment("ranking", "search"))
    shown = serin(*arguments)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("ranking in search")


def test_any_option_with_a_value_may_have_its_sign(api: ApiServer, serin: Run, tmp_path: Path) -> None:
    api.put(objects.deployment())
    assert json.loads(serin("status", "fraud", "-o=json").stdout)["name"] == "fraud"
    assert "/nowhere cannot be read" in serin("render", "-f=/nowhere").stderr


def test_a_place_that_a_verb_does_not_know_is_not_ignored(serin: Run) -> None:
    ended = serin("--context", "here", "render", "-f", "-")
    assert ended.exit_code == 2
    assert "No such option" in ended.stderr


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([], []),
        (["status"], ["status"]),
        (["-n", "x"], []),
        (["-n"], []),
        (["--help"], ["--help"]),
        (["status", "--", "-n=x"], ["status", "--", "-n=x"]),
        (["status", "--timeout=-n=x"], ["status", "--timeout=-n=x"]),
        (["-n", "x", "--version"], ["--version", "-n", "x"]),
    ],
)
def test_arguments_are_arranged(written: list[str], read: list[str]) -> None:
    assert arranged(written) == read


def test_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: f"1.2.3 of {name}")
    shown = run("--version")
    assert (shown.exit_code, shown.stdout) == (0, "serin 1.2.3 of serin\n")

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert run("--version").stdout == "serin from a checkout that is not installed\n"


@pytest.mark.parametrize("verb", [*OF_ONE, "render"])
def test_usage_has_each_bracket_once(verb: str) -> None:
    usage = run(verb, "--help").stdout.splitlines()[0]
    assert "[[" not in usage
    assert "NAME" in usage or verb == "render"
