"""As a person sees it: on a real terminal, of a pseudo-terminal's making."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer

START = "import sys; from serin.cli.app import main; sys.argv[0] = 'serin'; main()"
SECONDS = 60
OPERATOR = str(Path(__file__).parents[3] / "operator")


def on_a_terminal(kubeconfig: Path, *arguments: str, columns: int = 80, **environment: str) -> tuple[int, str]:
    """Exit code and everything that the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # Not the path of this process: pytest puts the folders of tests first, and a module there may be called like one of
    # the standard library.
    variables = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": OPERATOR, **environment}
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=variables
    )
    os.close(theirs)
    got = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        got += part
    os.close(ours)
    return process.wait(SECONDS), got.decode().replace("\r\n", "\n")


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


def test_a_table_fits_the_terminal(api: ApiServer, kubeconfig: Path) -> None:
    lines = plain(on_a_terminal(kubeconfig, "status")[1])
    assert lines == [
        "NAME   STABLE  CANDIDATE  WEIGHT  STEP  PHASE        MESSAGE",
        "fraud  v12     v13        25 %    3/4   Progressing  step 3/4: 25 % to v13, wai…",
    ]
    narrow = plain(on_a_terminal(kubeconfig, "status", columns=60)[1])
    assert narrow[0] == "NAME   STABLE  CANDIDATE  WEIGHT  STEP  PHASE"


def test_a_live_view_stays_up_to_date_and_leaves_the_last_state(api: ApiServer, kubeconfig: Path) -> None:
    api.on_watch = [lambda: api.put(objects.deployment(message="v13 has all traffic"))]
    code, got = on_a_terminal(kubeconfig, "watch", "fraud", "--until", "settled", "--timeout", "30s")
    assert code == 0
    assert "step 3/4: 25 % to v13" in got
    last = got.rsplit("\x1b[2K", 1)[-1]
    assert "v13 has all traffic" in last
    assert "Candidate" not in last
