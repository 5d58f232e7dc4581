"""The command line's process without its start: one waits with everything loaded, and becomes each command by a fork.

What a process is to its user stays: its own memory, terminal or pipes, environment and exit. What was decided when the
interpreter started stays too, such as the encoding of its output: for another one another is started.
"""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OPERATOR = str(Path(__file__).parents[3] / "operator")
SECONDS = 60
MOST = 1 << 20

# Where the tests run in the background of a shell, SIGINT is ignored, and that is inherited.
WAITING = """
import gc, json, os, signal, socket, sys
gc.disable()
from serin.cli.app import main
import importlib.metadata, serin.cli.report.page, serin.cli.rehearse, serin.cluster.session, serin.serving.pods

# What is there already is looked through by none of them at its end.
gc.freeze()
gc.enable()

asked = socket.socket(fileno=int(sys.argv[1]))
while True:
    request, files, _, _ = socket.recv_fds(asked, 1 << 20, 3)
    if not request:
        os._exit(0)
    child = os.fork()
    if child == 0:
        break
    for file in files:
        os.close(file)
    asked.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
asked.close()
for number, file in enumerate(files):
    os.dup2(file, number)
    os.close(file)
arguments, environment = json.loads(request)
os.environ.clear()
os.environ.update(environment)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["serin", *arguments]
main()
"""


class Started:
    """Such a process, for commands on a terminal, or for those with pipes."""

    def __init__(self, *, terminal: bool = False, **environment: str) -> None:
        self._asks, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asks.settimeout(SECONDS)
        # Its own output, to which it writes nothing: what it is decides how commands write.
        self._beside, output = pty.openpty() if terminal else os.pipe()
        # Not the path of this process: pytest puts the folders of tests first, and a module there may be called like
        # one of the standard library.
        self._process = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(asked.fileno())],
            stdin=output if terminal else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": OPERATOR, **environment},
            pass_fds=[asked.fileno()],
        )
        asked.close()
        os.close(output)

    def end(self) -> None:
        """End it."""
        self._asks.close()
        self._process.wait(SECONDS)
        os.close(self._beside)

    def begin(self, arguments: tuple[str, ...], files: tuple[int, int, int], environment: Mapping[str, str]) -> None:
        """Become a command with this input, output and standard error, which are then only the command's."""
        request = json.dumps([arguments, dict(environment)]).encode()
        assert len(request) < MOST
        socket.send_fds(self._asks, [request], files)
        for file in set(files):
            os.close(file)

    def ended(self) -> int:
        """The exit code of that command, once it has ended."""
        told = self._asks.recv(64)
        assert told, "the process that waits has ended"
        return int(told)
