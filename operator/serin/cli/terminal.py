"""Where output goes: colours on a terminal or by FORCE_COLOR, never under NO_COLOR; texts of others are plain texts."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Protocol
from typing import TextIO

from rich.console import Console
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from serin.cli.exits import CommandError

# A table in a pipe is for grep and awk: no row is broken.
UNBROKEN = 10_000
GAP = 2
"""Between two columns."""
# Into no columns at all rich writes nothing, into a billion it fills the memory.
SIZES = ("COLUMNS", "LINES")
SIZE = re.compile(r"0*[1-9][0-9]{0,3}")

STYLES = {
    "Healthy": "green",
    "Suspended": "yellow",
    "AwaitingApproval": "yellow",
    "Paused": "yellow",
    "RollingBack": "red",
    "RolledBack": "red",
    "Failed": "red",
    "Terminating": "dim",
}
"""Styles of phases; any other is on its way."""
UNDER_WAY = "cyan"


def out() -> Console:
    """Standard output. Neither markup nor highlighting: brackets in a message are brackets."""
    return _console(sys.stdout)


def err() -> Console:
    """Standard error: errors, and what a person reads beside the output."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    """Nothing but a terminal is one. To rich FORCE_COLOR, which CI often sets, makes one of any pipe, with a width and
    a cursor, and so does TTY_COMPATIBLE; by its convention (https://force-color.org) it is about colours alone."""
    shown = stream.isatty()
    forced = bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=shown,
        force_interactive=None if shown else False,
        color_system="standard" if forced else "auto",
        _environ={name: value for name, value in os.environ.items() if name not in SIZES or SIZE.fullmatch(value)},
    )


def redraws(console: Console) -> bool:
    """Whether a screen can be drawn over the one before. A dumb terminal would get nothing until the end."""
    return console.is_interactive and not console.is_dumb_terminal


def machine(value: object, *, line: bool = False) -> None:
    """JSON, on one line where others follow."""
    sys.stdout.write(json.dumps(value, indent=None if line else 2, ensure_ascii=not any_letter()) + "\n")
    sys.stdout.flush()


def any_letter() -> bool:
    """Whether the output's encoding has every letter there is."""
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def bear_any_output() -> None:
    """A letter that the output cannot show is a question mark there, and no end. Nor is an output that was closed by
    whoever called (``>&-``), where Python has none: a connection would be opened in its place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def give_up_output() -> None:
    """What could not be written is not tried again at the end."""
    sys.stdout = _nowhere()


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


class Rows(Protocol):
    """Makes a table for a width."""

    def __call__(self, *, width: int) -> RenderableType:
        """The table."""
        ...


def table(rows: Rows) -> None:
    """A table: fitted to a terminal; in a pipe no row is broken or cut. One that is wider than the terminal all the
    same is the terminal's to wrap: rich would leave out whole columns, names and reasons first."""
    console = out()
    if not console.is_terminal:
        console.width = UNBROKEN
    console.print(rows(width=console.width), crop=False)


def columns(width: int, least: int) -> Table:
    """A table without lines, at least so wide that its columns say something."""
    wide = least if least > width else None
    return Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", width=wide)


def phase(word: str) -> Text:
    """A phase in its colour."""
    return Text(word, STYLES.get(word, UNDER_WAY))


def say(console: Console, sentence: str | Text) -> None:
    """A sentence: wrapped for a terminal, and one line in a pipe."""
    console.print(sentence, soft_wrap=not console.is_terminal)


def tell(stop: CommandError) -> None:
    """Say why a command ends."""
    console = err()
    say(console, Text.assemble(("error: ", "bold red"), stop.message))
    if stop.remedy:
        say(console, Text(stop.remedy))
