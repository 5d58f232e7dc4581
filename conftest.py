"""What all tests share: the figures that they tell at the end."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator

import pytest

_FIGURES = pytest.StashKey[list[str]]()
_FIGURE = "figure"


@pytest.fixture(scope="session")
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes a figure, to be told at the end of the run."""
    return request.config.stash.setdefault(_FIGURES, []).append


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Figures go with the report: it may be told in another process."""
    report = yield
    noted = item.config.stash.get(_FIGURES, [])
    report.user_properties += [(_FIGURE, one) for one in noted]
    noted.clear()
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was measured, whether its test passed or not."""
    reports = [one for found in terminalreporter.stats.values() for one in found if isinstance(one, pytest.TestReport)]
    figures = [text for report in reports for name, text in report.user_properties if name == _FIGURE]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.line(str(text))
