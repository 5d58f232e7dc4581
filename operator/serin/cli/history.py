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
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("ENDED", "VERSION", "OUTCOME", "TOOK"):
        table.add_column(column, no_wrap=True)
    # On a terminal the reason may take more than a line: it is what people come for.
    table.add_column("WHY", overflow="fold", max_width=width)
    for entry in seen.history:
        table.add_row(*_row(entry))
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
