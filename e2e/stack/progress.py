"""Run a long command with its output in a log file and a sign of life on the terminal.

The lowest module of the stack half: it knows nothing of images or clusters.
"""

import subprocess
import threading
import time
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

_HEARTBEAT_SECONDS = 15.0
_TAIL_LINES = 25


class StackError(RuntimeError):
    """Something of the stack cannot be had; the message names it, the reason and, where there is one, the remedy."""


class CommandFailedError(StackError):
    """A command ended with an error; the message has the end of its output."""


def say(message: str) -> None:
    """One line for the person who waits."""
    print(f"stack: {message}", flush=True)


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run_logged(
    argv: Sequence[str | Path],
    *,
    what: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run `argv` to its end, appending its output to `log`.

    A silent four minutes looks like a hang, so a line with the elapsed time and the last output is printed every few
    seconds.

    Raises:
        CommandFailedError: with `what`, the exit code and the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # Not the umask of the caller: what is installed and what gets into images is read by other users.
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd, umask=0o022)
        with _Heartbeat(what, lambda: tail(log, 1)):
            code = process.wait()
    if code != 0:
        raise CommandFailedError(f"{what} failed with exit code {code}; the end of {log}:\n{tail(log)}")


class _Heartbeat:
    """Prints how long something has been going on, from a thread, until the block is left."""

    def __init__(self, what: str, detail: Callable[[], str]) -> None:
        self._what = what
        self._detail = detail
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        start = time.monotonic()
        while not self._over.wait(_HEARTBEAT_SECONDS):
            say(f"{self._what}: {time.monotonic() - start:.0f} s so far: {self._detail()[:120]}")
