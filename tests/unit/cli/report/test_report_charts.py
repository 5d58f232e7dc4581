"""The drawing: whatever is drawn is whole, in its frame, and says in words what it shows."""

from __future__ import annotations

import re
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from serin.cli.report.charts import HEIGHT
from serin.cli.report.charts import LETTER
from serin.cli.report.charts import NARROW
from serin.cli.report.charts import WIDE
from serin.cli.report.charts import Band
from serin.cli.report.charts import Chart
from serin.cli.report.charts import Line
from serin.cli.report.charts import Mark
from serin.cli.report.charts import Shade
from serin.cli.report.charts import draw

START = datetime(2026, 11, 20, 21, 2, 5, tzinfo=UTC)
VALUES = st.floats(allow_nan=True, allow_infinity=True)
# Also outside of what is shown.
MOMENTS = st.floats(-4000, 12000).map(lambda second: START + timedelta(seconds=second))
POINTS = st.lists(st.tuples(MOMENTS, VALUES), max_size=40).map(lambda points: sorted(points, key=lambda one: one[0]))


@st.composite
def charts(make: st.DrawFn) -> Chart:
    log, began = make(st.booleans()), make(MOMENTS)
    bands = st.lists(st.lists(st.tuples(MOMENTS, VALUES, VALUES), max_size=20), max_size=2)
    return Chart(
        key="k",
        title=make(st.text(max_size=30)),
        description=make(st.text(max_size=30)),
        start=START,
        end=START + timedelta(seconds=make(st.floats(0, 7200))),
        top=make(st.floats(1, 1e6)) if log else make(VALUES),
        label=lambda value: f"{value:g}",
        lines=[
            Line("one", "stable", make(st.lists(POINTS, max_size=3)), stepped=make(st.booleans()), filled=True),
            Line("two", "candidate", make(st.lists(POINTS, max_size=3))),
        ],
        bands=[Band("candidate", make(bands))],
        shades=[Shade(began, began + timedelta(seconds=make(st.floats(0, 9000))), make(st.text(max_size=8)))],
        marks=[Mark(make(MOMENTS), number) for number in range(1, make(st.integers(1, 6)))],
        low=1e-3 if log else 0.0,
        log=log,
    )


@settings(max_examples=150, deadline=None)
@given(chart=charts(), width=st.sampled_from((WIDE, NARROW)))
def test_everything_is_inside_its_frame(chart: Chart, width: int) -> None:
    root = ElementTree.fromstring(draw(chart, width))  # noqa: S314 (our own)
    assert root.attrib["viewBox"] == f"0 0 {width} {HEIGHT}"
    for element in root:
        for x, y in places(element):
            assert -0.1 <= x <= width + 0.1, ElementTree.tostring(element)
            assert -0.1 <= y <= HEIGHT + 0.1, ElementTree.tostring(element)


def places(element: ElementTree.Element) -> list[tuple[float, float]]:
    """Every place that an element touches. A number that is none is an error here."""
    at = {
        name: float(element.attrib[name])
        for name in ("x", "y", "width", "height", "cx", "cy", "r")
        if name in element.attrib
    }
    if element.tag == "path":
        return path(element.attrib["d"])
    if element.tag == "rect":
        return [(at["x"], at["y"]), (at["x"] + at["width"], at["y"] + at["height"])]
    if element.tag == "circle":
        return [(at["cx"] - at["r"], at["cy"] - at["r"]), (at["cx"] + at["r"], at["cy"] + at["r"])]
    if element.tag == "text" and element.attrib["class"] == "time":
        half = LETTER * len(element.text or "") / 2
        return [(at["x"] - half, at["y"]), (at["x"] + half, at["y"])]
    return [(at["x"], at["y"])] if element.tag == "text" else []


def path(d: str) -> list[tuple[float, float]]:
    assert re.fullmatch(r"([MLHV]-?[0-9.]+( -?[0-9.]+)?|Z)+", d), d
    found, x, y = [], 0.0, 0.0
    for command, numbers in re.findall(r"([MLHV])([-0-9. ]+)", d):
        values = [float(one) for one in numbers.split()]
        if command in "ML":
            x, y = values
        elif command == "H":
            (x,) = values
        else:
            (y,) = values
        found.append((x, y))
    return found


def chart(**fields: object) -> Chart:
    known: dict[str, object] = {
        "key": "k",
        "title": "t",
        "description": "d",
        "start": START,
        "end": START + timedelta(hours=1),
        "top": 100.0,
        "label": lambda value: f"{value:g}",
    }
    return Chart(**{**known, **fields})  # type: ignore[arg-type]


def test_it_says_what_it_shows() -> None:
    root = ElementTree.fromstring(draw(chart(title="Share <of> v13", description='"5 %" & more'), WIDE))  # noqa: S314
    named = root.attrib["aria-labelledby"].split()
    words = {one.attrib["id"]: one.text for one in root if "id" in one.attrib}
    assert root.attrib["role"] == "img"
    assert [words[one] for one in named] == ["Share <of> v13", '"5 %" & more']


def test_a_step_that_ends_where_the_next_begins_is_drawn_to_its_new_value() -> None:
    at = [START + timedelta(minutes=minutes) for minutes in (0, 30, 30, 60)]
    drawn = draw(chart(lines=[Line("s", "stable", [list(zip(at, (50, 50, 0, 0), strict=True))], stepped=True)]), WIDE)
    line = next(one for one in ElementTree.fromstring(drawn) if one.attrib.get("class") == "line stable")  # noqa: S314
    (_, high), *_, (_, low) = path(line.attrib["d"])
    assert low == HEIGHT - 28
    assert high < low


@pytest.mark.parametrize(("minutes", "labels"), [((10, 40), ["1", "2"]), ((10, 11), ["1–2"])])  # noqa: RUF001
def test_marks_that_would_lie_on_each_other_have_one_sign(minutes: tuple[int, int], labels: list[str]) -> None:
    marks = [Mark(START + timedelta(minutes=minute), number) for number, minute in enumerate(minutes, 1)]
    root = ElementTree.fromstring(draw(chart(marks=marks), NARROW))  # noqa: S314
    assert [one.text for one in root if one.attrib.get("class") == "mark-number"] == labels
    assert sum(one.attrib.get("class") == "mark" for one in root) == 2


def test_many_points_become_as_many_as_there_are_places_and_the_peak_stays() -> None:
    points = [(START + timedelta(seconds=second), 90.0 if second == 1234 else 10.0) for second in range(3600)]
    root = ElementTree.fromstring(draw(chart(lines=[Line("l", "candidate", [points])]), WIDE))  # noqa: S314
    line = next(one for one in root if one.attrib.get("class") == "line candidate")
    drawn = path(line.attrib["d"])
    assert len(drawn) < WIDE
    assert min(y for _, y in drawn) < 60
