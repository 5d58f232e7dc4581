"""As a person sees it: on a real terminal, of a pseudo-terminal's making."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from serin import nesting
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.started import OPERATOR
from tests.unit.cli.started import SECONDS
from tests.unit.cli.started import Started

# Where the tests run in the background of a shell, SIGINT is ignored, and that is inherited.
START = """
import signal, sys
from serin.cli.app import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = "serin"
main()
"""


@cache
def started() -> Started:
    """For all tests of this module."""
    return Started()


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    if started.cache_info().currsize:
        started().end()
        started.cache_clear()


def everything(file: int) -> bytes:
    """What is written there until nobody can any more."""
    got = b""
    while True:
        try:
            part = os.read(file, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        got += part
    os.close(file)
    return got


def on_a_terminal(
    kubeconfig: Path, *arguments: str, columns: int = 80, command: list[str] | None = None, **environment: str
) -> tuple[int, str]:
    """Exit code and everything that the terminal got. ``command``: another one than serin."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR, **environment}
    if command is None:
        serin = started()
        serin.begin(arguments, (theirs, theirs, theirs), variables)
        got = everything(ours)
        code = serin.ended()
    else:
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
        os.close(theirs)
        got = everything(ours)
        code = process.wait(SECONDS)
    return code, got.decode().replace("\r\n", "\n")


def begin(kubeconfig: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """The command with pipes instead of a terminal, as in a script."""
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
    )


def in_a_pipe(
    kubeconfig: Path, *arguments: str, encoding: str = "utf-8", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """The same to its end, with an output of this encoding."""
    (out, theirs), (err, its) = os.pipe(), os.pipe()
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR, "PYTHONIOENCODING": encoding}
    variables |= environment
    serin = started()
    serin.begin(arguments, (os.open(os.devnull, os.O_RDONLY), theirs, its), variables)
    got = everything(out), everything(err)
    return subprocess.CompletedProcess(arguments, serin.ended(), *got)


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).splitlines()]


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> Path:
    api.put(objects.rolling())
    return api.kubeconfig(tmp_path / "kubeconfig")


def test_colours_on_a_terminal_unless_they_are_unwanted(kubeconfig: Path) -> None:
    cyan = "\x1b[36mProgressing"
    assert cyan in on_a_terminal(kubeconfig, "status", "fraud")[1]
    assert cyan not in on_a_terminal(kubeconfig, "status", "fraud", NO_COLOR="1")[1]
    assert "\x1b" not in on_a_terminal(kubeconfig, "status", "fraud", TERM="dumb")[1]


def told(lines: str) -> list[list[str]]:
    """Whose phase each line tells of, and which one: as a watch writes them, behind the time."""
    return [line.split()[1:3] for line in lines.splitlines()]


FORCED: list[dict[str, Any]] = [
    {"FORCE_COLOR": "1"},
    {"TTY_COMPATIBLE": "1"},
    {"TTY_INTERACTIVE": "1"},
    {"FORCE_COLOR": "1", "NO_COLOR": "1"},
    {"FORCE_COLOR": "1", "TERM": "dumb"},
]


def test_a_pipe_is_no_terminal_whatever_the_environment_says(api: ApiServer, kubeconfig: Path) -> None:
    """FORCE_COLOR, which CI sets so that its pages have colours, is about colours and nothing else."""
    commands = (["status"], ["history", "fraud"], ["pause", "fraud", "--no-wait"], ["status", "nobody"])
    usual = [in_a_pipe(kubeconfig, *command) for command in commands]
    for environment in FORCED:
        forced = [in_a_pipe(kubeconfig, *command, **environment) for command in commands]
        for one, other in zip(forced, usual, strict=True):
            for got, expected in ((one.stdout, other.stdout), (one.stderr, other.stderr)):
                assert re.sub(rb"\x1b\[[0-9;]*m", b"", got) == expected, environment
                assert b"\x1b" not in expected
        table, coloured = forced[0].stdout, "FORCE_COLOR" in environment and "NO_COLOR" not in environment
        assert b"MESSAGE" in table, environment
        assert (b"\x1b[36mProgressing" in table, b"\x1b" in table) == (coloured, coloured), environment


@pytest.mark.parametrize("environment", FORCED, ids=str)
def test_a_watch_in_a_pipe_is_a_line_a_change_whatever_the_environment_says(
    api: ApiServer, kubeconfig: Path, environment: dict[str, Any]
) -> None:
    api.on_watch = [lambda: api.put(objects.deployment(message="v13 has all traffic"))]
    watched = in_a_pipe(kubeconfig, "watch", "fraud", "--until", "settled", "--timeout", "30s", **environment)
    assert told(watched.stdout.decode()) == [["fraud", "Progressing"], ["fraud", "Healthy"]]


def test_no_colours_on_a_terminal_that_is_dumb_unless_they_are_forced(kubeconfig: Path) -> None:
    assert "\x1b" not in on_a_terminal(kubeconfig, "status", TERM="dumb", FORCE_COLOR="")[1]
    assert "\x1b[36mProgressing" in on_a_terminal(kubeconfig, "status", TERM="dumb", FORCE_COLOR="1")[1]


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}, {"TTY_INTERACTIVE": "0"}], ids=str)
def test_a_terminal_that_cannot_be_drawn_over_gets_a_line_a_change(
    api: ApiServer, kubeconfig: Path, environment: dict[str, Any]
) -> None:
    """It got nothing at all until the end."""
    api.on_watch = [lambda: api.put(objects.deployment(message="v13 has all traffic"))]
    code, got = on_a_terminal(kubeconfig, "watch", "fraud", "--until", "settled", "--timeout", "30s", **environment)
    assert code == 0
    assert told(got) == [["fraud", "Progressing"], ["fraud", "Healthy"]]


@pytest.mark.parametrize("size", ["0", "00", "-1", "wide", "\u00b2", "99999999999"])
def test_a_size_that_no_terminal_has_is_none(kubeconfig: Path, size: str) -> None:
    """rich wrote nothing at all into no columns, and the exit code said that all was well."""
    for columns in (None, 100):
        shown = on_screen(kubeconfig, columns, COLUMNS=size, LINES=size)
        assert shown[0].split() == ["fraud", "in", "payments", "Progressing"]
        assert max(map(len, shown)) == (columns or 80)


def test_a_size_that_a_terminal_may_have_counts(kubeconfig: Path) -> None:
    for columns in (None, 100):
        assert max(map(len, on_screen(kubeconfig, columns, COLUMNS="60"))) == 60


def on_screen(kubeconfig: Path, columns: int | None, **environment: Any) -> list[str]:
    """Lines of the status on a terminal of so many columns; in a pipe without any."""
    if columns is None:
        shown = in_a_pipe(kubeconfig, "status", "fraud", **environment)
        code, lines = shown.returncode, shown.stdout.decode().splitlines()
    else:
        code, got = on_a_terminal(kubeconfig, "status", "fraud", columns=columns, **environment)
        lines = plain(got)
    assert code == 0
    return lines


def test_a_table_fits_the_terminal(api: ApiServer, kubeconfig: Path) -> None:
    lines = plain(on_a_terminal(kubeconfig, "status")[1])
    assert lines == [
        "NAME   STABLE  CANDIDATE  WEIGHT  STEP  PHASE        MESSAGE",
        "fraud  v12     v13        25 %    3/4   Progressing  step 3/4: 25 % to v13, wai…",
    ]
    narrow = plain(on_a_terminal(kubeconfig, "status", columns=60)[1])
    assert narrow[0] == "NAME   STABLE  CANDIDATE  WEIGHT  STEP  PHASE"


def test_long_names_fold_and_cut_nothing_else(api: ApiServer, kubeconfig: Path) -> None:
    body = objects.rolling(phase="AwaitingApproval")
    body["metadata"] |= {"name": "fraud-detector-eu-west-1-with-more", "namespace": "payments-production"}
    api.put(body)
    assert plain(on_a_terminal(kubeconfig, "status", "-A")[1]) == [
        "NAMESPACE      NAME            STABLE  CANDIDATE  WEIGHT  STEP  PHASE",
        "payments       fraud           v12     v13        25 %    3/4   Progressing",
        "payments-prod  fraud-detector  v12     v13        25 %    3/4   AwaitingApproval",
        "uction         -eu-west-1-wit",
        "               h-more",
    ]


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_no_terminal_is_too_narrow_for_names_and_reasons(api: ApiServer, kubeconfig: Path, columns: int) -> None:
    """What does not fit is for the terminal to wrap: columns that are left out are missed."""
    body = objects.rejected()
    body["metadata"] |= {"name": "fraud-detector-eu-west-1-with-more", "namespace": "payments"}
    api.put(body)
    for everywhere in ([], ["-A"]):
        head, *rows = plain(on_a_terminal(kubeconfig, "status", *everywhere, columns=columns)[1])
        assert head.split() == [
            *["NAMESPACE"][: len(everywhere)],
            "NAME",
            "STABLE",
            "CANDIDATE",
            "WEIGHT",
            "STEP",
            "PHASE",
        ]
        assert "fraud " in rows[0]
        assert [row.split()[-1] for row in rows if "v12" in row] == ["Progressing", "RolledBack"]
    head, *rows = plain(on_a_terminal(kubeconfig, "history", body["metadata"]["name"], columns=columns)[1])
    assert head.split() == ["ENDED", "VERSION", "OUTCOME", "TOOK", "WHY"]
    assert rows[0].startswith("2026-11-17 09:30:00Z  v13      RolledBack  1h5m  LoadFailed: v13")


def test_what_people_copy_is_folded_and_not_cut(api: ApiServer, kubeconfig: Path) -> None:
    name = "fraud-detector-eu-west-1-with-more"
    api.put(objects.deployment(name, url=f"http://{name}.payments.example.com"))
    shown = plain(on_a_terminal(kubeconfig, "status", name, columns=40)[1])
    assert "\u2026" not in "".join(shown)
    assert f"http://{name}.payments.example.com" in "".join(line[11:] for line in shown if line.strip())


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_no_terminal_is_too_narrow_for_the_steps(kubeconfig: Path, columns: int) -> None:
    """Where their table does not fit, each is told in words: the table lost the columns on the right, one by one."""
    shown = plain(on_a_terminal(kubeconfig, "status", "fraud", columns=columns)[1])
    assert "Step  Weight" not in "".join(shown)
    first = next(number for number, line in enumerate(shown) if re.match(" {2}1", line))
    steps = shown[first : shown.index("", first)]
    assert [line[:4].rstrip() for line in steps if line[:4].strip()] == ["  1", "  2", "> 3", "  4", " end"]
    told = " ".join(line[4:].strip() for line in steps)
    # Today's moments have no date.
    assert re.sub("since .*?Z", "since then", told) == (
        "0 % 10m, mirror 20 %, done 1 % 5m, always x-cohort: beta, done 25 % 10m, approval needed, since then "
        "50 % 10m 100 % bake 30m"
    )
    assert all(len(line) <= columns for line in steps)


def test_a_live_view_stays_up_to_date_and_leaves_the_last_state(api: ApiServer, kubeconfig: Path) -> None:
    api.on_watch = [lambda: api.put(objects.deployment(message="v13 has all traffic"))]
    code, got = on_a_terminal(kubeconfig, "watch", "fraud", "--until", "settled", "--timeout", "30s")
    assert code == 0
    assert "step 3/4: 25 % to v13" in got
    last = got.rsplit("\x1b[2K", 1)[-1]
    assert "v13 has all traffic" in last
    assert "Candidate" not in last


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "fraud"],
        ["status"],
        ["status", "-o", "json"],
        ["history", "fraud"],
        ["history", "fraud", "-o", "json"],
        ["why", "fraud"],
        ["watch", "fraud", "--timeout", "100ms"],
        ["status", "schl\u00fcssel"],
        ["pause", "fraud", "--no-wait"],
    ],
)
def test_an_output_that_has_not_every_letter_is_no_error(
    api: ApiServer, kubeconfig: Path, arguments: list[str]
) -> None:
    """As in a container without a locale."""
    body = objects.rolling()
    body["status"]["message"] = body["status"]["history"][0]["message"] = "caf\u00e9 \u2192 \u4e2d \ud83e\udd9c"
    api.put(body)
    shown = in_a_pipe(kubeconfig, *arguments, encoding="latin-1")
    assert shown.returncode == (2 if "schl\u00fcssel" in arguments else 0), shown.stderr
    assert b"bug" not in shown.stderr
    if "json" in arguments:
        told = json.dumps(json.loads(shown.stdout), ensure_ascii=False)
        assert "caf\u00e9 \u2192 \u4e2d \U0001f99c" in told


def test_a_manifest_is_rendered_whole_whatever_the_encoding(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(
        "apiVersion: serin.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: fraud}\n"
        "spec: {model: {name: x, version: 1}, serving: {env: [{name: A, value: \u4e2d}]}}\n",
        encoding="utf-8",
    )
    shown = begin(tmp_path, "render", "-f", str(file), PYTHONIOENCODING="latin-1", LC_ALL="C", PYTHONUTF8="0")
    out, err = shown.communicate(timeout=SECONDS)
    assert shown.returncode == 0, err
    assert "\u4e2d" in json.dumps(list(yaml.safe_load_all(out)), ensure_ascii=False)


def into(output: int, kubeconfig: Path, line: str) -> tuple[int, str]:
    """Exit code and standard error of a command with this output."""
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR}
    err, theirs = os.pipe()
    serin = started()
    serin.begin(tuple(line.split()), (os.open(os.devnull, os.O_RDONLY), output, theirs), variables)
    got = everything(err).decode()
    return serin.ended(), got


def by_a_shell(kubeconfig: Path, line: str) -> tuple[int, str]:
    """Exit code and standard error of a line in which ``serin`` is the command line's program."""
    program = kubeconfig.parent / "serin"
    program.write_text(f"#!{sys.executable}\n{START}")
    program.chmod(0o700)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR, "PATH": path}
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=variables, timeout=SECONDS)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "command", ["--version", "status fraud", "status -o json", "watch fraud --timeout 100ms", "report fraud -o -"]
)
def test_an_output_that_takes_nothing_more_is_told_in_a_sentence(kubeconfig: Path, command: str) -> None:
    told = "error: the output cannot be written: No space left on device\n"
    assert into(os.open("/dev/full", os.O_WRONLY), kubeconfig, command) == (1, told)


@pytest.mark.parametrize("command", ["--version", "status fraud"])
def test_a_reader_that_went_is_nothing_to_speak_of(kubeconfig: Path, command: str) -> None:
    reader, output = os.pipe()
    os.close(reader)
    assert into(output, kubeconfig, command) == (1, "")


@pytest.mark.parametrize("command", ["status fraud", "status fraud -o json", "watch fraud --timeout 100ms"])
def test_an_output_that_is_closed_is_written_nowhere(kubeconfig: Path, command: str) -> None:
    assert by_a_shell(kubeconfig, f"serin {command} >&-") == (0, "")


@pytest.fixture
def deep(api: ApiServer) -> None:
    """A ModelDeployment that is nested deeper than Python reads by itself."""
    nesting.allow_any()
    overrides: dict[str, object] = {}
    for _ in range(1_200):
        overrides = {"a": overrides}
    body = objects.rolling()
    body["metadata"] |= {"name": "deep", "uid": "another"}
    body["spec"]["serving"] = {"overrides": overrides}
    api.put(body)


@pytest.mark.usefixtures("deep")
def test_an_object_that_is_nested_deep_hides_no_other(kubeconfig: Path) -> None:
    code, got = on_a_terminal(kubeconfig, "status")
    assert [line.split()[0] for line in plain(got)[1:]] == ["deep", "fraud"], got
    assert code == 0


def logs_in(kubeconfig: Path, script: str) -> None:
    """The user of the kubeconfig logs in by a helper."""
    program = kubeconfig.parent / "login"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    config = json.loads(kubeconfig.read_text())
    login = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "IfAvailable"}
    config["users"][0]["user"] = {"exec": login}
    kubeconfig.write_text(json.dumps(config))


def test_a_login_helper_that_fails_has_said_why(api: ApiServer, kubeconfig: Path) -> None:
    """It speaks to the person itself. The Python client then stumbles over the words that it has not got."""
    logs_in(kubeconfig, "echo 'token has expired' >&2; exit 1")
    api.refuse("GET /apis/serin.dev", 401, "Unauthorized")
    code, got = on_a_terminal(kubeconfig, "status", "fraud")
    assert code == 1
    told = " ".join("\n".join(plain(got)).split())
    assert told.startswith("token has expired error: the API server")
    assert "does not know you: Unauthorized; the login helper failed, in its own words above Log in again" in told


def test_a_login_helper_speaks_to_the_person_whose_output_goes_into_a_pipe(kubeconfig: Path, tmp_path: Path) -> None:
    """As in ``serin status -o json | jq``: nobody would know that a code has to be typed into a browser."""
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}
    logs_in(kubeconfig, f"echo 'open https://login and type ABCD' >&2; echo '{json.dumps(credential)}'")
    program = tmp_path / "in-a-pipe"
    program.write_text(f"exec '{sys.executable}' -c '{START}' status fraud -o json > '{tmp_path}/out'")
    code, got = on_a_terminal(kubeconfig, command=["sh", str(program)])
    assert (code, plain(got)) == (0, ["open https://login and type ABCD"])
    assert json.loads((tmp_path / "out").read_text())["name"] == "fraud"


def test_an_order_is_not_taken_back_by_the_keyboard(api: ApiServer, kubeconfig: Path) -> None:
    watching = threading.Event()
    api.on_watch = [watching.set]
    given = begin(kubeconfig, "promote", "fraud", "--timeout", "60s")
    # The order is written by then, and waited for.
    assert watching.wait(SECONDS), given.communicate(timeout=SECONDS)
    assert api.patches
    given.send_signal(signal.SIGINT)
    out, err = given.communicate(timeout=SECONDS)
    assert given.returncode == 130, (out, err)
    assert b"the order stands" in err
