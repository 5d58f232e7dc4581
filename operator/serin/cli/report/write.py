"""The page as one HTML file: nothing in it comes from elsewhere, and nothing in it runs."""

from __future__ import annotations

from functools import partial
from importlib.resources import files

from jinja2 import Environment
from jinja2 import FunctionLoader
from jinja2 import StrictUndefined
from markupsafe import Markup

from serin.cli.report.canvas import clock
from serin.cli.report.canvas import dated
from serin.cli.report.charts import NARROW
from serin.cli.report.charts import WIDE
from serin.cli.report.charts import Chart
from serin.cli.report.charts import draw
from serin.cli.report.page import Page
from serin.cli.seen import text

TEMPLATE = "page.html.j2"
STYLE = "style.css"


def write(page: Page) -> str:
    """The file's content."""
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_plain,
    )  # fmt: skip
    environment.filters |= {"clock": clock, "dated": dated, "drawn": _drawn}
    style = Markup(_file(STYLE))  # noqa: S704 (ours)
    return environment.get_template(TEMPLATE).render(page=page, style=style, widths=(WIDE, NARROW))


def _drawn(chart: Chart, width: int) -> Markup:
    # Built as a tree by charts.draw, which escapes every text.
    return Markup(draw(chart, width))  # noqa: S704


def _plain(value: object) -> object:
    """Control characters end a file for some readers; what is markup by intention has none. A number keeps its sign."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return text(value).replace(" %", "\N{NO-BREAK SPACE}%")


def _file(name: str) -> str:
    return files("serin.cli.report").joinpath(name).read_text(encoding="utf-8")


as_bytes = partial(str.encode, encoding="utf-8", errors="replace")
"""The file; half of a surrogate pair, which JSON may carry, is a question mark."""
