"""The command line's process without its start: one waits with everything loaded, and becomes each command by a fork.

What a process is to its user stays: its own memory, terminal or pipes, environment and exit. What an interpreter
makes of its environment when it starts is made here: what it reads and writes by, with the encoding that is asked for.
"""

from __future__ import annotations

import json
import os
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
import atexit, gc, io, json, os, signal, socket, sys, threading
gc.disable()
from serin.cli.app import app, main
import importlib.metadata, serin.cli.report.page, serin.cli.rehearse, serin.cluster.session, serin.serving.pods
import typer.main

# Typer makes all commands anew in each process, which takes longer than most of them.
made = typer.main.get_command(app)
typer.main.get_command = lambda _: made

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


def stream(number, how, encoding):
    # As Python does it (Python/pylifecycle.c create_stdio).
    binary = open(number, how + "b", closefd=False)
    return io.TextIOWrapper(binary, encoding, newline=chr(10), line_buffering=binary.isatty())


encoding = environment.get("PYTHONIOENCODING", "utf-8")
sys.stdin, sys.stdout = stream(0, "r", encoding), stream(1, "w", encoding)
sys.stderr = stream(2, "w", encoding)
sys.stderr.reconfigure(errors="backslashreplace", line_buffering=True)
sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
os.environ.clear()
os.environ.update(environment)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["serin", *arguments]
try:
    main()
except SystemExit as ends:
    # As Python does it (Py_FinalizeEx, flush_std_files), but for freeing all that is loaded, which copies it before.
    code = ends.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    for one in (sys.stdout, sys.stderr):
        try:
            one.flush()
        except OSError as error:
            os.write(2, f"Exception ignored in: {one!r}: {error}".encode())
            code = 120
    os._exit(code)
"""


class Started:
    """Such a process."""

    def __init__(self) -> None:
        self._asks, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asks.settimeout(SECONDS)
        # Not the path of this process: pytest puts the folders of tests first, and a module there may be called like
        # one of the standard library.
        self._process = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(asked.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": OPERATOR},
            pass_fds=[asked.fileno()],
        )
        asked.close()

    def end(self) -> None:
        """End it."""
        self._asks.close()
        self._process.wait(SECONDS)

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
