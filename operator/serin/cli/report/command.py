"""``serin report``: one rollout as one page, to be read by people who were not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.exits import CommandError
from serin.cli.names import something
from serin.cli.reach import Where
from serin.cli.reach import read

STDOUT = "-"
# What -o means to the other commands, and to kubectl.
FORMATS = ("text", "json", "yaml")

File = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write; - is the standard output. By default NAME-VERSION.html.",
        callback=something,
    ),
]
Rollout = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="The one that ended, the newest is 1; by default the running one, or 1."),
]
Prometheus = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Prometheus with the figures; by default the operator's, by way of the API server."
    ),
]


def report(
    name: options.Name,
    namespace: options.Namespace = None,
    output: File = None,
    rollout: Rollout = None,
    prometheus: Prometheus = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Write a rollout as a page: what happened and why.

    The page is one file that needs nothing else: charts, tables, orders and events, for a screen, a phone or paper.
    What Prometheus does not tell is named on it.
    """
    if output in FORMATS:
        raise typer.BadParameter(
            f"it names the file of a page; serin history -o json has figures for machines. For a file of that name: "
            f"./{output}",
            param_hint="-o",
        )
    # Imported here: no other command needs them.
    from serin.cli.report.ask import ask
    from serin.cli.report.choose import choose
    from serin.cli.report.page import page
    from serin.cli.report.write import as_bytes
    from serin.cli.report.write import write

    where = Where(kubeconfig, context, namespace)
    session = where.session()
    seen = read(session, where.namespace_of(session), name)
    chosen = choose(seen, rollout)
    made = page(ask(session, seen, chosen, prometheus, times.now()))
    content = as_bytes(write(made))
    if output == STDOUT:
        typer.get_binary_stream("stdout").write(content)
        return
    file = Path(output or f"{seen.name}-{chosen.version}.html")
    try:
        file.write_bytes(content)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}", "Name another file with -o.") from error
    console = terminal.err()
    for gap in made.gaps:
        terminal.say(console, gap)
    terminal.out().print(f"{file}: {made.headline}", soft_wrap=True)
