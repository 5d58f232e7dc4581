"""What all tests share: the figures that they tell at the end, and how they are dealt to processes."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_FIGURES = pytest.StashKey[list[str]]()
_FIGURE = "figure"

_SHARED = {
    "e2e/": "the real cluster",
    "tests/stack/": "the real cluster",
    "tests/integration/registry/": "servers of their own",
    "tests/integration/": "the API server",
    "tests/chart/": "servers of their own",
    "tests/cluster/": "servers of their own",
}
"""Folders whose tests share what is there once and takes long to make: one process runs them all, before others. The
first that a test is in counts."""


def _deal(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return next((shared for folder, shared in _SHARED.items() if file.startswith(folder)), file)


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _deal(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling | None:
    """By file, but for what is shared."""
    if config.getoption("dist") != "loadfile":
        return None
    # What takes longest is begun with, which is not what has the most tests.
    config.option.loadscopereorder = False
    return _Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest first, where others run meanwhile."""
    if hasattr(config, "workerinput"):
        order = ["the real cluster", "the API server", "servers of their own"]
        items.sort(key=lambda item: order.index(dealt) if (dealt := _deal(item.nodeid)) in order else len(order))


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
