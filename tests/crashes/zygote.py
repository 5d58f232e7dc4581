"""Starts operators by forking, so that hundreds of real starts cost little: ``python -m tests.crashes.zygote``.

What an operator imports is imported here, once, and nothing is begun: no loop, no thread, no connection. A line of JSON
on standard input (``environment``, ``log``, ``mutant``) makes a child that goes on as ``python -m serin`` does, in a
process of its own; its process id is the answer. The child ends with this process.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any
from typing import NoReturn

import serin.__main__

# Imported by libraries only when they are first used; found as the difference of sys.modules before and after a run.
LATE = (
    "aiohttp.connector",
    "encodings.idna",
    "kopf._core.reactor.running",
    "kubernetes.aio.config",
    "stringprep",
)
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Fork once for every line, until there are no more."""
    for module in LATE:
        importlib.import_module(module)
    libc = ctypes.CDLL(None, use_errno=True)
    assert threading.active_count() == 1, threading.enumerate()
    # The kernel reaps: whoever waits for a child looks at it through a pidfd.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Without this the collector would write into every page, and so copy it.
    gc.collect()
    gc.freeze()
    while line := sys.stdin.readline():
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            _become(order)
        print(child, flush=True)


def _become(order: dict[str, Any]) -> NoReturn:
    """Be the operator."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(Path("/"))
        if order["mutant"]:
            module, _, name = order["mutant"].partition(":")
            getattr(importlib.import_module(module), name)()
        code = serin.__main__.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
