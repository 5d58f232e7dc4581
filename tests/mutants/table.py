"""The table of what the tests let pass, with the reasons, which people write into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutate import Mutant
from tests.mutants.records import PASSED
from tests.mutants.records import TYPED
from tests.mutants.records import Records

Place = tuple[str, str, str]
Reasons = dict[Place, str]
NONE = "?"


def table(every: Sequence[Mutant], records: Records, reasons: Reasons) -> str:
    """The whole page."""
    passed = [one for one in every if records.last(one) in PASSED]
    typed = sum(records.last(one) == TYPED for one in every)
    open_ones = without_reason(passed, reasons)
    caught = len(every) - len(passed)
    lines = [
        "# Mutants of the core",
        "",
        "`make mutants` makes small mistakes in `operator/serin/rollout/`, one at a time. The unit tests that run its",
        "line meet each of them; what they let pass meets the type checker, the model check in small and the random",
        "histories. It tries a sample; `make mutants ARGS='--sample 0'` tries them all and writes this page.",
        "A mutant that was caught once counts as caught for as long as its function stays the same; `--anew` tries all"
        " again.",
        "",
        f"Of all {len(every):,} mutants {caught:,} ({caught / len(every):.1%}) were caught, {typed:,} of them by the",
        "type checker, where the unit tests that catch most had let them pass. "
        f"{len(passed) - len(open_ones):,} others harm nobody, {len(open_ones):,} are open.",
        "",
        "| module | mutants | caught | harmless | open |",
        "| --- | ---: | ---: | ---: | ---: |",
        *_by_module(every, passed, open_ones),
    ]
    if passed:
        lines += ["", "| where | mistake | becomes | why nobody notices |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join((*_place(one), reasons.get(_place(one), NONE))) + " |" for one in passed]
    return "\n".join(lines) + "\n"


def _by_module(every: Sequence[Mutant], passed: Sequence[Mutant], open_ones: Sequence[Mutant]) -> list[str]:
    made, missed, left = (Counter(one.module for one in some) for some in (every, passed, open_ones))
    return [
        f"| {name}.py | {made[name]} | {made[name] - missed[name]} | {missed[name] - left[name]} | {left[name]} |"
        for name in sorted(made)
    ]


def explained(path: Path) -> Reasons:
    """The reasons that stand in the table already."""
    found: Reasons = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        cells = [cell.strip().replace("\0", "\\|") for cell in line.replace("\\|", "\0").split("|")[1:-1]]
        if len(cells) == 4 and cells[1].startswith("`") and cells[3] != NONE:
            where, was, becomes, why = cells
            found[where, was, becomes] = why
    return found


def without_reason(passed: Sequence[Mutant], reasons: Reasons) -> list[Mutant]:
    """Those that nobody has explained."""
    return [one for one in passed if _place(one) not in reasons]


def _place(one: Mutant) -> Place:
    return one.place, _code(one.was), _code(one.becomes)


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else "-"
