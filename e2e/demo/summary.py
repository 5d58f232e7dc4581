"""The end of the demonstration: shares declared and counted, then every claim with a yes or a no."""

from collections.abc import Sequence

from rich.console import Group
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from e2e.demo.claims import Claim
from e2e.demo.claims import Stretch

_YES, _NO = ("✓", "bold green"), ("✗", "bold red")


def summary(rows: Sequence[Stretch], found: Sequence[Claim], width: int) -> RenderableType:
    """Both, one beneath the other."""
    return Group(Text(), _table(rows, width), Text(), _list(found, width))


def _table(rows: Sequence[Stretch], width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, width=width)
    for name in ("", "declared", "counted", "expected (99.9 %)", "requests"):
        table.add_column(name, justify="right" if name else "left")
    table.add_column("")
    for row in rows:
        low, high = row.share.interval
        share = row.share
        table.add_row(
            row.name,
            f"{row.version} {share.weight} %",
            f"{share.percent:.1f} %" if share.total else "-",
            f"{low:.1f} to {high:.1f} %" if low != high else f"{low:.0f} %",
            f"{share.count:,} of {share.total:,}",
            Text("inside", "green") if share.fits else Text("OUTSIDE", "bold red"),
        )
    return table


def _list(found: Sequence[Claim], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.width = width
    for claim in found:
        table.add_row(Text(*(_YES if claim.holds else _NO)), Text(claim.text))
    return table
