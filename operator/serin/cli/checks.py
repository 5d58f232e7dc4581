"""What the checks say of the candidate: one line a check, and what is needed before it can pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from serin.cli import times
from serin.cli.seen import Check
from serin.cli.seen import Seen

STYLES = {"Pass": "green", "Fail": "red", "Error": "red", "Inconclusive": "yellow"}
# Afterwards the last verdicts stay in the status; they are of interest only where they took a candidate back.
TAKEN_BACK = frozenset({"RollingBack", "RolledBack"})


def check_lines(seen: Seen, now: datetime) -> Iterator[Text]:
    """The checks of the candidate, or of the one that was just taken back."""
    if not seen.rollout and seen.phase not in TAKEN_BACK:
        return
    for check in seen.checks:
        decides = ", decides nothing" if check.dry_run else ""
        head = Text.assemble(f"{check.name} ", (check.verdict, STYLES.get(check.verdict, "")), decides)
        told = "; ".join(part for part in (check.message, *_needs(check, now)) if part)
        yield head.append(f": {told}" if told else "")


def _needs(check: Check, now: datetime) -> Iterator[str]:
    if check.evidence is not None:
        weighed, limit = check.evidence
        yield f"evidence against it {weighed:.3g} of {limit:.3g}"
    if check.enough_at is not None and check.enough_at > now:
        yield f"enough requests {times.when(check.enough_at, now)}"
