"""Who answered, over time: one column for each second or so, each version a colour, from below in order of novelty.

Pure: from answers to lines of coloured characters. An eighth of a character is the least that is shown.
"""

import math
from collections import Counter
from collections.abc import Sequence

from rich.style import Style
from rich.text import Text

from e2e.traffic import Answer

COLOURS = {"v1": "#5b8dd6", "v2": "#3fa66b", "v3": "#e0a030"}
FAILED = "#e5484d"
_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8
_FROM_BELOW = ("v3", "v2", "v1", None)


def seconds_per_column(seconds: float, width: int) -> float:
    """So many that all of the time fits: 1, 1.5, 2 …"""
    return max(1.0, math.ceil(2 * seconds / width) / 2)


def chart(answers: Sequence[Answer], start: float, end: float, width: int, height: int) -> list[Text]:
    """`height` lines of at most `width` characters, highest first."""
    column_seconds = seconds_per_column(end - start, width)
    columns: list[Counter[str | None]] = [Counter() for _ in range(width)]
    for answer in answers:
        number = int((answer.sent - start) / column_seconds)
        if 0 <= number < width:
            columns[number][answer.version] += 1
    levels = [_levels(column, height * _EIGHTHS) for column in columns]
    return [_line(levels, row) for row in reversed(range(height))]


def _levels(column: Counter[str | None], top: int) -> list[tuple[int, str]]:
    """Up to which eighth each colour reaches, from below."""
    total, reached = column.total(), 0
    found: list[tuple[int, str]] = []
    for version in _FROM_BELOW:
        if count := column[version]:
            reached += count
            # What was there at all is seen, however little it was.
            level = max(round(top * reached / total), (found[-1][0] if found else 0) + 1)
            found.append((min(level, top), COLOURS.get(version, FAILED) if version else FAILED))
    return found


def _line(levels: Sequence[list[tuple[int, str]]], row: int) -> Text:
    line = Text()
    for column in levels:
        line.append(*_cell(column, row * _EIGHTHS))
    return line


def _cell(column: list[tuple[int, str]], bottom: int) -> tuple[str, Style]:
    """One character: the colour at its bottom up to where that ends, then the next one."""
    reaching = [(level, colour) for level, colour in column if level > bottom]
    if not reaching:
        return " ", Style.null()
    level, colour = reaching[0]
    if level >= bottom + _EIGHTHS:
        # A background fills the line's whole height, a full block only the font's.
        return " ", Style(bgcolor=colour)
    above = reaching[1][1] if len(reaching) > 1 else None
    return _BLOCKS[level - bottom], Style(color=colour, bgcolor=above)
