"""Fixtures: the world, once a run, and for each test a room in it, often with a ModelDeployment that serves.

A model server takes its time to start. So what a test declares to begin with, by `@starting(...)`, is made while the
one before it runs. Scenarios of several processes run side by side, a few at a time, or alone where they are marked so.
"""

import re
import uuid
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import World
from e2e.scenarios.world import make_world
from e2e.scenarios.world import open_world
from e2e.turns import Turns

# KServe's names leave little room for that of a namespace.
_NAME_LENGTH = 16
_NEXT = pytest.StashKey[pytest.Item | None]()


@pytest.fixture(scope="session")
def world(turns: Turns) -> World:
    """The cluster with Serin. It stays up: the next run starts at once, and whoever looks for a failure finds it."""

    def make() -> None:
        with turns.taken(alone=True):
            make_world()

    turns.once("world", make)
    return open_world()


class _Ahead:
    """The rooms of tests that have not begun yet."""

    def __init__(self, world: World, turns: Turns) -> None:
        self._world, self._turns = world, turns
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._rooms: dict[str, Future[tuple[Room, Deployment | None]]] = {}

    def make(self, item: pytest.Item, *, alone: bool) -> None:
        """Begin to. `alone`: the scenario that runs has the cluster for itself, and this is its process' own."""
        self._rooms[item.nodeid] = self._worker.submit(self._furnished if alone else self._in_turn, item)

    def take(self, item: pytest.Item) -> tuple[Room, Deployment | None]:
        made = self._rooms.pop(item.nodeid, None)
        return made.result() if made else self._in_turn(item)

    def _in_turn(self, item: pytest.Item) -> tuple[Room, Deployment | None]:
        """Not while another process is alone."""
        with self._turns.nobody_alone():
            return self._furnished(item)

    def _furnished(self, item: pytest.Item) -> tuple[Room, Deployment | None]:
        """A namespace of the test's own, with what the test begins with."""
        slug = re.sub("[^a-z0-9]+", "-", item.name.removeprefix("test_"))[:_NAME_LENGTH].strip("-")
        room = Room(self._world, f"{slug}-{uuid.uuid4().hex[:4]}")
        start = item.get_closest_marker("starting")
        return room, room.deployment(**start.kwargs) if start else None

    def close(self) -> None:
        """Of a run that was ended: the rooms that nobody came for."""
        self._worker.shutdown()
        for made in self._rooms.values():
            made.result()[0].close()


_AHEAD = pytest.StashKey[_Ahead]()


@pytest.fixture(scope="session")
def ahead(request: pytest.FixtureRequest, world: World, turns: Turns) -> Iterator[_Ahead]:
    """Shared with the hook below, which makes rooms when there is a world to make them in."""
    made = request.config.stash[_AHEAD] = _Ahead(world, turns)
    yield made
    made.close()


@pytest.fixture
def furnished(ahead: _Ahead, request: pytest.FixtureRequest) -> Iterator[tuple[Room, Deployment | None]]:
    """The test's own namespace, and what it begins with."""
    made = ahead.take(request.node)
    yield made
    made[0].close()


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest, turns: Turns) -> Iterator[None]:
    """The test's turn on the cluster. After its room is made, which waits for a turn itself."""
    if request.node.get_closest_marker("cluster") is None:
        yield
        return
    for first in ("furnished", "world"):
        if first in request.fixturenames:
            request.getfixturevalue(first)
    with turns.taken(alone=request.node.get_closest_marker("alone") is not None):
        yield


@pytest.fixture
def room(furnished: tuple[Room, Deployment | None]) -> Room:
    """A namespace of the test's own."""
    return furnished[0]


@pytest.fixture
def ping(furnished: tuple[Room, Deployment | None], request: pytest.FixtureRequest) -> Deployment:
    """The ModelDeployment that the test begins with, serving: what `@starting(...)` says."""
    _, made = furnished
    assert made is not None, "the test does not say what it begins with: @starting(...)"
    start = request.node.get_closest_marker("starting").kwargs
    made.settled(start.get("alias") or start["version"])
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Remembers which test comes next."""
    item.stash[_NEXT] = nextitem
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Begins what the next test begins with."""
    following = item.stash[_NEXT]
    if following and following.get_closest_marker("starting") and not item.get_closest_marker("nothing_ahead"):
        ahead = item.config.stash.get(_AHEAD, None)
        if ahead:
            ahead.make(following, alone=item.get_closest_marker("alone") is not None)
    yield


def _world_of(item: pytest.Item) -> World | None:
    world = getattr(item, "funcargs", {}).get("world")
    return world if isinstance(world, World) else None


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
    if report.failed and (world := _world_of(item)):
        report.sections.append(("operator's log", world.operator_log()))
    return report
