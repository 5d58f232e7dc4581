"""The poll of a registry in virtual time: what it asks, what it tells, and how it bears an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from datetime import UTC
from datetime import datetime
from datetime import timedelta

import pytest
import pytest_asyncio

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.follow import Follower
from serin.registry.refusals import UnreachableError

START = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = RegistryError(Reason.REGISTRY_UNAVAILABLE, "down", transient=True)
GONE = RegistryError(Reason.MODEL_NOT_FOUND, "no such model", transient=False)


class World:
    """A registry, a clock and a sleep that lasts until the test says so."""

    host = "mlflow:5000"

    def __init__(self) -> None:
        self.models: dict[str, dict[str, int]] = {"iris": {"champion": 1}}
        self.error: Exception | None = None
        self.version_error: RegistryError | None = None
        self.asked: list[frozenset[str]] = []
        self.versions_asked = 0
        self.missing_asked: list[str] = []
        self.missing_error: RegistryError | None = None
        self.missing_gate: asyncio.Event | None = None
        self.missing_at_once = self.missing_most = 0
        self.gate: asyncio.Event | None = None
        self.changes: list[frozenset[str]] = []
        self.healths = 0
        self.time = START
        self.pauses: list[float] = []
        self._wake = asyncio.Event()
        self._asleep = asyncio.Event()

    async def listing(self, names: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
        wanted = frozenset(names)
        self.asked.append(wanted)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {name: dict(self.models[name]) for name in wanted & self.models.keys()}

    async def server_version(self) -> str:
        self.versions_asked += 1
        if self.version_error is not None:
            raise self.version_error
        return "3.17.2"

    async def missing(self, name: str) -> RegistryError:
        self.missing_asked.append(name)
        self.missing_at_once += 1
        self.missing_most = max(self.missing_most, self.missing_at_once)
        await (self.missing_gate.wait() if self.missing_gate else asyncio.sleep(0))
        self.missing_at_once -= 1
        if self.missing_error is not None:
            raise self.missing_error
        return GONE

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._asleep.set()
        await self._wake.wait()
        self._wake.clear()
        self.time += timedelta(seconds=seconds)

    async def polled(self) -> None:
        """Until the loop has polled and sleeps."""
        async with asyncio.timeout(5):
            await self._asleep.wait()

    async def next_poll(self) -> None:
        """Ends the sleep and waits for the next one."""
        await self.polled()
        self._asleep.clear()
        self._wake.set()
        await self.polled()

    def health(self) -> None:
        self.healths += 1


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def follower(world: World) -> Follower:
    return Follower(
        world,
        interval=30,
        on_change=world.changes.append,
        on_health=world.health,
        now=lambda: world.time,
        sleep=world.sleep,
        chance=lambda: 0.5,
    )


@pytest_asyncio.fixture
async def running(world: World, follower: Follower) -> AsyncIterator[Follower]:
    follower.watch(["iris"])
    task = asyncio.create_task(follower.run())
    await world.polled()
    yield follower
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_poll_at_rest_is_one_request_and_tells_nothing(world: World, running: Follower) -> None:
    assert world.healths == 1  # reachable for the first time
    for _ in range(10):
        await world.next_poll()
    assert len(world.asked) == 11
    assert world.versions_asked == 1
    assert (world.changes, world.healths) == ([], 1)
    assert set(world.pauses) == {30}
    assert running.server_version == "3.17.2"
    assert running.last_success == START + timedelta(seconds=300)


async def test_polls_drift_apart(world: World, follower: Follower) -> None:
    for chance, expected in ((0.0, 27.0), (1.0, 33.0)):
        follower._chance = lambda chance=chance: chance  # type: ignore[misc]
        assert follower._pause() == pytest.approx(expected)


async def test_without_anything_to_follow_it_still_asks_whether_it_is_let_in(world: World, running: Follower) -> None:
    running.watch([])
    await world.next_poll()
    assert world.asked[-1] == frozenset()
    assert await running.alias("iris", "champion") == 1


@pytest.mark.parametrize(
    "models",
    [
        {"iris": {"champion": 2}},
        {"iris": {"champion": 1, "next": 2}},
        {"iris": {}},
        {},
    ],
)
async def test_what_moved_is_told_once(world: World, running: Follower, models: dict[str, dict[str, int]]) -> None:
    world.models = models
    await world.next_poll()
    await world.next_poll()
    assert world.changes == [frozenset({"iris"})]


async def test_a_model_that_appears_is_told(world: World, running: Follower) -> None:
    running.watch(["iris", "later"])
    await world.next_poll()
    assert world.changes == []
    world.models["later"] = {}
    await world.next_poll()
    assert world.changes == [frozenset({"later"})]


async def test_a_known_alias_costs_no_request(world: World, running: Follower) -> None:
    for _ in range(100):
        assert await running.alias("iris", "champion") == 1
    assert len(world.asked) == 1


async def test_an_unknown_model_is_asked_for_at_once_and_followed_from_then_on(world: World, running: Follower) -> None:
    world.models["wine"] = {"champion": 7}
    assert await running.alias("wine", "champion") == 7
    assert world.asked[-1] == {"iris", "wine"}
    assert running.followed == {"iris", "wine"}
    assert world.changes == []


async def test_a_thousand_lookups_together_are_one_request(world: World, follower: Follower) -> None:
    world.models = {f"m{i}": {"champion": i} for i in range(1000)}
    follower.watch(world.models)
    assert await asyncio.gather(*(follower.alias(f"m{i}", "champion") for i in range(1000))) == list(range(1000))
    assert len(world.asked) == 1


async def test_a_lookup_during_a_poll_of_others_waits_for_the_next(world: World, follower: Follower) -> None:
    world.models["wine"] = {"champion": 7}
    world.gate = asyncio.Event()
    first = asyncio.create_task(follower.alias("iris", "champion"))
    async with asyncio.timeout(5):
        while not world.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    second = asyncio.create_task(follower.alias("wine", "champion"))
    await asyncio.sleep(0)
    world.gate.set()
    assert (await first, await second) == (1, 7)
    assert world.asked == [{"iris"}, {"iris", "wine"}]


async def test_a_waiter_that_goes_does_not_take_the_poll_along(world: World, follower: Follower) -> None:
    world.gate = asyncio.Event()
    impatient = asyncio.create_task(follower.alias("iris", "champion"))
    patient = asyncio.create_task(follower.alias("iris", "champion"))
    async with asyncio.timeout(5):
        while not world.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    world.gate.set()
    assert await patient == 1


async def test_a_lookup_while_the_follower_ends_is_an_error_and_no_cancellation(
    world: World, follower: Follower
) -> None:
    world.gate = asyncio.Event()
    await ended_within_a_lookup(follower, "iris", lambda: bool(world.asked))


async def ended_within_a_lookup(follower: Follower, name: str, asked: Callable[[], bool]) -> None:
    """The follower ends as soon as it has asked; what waits for it is told so."""
    loop = asyncio.create_task(follower.run())
    lookup = asyncio.create_task(follower.alias(name, "champion"))
    async with asyncio.timeout(5):
        while not asked():  # noqa: ASYNC110
            await asyncio.sleep(0)
    loop.cancel()
    with pytest.raises(RegistryError) as caught:
        await lookup
    assert (caught.value.reason, caught.value.transient) == (Reason.REGISTRY_UNAVAILABLE, True)


async def test_what_is_missing_has_its_reason(world: World, running: Follower) -> None:
    with pytest.raises(RegistryError, match="champion") as caught:
        await running.alias("iris", "nope")
    assert (caught.value.reason, caught.value.transient) == (Reason.ALIAS_NOT_FOUND, False)
    for _ in range(3):
        with pytest.raises(RegistryError) as caught:
            await running.alias("wine", "champion")
        assert caught.value.reason == Reason.MODEL_NOT_FOUND
    assert world.missing_asked == ["wine"]
    world.models["wine"] = {"champion": 3}
    await world.next_poll()
    assert world.changes == [frozenset({"wine"})]
    assert await running.alias("wine", "champion") == 3


HIDDEN = RegistryError(Reason.REGISTRY_REFUSED, "no READ", transient=False)


async def told_of(follower: Follower, *names: str) -> list[BaseException | int]:
    return await asyncio.gather(*(follower.alias(name, "champion") for name in names), return_exceptions=True)


async def test_many_models_that_are_hidden_are_asked_for_one_by_one(world: World, follower: Follower) -> None:
    """Or they would take the threads, and the time, of all that is asked beside them."""
    world.missing_error = HIDDEN
    names = [f"m{number}" for number in range(100)]
    follower.watch(names)
    found = await told_of(follower, *names, *names)
    assert {(type(one), str(one)) for one in found} == {(RegistryError, str(HIDDEN))}
    assert (world.missing_most, sorted(world.missing_asked)) == (1, sorted(names))


async def test_what_could_not_be_told_of_a_model_is_asked_for_once_a_poll(world: World, running: Follower) -> None:
    world.missing_error = HIDDEN
    for _ in range(100):
        with pytest.raises(RegistryError, match="no READ") as caught:
            await running.alias("wine", "champion")
    assert not caught.value.transient
    assert world.missing_asked == ["wine"]
    world.time += timedelta(seconds=30)
    world.missing_error = None
    with pytest.raises(RegistryError, match="no such model"):
        await running.alias("wine", "champion")
    assert world.missing_asked == ["wine", "wine"]


async def test_a_server_that_leaves_out_answers_is_not_asked_for_each_model(world: World, follower: Follower) -> None:
    world.missing_error = UnreachableError("did not answer within 10 s")
    names = [f"m{number}" for number in range(100)]
    follower.watch(names)
    found = await told_of(follower, *names)
    assert {str(one) for one in found} == {"did not answer within 10 s"}
    assert len(world.missing_asked) == 1


async def test_a_poll_goes_on_while_a_model_is_asked_for(world: World, running: Follower) -> None:
    world.missing_gate = asyncio.Event()
    asking = asyncio.create_task(told_of(running, "wine", "beer"))
    async with asyncio.timeout(5):
        while not world.missing_asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    world.models |= {"wine": {"champion": 3}, "beer": {"champion": 4}}
    await world.next_poll()
    assert await running.alias("wine", "champion") == 3
    world.missing_gate.set()
    # It was missing when they asked; of what is there by now nothing is kept.
    assert [type(one) for one in await asking] == [RegistryError, RegistryError]
    assert await told_of(running, "wine", "beer") == [3, 4]


async def test_a_follower_that_ends_asks_for_no_model_any_more(world: World, follower: Follower) -> None:
    world.missing_gate = asyncio.Event()
    await ended_within_a_lookup(follower, "wine", lambda: bool(world.missing_asked))


async def test_other_words_for_the_same_trouble_are_news(world: World, running: Follower) -> None:
    """Somebody mended the first one, and would be told to do it again for as long as the second one lasts."""
    world.error = DOWN
    for _ in range(3):
        await world.next_poll()
    told = world.healths
    world.error = RegistryError(Reason.REGISTRY_UNAVAILABLE, "down for another cause", transient=True)
    await world.next_poll()
    assert world.healths == told + 1
    await world.next_poll()
    assert world.healths == told + 1


async def test_one_failed_poll_is_not_an_outage(world: World, running: Follower) -> None:
    world.error = DOWN
    await world.next_poll()
    assert (running.failing_since, running.error) == (None, DOWN)
    world.error = None
    await world.next_poll()
    assert (running.failing_since, running.error) == (None, None)
    assert world.pauses == [30, 2, 30]


async def test_an_outage_since_its_first_failure(world: World, running: Follower) -> None:
    world.error = DOWN
    await world.next_poll()
    first = world.time
    await world.next_poll()
    assert running.failing_since == first
    assert await running.alias("iris", "champion") == 1  # what was known stays known
    told = world.healths
    await world.next_poll()
    assert world.healths == told
    world.error = RegistryError(Reason.REGISTRY_REFUSED, "login", transient=False)
    await world.next_poll()
    assert world.healths == told + 1  # another reason
    world.error = None
    await world.next_poll()
    assert running.failing_since is None
    assert world.versions_asked == 2  # it may be another server now
    assert world.healths == told + 2
    assert world.changes == []


async def test_the_back_off_ends_soon(world: World, running: Follower) -> None:
    world.error = DOWN
    for _ in range(40):
        await world.next_poll()
    assert world.pauses[:6] == [30, 2, 30, 60, 60, 60]
    assert max(world.pauses) == 60
    running._interval = 3600
    assert running._pause() == 300


async def test_during_an_outage_lookups_do_not_hammer(world: World, follower: Follower) -> None:
    world.error = DOWN
    for _ in range(100):
        with pytest.raises(RegistryError, match="down"):
            await follower.alias("iris", "champion")
    assert len(world.asked) == 1
    world.time += timedelta(seconds=6)
    world.error = None
    assert await follower.alias("iris", "champion") == 1
    assert len(world.asked) == 2


async def test_who_got_no_answer_is_told_when_there_is_one(world: World, follower: Follower) -> None:
    world.error = DOWN
    with pytest.raises(RegistryError):
        await follower.alias("iris", "champion")
    world.error = None
    task = asyncio.create_task(follower.run())
    await world.polled()
    assert world.changes == [frozenset({"iris"})]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_server_that_hides_its_version_is_no_outage(world: World, follower: Follower) -> None:
    world.version_error = DOWN
    assert await follower.alias("iris", "champion") == 1
    assert (follower.server_version, follower.error) == (None, None)


async def test_what_nobody_foresaw_ends_no_poll(world: World, running: Follower) -> None:
    """A task of which nobody looks at the end would leave the aliases as they were, and all would seem well."""
    world.error = ZeroDivisionError("a bug")
    await world.next_poll()
    await world.next_poll()
    assert running.failing_since == START + timedelta(seconds=30)
    assert "ZeroDivisionError" in str(running.error)
    world.error = None
    world.models["iris"] = {"champion": 2}
    await world.next_poll()
    assert running.error is None
    assert world.changes == [frozenset({"iris"})]
