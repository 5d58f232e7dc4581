"""``serin history``: the rollouts that ended, newest first."""

from __future__ import annotations

from functools import partial

from rich.table import Table
from rich.text import Text

from serin.cli import options
from serin.cli import terminal
from serin.cli import times
from serin.cli.reach import Where
from serin.cli.reach import read
from serin.cli.seen import Json
from serin.cli.seen import Seen
from serin.cli.seen import text

# Less of a reason in a line is harder to read than what a terminal wraps.
LEAST_WHY = 20

STYLES = {"Promoted": "green", "RolledBack": "red", "Aborted": "red", "Undone": "yellow"}


def history(
    name: options.Name,
    namespace: options.Namespace = None,
    output: options.Output = "text",
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List the rollouts that ended: when, how and why.

    The last ten are kept.

    -o json prints status.history as the API has it.

    With kubectl alone: kubectl get modeldeployment NAME -n NAMESPACE -o jsonpath='{.status.history}'
    """
    machine = options.as_json(output)
    where = Where(kubeconfig, context, namespace)
    session = where.session()
    seen = read(session, where.namespace_of(session), name)
    if machine:
        terminal.machine(seen.history)
    elif not seen.history:
        terminal.err().print(f"no rollout of {name} has ended yet")
    else:
        terminal.table(partial(_table, seen))


def _table(seen: Seen, *, width: int) -> Table:
    head = ("ENDED", "VERSION", "OUTCOME", "TOOK")
    rows = [_row(entry) for entry in seen.history]
    widths = [max(len(title), *(len(row[at]) for row in rows)) for at, title in enumerate(head)]
    table = terminal.columns(width, sum(widths) + terminal.GAP * len(head) + LEAST_WHY)
    for column in head:
        table.add_column(column, no_wrap=True)
    # On a terminal the reason may take more than a line: it is what people come for.
    table.add_column("WHY", overflow="fold", max_width=width)
    for row in rows:
        table.add_row(*row)
    return table


def _row(entry: Json) -> list[Text]:
    started, ended = times.parse(entry.get("startedAt")), times.parse(entry.get("endedAt"))
    outcome = text(entry.get("outcome"))
    why = ": ".join(part for part in (text(entry.get("reason")), text(entry.get("message"))) if part)
    return [
        Text(ended.strftime("%Y-%m-%d %H:%M:%SZ") if ended else "?"),
        Text(text(entry.get("version"))),
        Text(outcome, STYLES.get(outcome, "")),
        Text(times.length(ended - started) if started and ended else "?"),
        Text(why),
    ]
