"""Fixtures: the world, once a session, and a room in it for each test."""

import re
import uuid
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator

import pytest

from e2e.scenarios.room import Room
from e2e.scenarios.world import World
from e2e.scenarios.world import make_world

# KServe's names leave little room for that of a namespace.
_NAME_LENGTH = 16


@pytest.fixture(scope="session")
def world() -> World:
    """The cluster with Serin. It stays up: the next run starts at once, and whoever looks for a failure finds it."""
    return make_world()


@pytest.fixture
def room(world: World, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A namespace of the test's own."""
    slug = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:_NAME_LENGTH].strip("-")
    made = Room(world, f"{slug}-{uuid.uuid4().hex[:4]}")
    yield made
    made.close()


@pytest.fixture
def measured(request: pytest.FixtureRequest, figure: Callable[[str], None]) -> Callable[[str, object], None]:
    """Notes what this test has measured, to be told at the end of the run."""

    def note(what: str, value: object) -> None:
        figure(f"{request.node.name}: {what}: {value}")

    return note


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the operator's last words."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if report.failed and isinstance(world, World):
        report.sections.append(("operator's log", world.operator_log()))
    return report
