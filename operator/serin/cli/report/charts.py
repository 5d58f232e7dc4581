"""One chart as SVG: stages as shades, values as lines, how sure they are as bands, what happened as numbered marks.

Drawn twice, for a wide and for a narrow page: text does not shrink with a drawing that has its own width. Built as a
tree, so that no text of others becomes markup. Colours are the style sheet's, by class.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from datetime import datetime
from xml.etree import ElementTree

from serin.cli.report.scale import Scale
from serin.cli.report.scale import decades
from serin.cli.report.scale import moments
from serin.cli.report.scale import nice
from serin.cli.seen import text as plain

WIDE, NARROW = 720, 340
HEIGHT = 220
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 40, 28
LETTER = 6.8
"""About the width of a letter."""
TICK = 74
"""The room that a label of time needs."""
MARK = 8

Element = ElementTree.Element
Points = Sequence[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time. ``parts``: between two of them nothing is drawn."""

    name: str
    look: str
    """Class of the style sheet: stable, candidate or limit."""
    parts: Sequence[Points]
    stepped: bool = False
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """Between which values something is, over time."""

    look: str
    parts: Sequence[Sequence[tuple[datetime, float, float]]]


@dataclass(frozen=True, slots=True)
class Shade:
    """A time that has a name, such as a step."""

    start: datetime
    end: datetime
    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment with the number that it has in the list of what happened."""

    at: datetime
    number: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn in one picture."""

    key: str
    """Unique on the page."""
    title: str
    description: str
    """What there is to see, for those who do not."""
    start: datetime
    end: datetime
    top: float
    """The greatest value that is shown."""
    label: Callable[[float], str]
    lines: Sequence[Line] = ()
    bands: Sequence[Band] = ()
    shades: Sequence[Shade] = ()
    marks: Sequence[Mark] = ()
    low: float = 0.0
    """With ``log`` the lowest value that is shown, above 0."""
    log: bool = False
    ticks: Sequence[float] = field(default_factory=tuple)
    """In place of ticks of its own."""


def draw(chart: Chart, width: int) -> str:
    """The chart as an ``svg`` element."""
    ticks = list(chart.ticks) or (decades(chart.low, chart.top) if chart.log else nice(chart.top))
    across = Scale(
        chart.start.timestamp(), max(chart.end.timestamp(), chart.start.timestamp() + 1.0), LEFT, width - RIGHT
    )
    up = Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP, log=chart.log)
    names = f"{chart.key}-{width}"
    root = Element(
        "svg",
        {
            "viewBox": f"0 0 {width} {HEIGHT}",
            "role": "img",
            "class": "wide" if width == WIDE else "narrow",
            "aria-labelledby": f"{names}-title {names}-desc",
        },
    )
    _add(root, "title", chart.title, id=f"{names}-title")
    _add(root, "desc", chart.description, id=f"{names}-desc")
    _shades(root, chart.shades, across)
    _axes(root, chart, ticks, across, up)
    for band in chart.bands:
        for part in band.parts:
            _area(root, f"band {band.look}", _thin(part, across), across, up)
    for line in chart.lines:
        _line(root, line, across, up)
    _marks(root, chart.marks, across)
    return ElementTree.tostring(root, encoding="unicode")


def _shades(root: Element, shades: Sequence[Shade], across: Scale) -> None:
    for index, shade in enumerate(shades):
        left, right = across(shade.start.timestamp()), across(shade.end.timestamp())
        _add(root, "rect", x=left, y=TOP, width=max(0.0, right - left), height=HEIGHT - BOTTOM - TOP,
             **{"class": f"shade shade-{index % 2}"})  # fmt: skip
        if right - left >= LETTER * len(shade.name) + 2:
            _add(root, "text", shade.name, x=(left + right) / 2, y=TOP - 6, **{"class": "shade-name"})


def _axes(root: Element, chart: Chart, ticks: Sequence[float], across: Scale, up: Scale) -> None:
    for tick in ticks:
        y = up(tick)
        _add(root, "path", d=f"M{_n(across.start)} {_n(y)}H{_n(across.end)}", **{"class": "grid"})
        _add(root, "text", chart.label(tick), x=LEFT - 6, y=y + 4, **{"class": "value"})
    base = HEIGHT - BOTTOM
    _add(root, "path", d=f"M{_n(across.start)} {base}H{_n(across.end)}", **{"class": "axis"})
    for at, label in moments(chart.start, chart.end, max(1, int((across.end - across.start) / TICK))):
        x = across(at.timestamp())
        # A label that would not be whole is left out; its tick stays.
        _add(root, "path", d=f"M{_n(x)} {base}V{base + 4}", **{"class": "axis"})
        half = LETTER * len(label) / 2
        if half <= x <= across.end + RIGHT - half:
            _add(root, "text", label, x=x, y=base + 18, **{"class": "time"})


def _line(root: Element, line: Line, across: Scale, up: Scale) -> None:
    for part in line.parts:
        # Steps are few, and two of them may be on one place.
        points = part if line.stepped else [(at, low) for at, low, _ in _thin([(*one, one[1]) for one in part], across)]
        if not points:
            continue
        places = [(across(at.timestamp()), up(value)) for at, value in points]
        path = _stepped(places) if line.stepped else "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
        if line.filled:
            floor = _n(up.start)
            area = f"{path}V{floor}H{_n(places[0][0])}Z"
            _add(root, "path", d=area, **{"class": f"area {line.look}"})
        _add(root, "path", d=path, **{"class": f"line {line.look}"})
        if len(places) == 1:
            _add(root, "circle", cx=places[0][0], cy=places[0][1], r=3, **{"class": f"dot {line.look}"})


def _stepped(places: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = places
    return f"M{_n(x)} {_n(y)}" + "".join(f"H{_n(x)}V{_n(y)}" for x, y in rest)


def _area(root: Element, look: str, part: Sequence[tuple[datetime, float, float]], across: Scale, up: Scale) -> None:
    if len(part) < 2:
        return
    xs = [across(at.timestamp()) for at, _, _ in part]
    upper = [f"{_n(x)} {_n(up(high))}" for x, (_, _, high) in zip(xs, part, strict=True)]
    lower = [f"{_n(x)} {_n(up(low))}" for x, (_, low, _) in zip(xs, part, strict=True)]
    _add(root, "path", d="M" + "L".join([*upper, *reversed(lower)]) + "Z", **{"class": look})


def _marks(root: Element, marks: Sequence[Mark], across: Scale) -> None:
    """A line each; those whose signs would lie on each other have one together."""
    groups: list[list[tuple[float, int]]] = []
    for mark in sorted(marks, key=lambda one: (one.at, one.number)):
        x = across(mark.at.timestamp())
        _add(root, "path", d=f"M{_n(x)} {TOP - 18}V{HEIGHT - BOTTOM}", **{"class": "mark"})
        if groups and x - groups[-1][-1][0] < 2 * MARK:
            groups[-1].append((x, mark.number))
        else:
            groups.append([(x, mark.number)])
    for group in groups:
        (left, first), (right, last) = group[0], group[-1]
        label = str(first) if first == last else f"{first}–{last}"  # noqa: RUF001 (a range)
        half = max(MARK, LETTER * len(label) / 2 + 3)
        x = min((left + right) / 2, across.end + RIGHT - half)
        sign = {"x": x - half, "y": TOP - 27 - MARK, "width": 2 * half, "height": 2 * MARK, "rx": MARK}
        _add(root, "rect", **sign, **{"class": "mark-sign"})
        _add(root, "text", label, x=x, y=TOP - 23, **{"class": "mark-number"})


def _thin(part: Sequence[tuple[datetime, float, float]], across: Scale) -> list[tuple[datetime, float, float]]:
    """One point a place: the first and the last of all, and of those on one place the highest."""
    if not part:
        return []
    return [part[0], *_highest(part[1:-1], across), *part[1:][-1:]]


def _highest(points: Sequence[tuple[datetime, float, float]], across: Scale) -> Iterator[tuple[datetime, float, float]]:
    kept: tuple[datetime, float, float] | None = None
    for point in points:
        same = kept is not None and int(across(kept[0].timestamp())) == int(across(point[0].timestamp()))
        if kept is not None and not same:
            yield kept
        if kept is None or not same or point[2] > kept[2]:
            kept = point
    if kept is not None:
        yield kept


def _add(parent: Element, tag: str, text: str = "", /, **attributes: str | float) -> None:
    child = ElementTree.SubElement(
        parent, tag, {name: value if isinstance(value, str) else _n(value) for name, value in attributes.items()}
    )
    if text:
        child.text = plain(text)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
