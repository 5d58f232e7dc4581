"""Where output goes: colours only on a terminal and never under NO_COLOR, texts of others taken as plain texts."""

from __future__ import annotations

import io
import json
import os
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
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def err() -> Console:
    """Standard error: errors, and what a person reads beside the output."""
    return Console(file=sys.stderr, markup=False, emoji=False, highlight=False)


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
        console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=UNBROKEN)
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
