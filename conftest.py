"""What all tests share: the figures that they tell at the end, and how they are dealt to processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from collections.abc import Generator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from e2e.turns import Turns

_FIGURES = pytest.StashKey[list[str]]()
_FIGURE = "figure"

_ORDER = {
    "tests/stack/test_stack_installed.py": "",
    "tests/integration/": "the API server",
    "tests/cluster/": "clusters of their own",
    "tests/integration/registry/": "MLflow servers",
    "e2e/scenarios/alone/": "alone on the real cluster",
    "tests/modelcheck/": "",
    "tests/chart/": "",
    "tests/": "",
    "e2e/scenarios/test_analysis.py": "",
    "e2e/scenarios/test_steps.py": "",
    "e2e/scenarios/test_orders.py": "",
    "e2e/scenarios/": "",
}
"""In which order processes take up what there is: what brings the real cluster up, what takes longest, and at last the
scenarios, the longest first, when nobody has the cluster for himself any more. Who shares what takes long to make is
named: one process runs them all. Of others each file is a piece of its own. The longest path counts."""


def _place(nodeid: str) -> str:
    return max((place for place in _ORDER if nodeid.startswith(place)), key=len, default="tests/")


def _deal(nodeid: str) -> str:
    return _ORDER[_place(nodeid)] or nodeid.partition("::")[0]


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _deal(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduling | None:
    """By file, but for what is shared."""
    if config.getoption("dist") != "loadfile":
        return None
    # Otherwise it would begin with what has the most tests.
    config.option.loadscopereorder = False
    return _Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In that order, where others run meanwhile."""
    if hasattr(config, "workerinput"):
        order = list(_ORDER)
        items.sort(key=lambda item: order.index(_place(item.nodeid)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: the garbage collector looks through it neither meanwhile nor later."""
    gc.disable()
    try:
        return (yield)
    finally:
        # What is left of collecting is freed before: a failure in that is told.
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Turns:
    """By which the processes of this run share the real cluster."""
    mine = tmp_path_factory.getbasetemp()
    return Turns(mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine)


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
