"""``serin watch``: the screen of ``serin status`` that stays up to date; where it cannot, one line a change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Annotated

import typer
from rich.console import Group
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.exits import CommandError
from serin.cli.exits import Exit
from serin.cli.follow import Away
from serin.cli.follow import Deadline
from serin.cli.follow import follow
from serin.cli.pods import trouble
from serin.cli.reach import Where
from serin.cli.reach import read
from serin.cli.screen import screen
from serin.cli.screen import traffic
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.cli.status import as_told
from serin.cli.status import code_of

if TYPE_CHECKING:
    from serin.cluster.session import Session

SETTLED = "settled"

Until = Annotated[
    str | None,
    typer.Option(
        help="settled: end when the declared version has all traffic (exit code 0) or is stuck until somebody acts "
        "(4). What passes by itself does not end it (a registry that is away, replicas that are not ready), nor does "
        "waiting for approval, or a pause that somebody ordered.",
        metavar=SETTLED,
        autocompletion=options.completion.one_of(SETTLED),
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(help="End after this long, such as 90s or 30m; with --until by exit code 5.", metavar="DURATION"),
]


def watch(
    name: options.Name,
    namespace: options.Namespace = None,
    until: Until = None,
    timeout: Timeout = None,
    output: options.Output = "text",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show the same as it changes; in a pipe a line a change.

    -o json prints a line a change, each as serin status NAME -o json has it, or {"name", "namespace", "error"} while
    the API server does not answer.

    In a script: kubectl apply -f fraud.yaml && serin watch fraud --until settled --timeout 30m

    With kubectl alone: kubectl get modeldeployment NAME -n NAMESPACE --watch
    """
    if until not in (None, SETTLED):
        raise typer.BadParameter("choose settled, or leave it out", param_hint="--until")
    machine = options.as_json(output)
    deadline = Deadline(options.seconds(timeout, "--timeout"))
    where = Where(kubeconfig, context, namespace)
    session = where.session()
    seen = read(session, where.namespace_of(session), name)
    changes = follow(session, seen, deadline)
    if machine or not terminal.redraws(terminal.out()):
        last = _lines(changes, as_json(seen) if machine else in_words(), settled_ends=until is not None)
    else:
        last = _live(session, changes, settled_ends=until is not None)
    if until is None:
        return
    if _settled(last):
        raise typer.Exit(code_of(last))
    raise CommandError(
        f"{name} is {last.phase} after {timeout}: {last.message}",
        f"serin why {name} -n {last.namespace} tells what would change that.",
        code=Exit.TIMED_OUT,
    )


def _settled(seen: Seen) -> bool:
    """Whether waiting is over: everything is as declared, or nothing will change by itself."""
    return seen.verdict in ("Current", "Failed") or (seen.current and seen.phase == "Suspended")


def _lines(changes: Iterator[Seen | Away], write: Callable[[Seen | Away], None], *, settled_ends: bool) -> Seen:
    """One line for each change."""
    last = None
    for change in changes:
        write(change)
        if isinstance(change, Seen):
            last = change
        if last is not None and settled_ends and _settled(last):
            break
    return _known(last)


def in_words() -> Callable[[Seen | Away], None]:
    """Writes those changes that a person would notice."""
    told = ""

    def write(change: Seen | Away) -> None:
        nonlocal told
        line = f"no answer: {change.reason}" if isinstance(change, Away) else line_of(change)
        if line != told:
            sys.stdout.write(f"{times.now().strftime('%Y-%m-%dT%H:%M:%SZ')} {line}\n")
            sys.stdout.flush()
            told = line

    return write


def as_json(watched: Seen) -> Callable[[Seen | Away], None]:
    """Writes every change of the status for machines."""
    told: Json = {}

    def write(change: Seen | Away) -> None:
        nonlocal told
        away = {"name": watched.name, "namespace": watched.namespace}
        line = {**away, "error": change.reason} if isinstance(change, Away) else as_told(change)
        if line != told:
            terminal.machine(line, line=True)
            told = line

    return write


def line_of(seen: Seen) -> str:
    """The state in one line."""
    progress = f" {text(seen.rollout.get('progress'))}" if seen.rollout else ""
    pending = "" if seen.current else " (of an earlier generation)"
    return f"{seen.name} {seen.phase}{progress}{pending} | {traffic(seen)} | {seen.message}"


def _live(session: Session, changes: Iterator[Seen | Away], *, settled_ends: bool) -> Seen:
    """The screen, drawn anew each second, so that what is in 4m is soon in 3m."""
    last: Seen | None = None
    complaints: list[str] = []
    note = ""

    def picture() -> RenderableType:
        if last is None:
            return Text()
        hint = Text(note or "Ctrl-C ends this; the rollout goes on", "yellow" if note else "dim")
        return Group(screen(last, times.now(), complaints), Text(), hint)

    with Live(
        get_renderable=picture, console=terminal.out(), refresh_per_second=1, vertical_overflow="ellipsis"
    ) as view:
        for change in changes:
            if isinstance(change, Away):
                note = f"no answer, trying again: {change.reason}"
            else:
                complaints = trouble(session, change)
                last, note = change, ""
            # Not with the next second: it may be over by then.
            view.refresh()
            if last is not None and settled_ends and _settled(last):
                break
    return _known(last)


def _known(last: Seen | None) -> Seen:
    if last is None:
        raise RuntimeError("a watch begins with the state that is known (this is a bug, please report it)")
    return last
