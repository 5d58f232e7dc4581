"""``serin status``: one ModelDeployment on one screen, or a table of all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.exits import Exit
from serin.cli.names import plain_name
from serin.cli.pods import trouble
from serin.cli.reach import Where
from serin.cli.reach import explained
from serin.cli.reach import read
from serin.cli.screen import screen
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.cli.seen import whole

if TYPE_CHECKING:
    from serin.cluster.session import Session

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="Name of the ModelDeployment; without it a table of all.",
        autocompletion=options.completion.names,
        callback=plain_name,
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces, where no name is given.")]


# Less of a message, or of a name, tells nothing.
LEAST_MESSAGE = 12
LEAST_NAME = 10


def status(
    name: Name = None,
    namespace: options.Namespace = None,
    everywhere: All = False,
    output: options.Output = "text",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show what serves, what is on its way and what it waits for.

    Exit code 4 where somebody has to do something: the declared version was rolled back, failed or is suspended, or
    nobody is served. Without NAME: where that is so of any that is listed.

    -o json prints {"name", "namespace", "generation", "status"}, status as the API has it (docs/reference/api.md);
    without NAME a list of these.

    With kubectl alone: kubectl describe modeldeployment NAME -n NAMESPACE
    """
    machine = options.as_json(output)
    if name is not None and everywhere:
        raise typer.BadParameter("a name is looked up in one namespace: leave out -A, or the name")
    if namespace is not None and everywhere:
        raise typer.BadParameter("all namespaces or one: leave out -A, or -n")
    where = Where(kubeconfig, context, namespace)
    session = where.session()
    if name is None:
        inside = None if everywhere else where.namespace_of(session)
        listed = _all(session, inside, machine=machine)
        raise typer.Exit(max(map(code_of, listed), default=Exit.FINE))
    seen = read(session, where.namespace_of(session), name)
    if machine:
        terminal.machine(as_told(seen))
    else:
        terminal.out().print(screen(seen, times.now(), trouble(session, seen)))
    raise typer.Exit(code_of(seen))


def code_of(seen: Seen) -> Exit:
    """Stalled where somebody has to do something before the declared version serves, or any does."""
    failed = seen.current and (seen.phase == "Failed" or seen.fails_requests)
    return Exit.STALLED if failed or seen.verdict == "Failed" or seen.phase == "Suspended" else Exit.FINE


def as_told(seen: Seen) -> Json:
    """The stable form for machines."""
    return {
        "name": seen.name,
        "namespace": seen.namespace,
        "generation": seen.generation,
        "status": seen.status,
    }


def _all(session: Session, namespace: str | None, *, machine: bool) -> list[Seen]:
    place = "all namespaces" if namespace is None else f"namespace {namespace}"
    with explained(session, f"list ModelDeployments in {place}"):
        found = [Seen(body) for body in session.list(MODEL_DEPLOYMENT, namespace)]
    found.sort(key=lambda one: (one.namespace, one.name))
    if machine:
        terminal.machine([as_told(one) for one in found])
    elif not found:
        terminal.err().print(f"no ModelDeployments in {place}")
    else:
        terminal.table(partial(_table, found, everywhere=namespace is None))
    return found


def _table(found: list[Seen], *, everywhere: bool, width: int) -> Table:
    """Every column as wide as it is; the message takes what is left of the width, and where nothing is, names fold, as
    far as they stay names."""
    names = [*["NAMESPACE"] * everywhere, "NAME"]
    head = [*names, "STABLE", "CANDIDATE", "WEIGHT", "STEP", "PHASE"]
    rows = [[Text(one.namespace)] * everywhere + _cells(one) for one in found]
    widths = [max(len(title), *(len(row[at]) for row in rows)) for at, title in enumerate(head)]
    left = width - sum(widths) - terminal.GAP * len(head)
    folded = [min(wide, LEAST_NAME) if title in names else wide for title, wide in zip(head, widths, strict=True)]
    least = sum(folded) + terminal.GAP * (len(head) - 1)
    table = terminal.columns(width, least)
    for title in [*head, *["MESSAGE"] * (left >= LEAST_MESSAGE)]:
        if title in names:
            table.add_column(title, overflow="fold", min_width=len(title))
        else:
            table.add_column(title, no_wrap=True, overflow="ignore")
    for one, row in zip(found, rows, strict=True):
        message = Text(one.message)
        message.truncate(left, overflow="ellipsis")
        table.add_row(*row, *[message] * (left >= LEAST_MESSAGE))
    return table


def _cells(one: Seen) -> list[Text]:
    rollout = one.rollout
    return [
        Text(one.name),
        Text(one.stable.version if one.stable else "-"),
        Text(one.candidate.version if one.candidate else "-"),
        Text(f"{whole(rollout.get('weight'))} %" if rollout else "-"),
        Text(text(rollout.get("progress")) or "-"),
        terminal.phase(one.phase),
    ]
