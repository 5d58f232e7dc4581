"""Resolution: each version is asked for once, failures do not hammer, places are judged anew."""

from __future__ import annotations

import asyncio

import pytest

from serin.api.modeldeployment import Model
from serin.api.modelregistry import Artifacts
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.errors import RegistryError
from serin.registry.facts import VersionFacts
from serin.registry.refusals import UnreachableError
from serin.registry.resolve import Resolver

ANY = Artifacts()
GONE = RegistryError(Reason.VERSION_NOT_FOUND, "no such version", transient=False)


class World:
    """A registry with every version of every model, its aliases, and a clock."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.error: RegistryError | None = None
        self.aliases: dict[str, int] = {"champion": 3}
        self.gate: asyncio.Event | None = None
        self.at_once = self.most_at_once = 0
        self.time = 0.0
        self.digest = "d1"

    async def version(self, name: str, version: int) -> VersionFacts:
        self.asked.append((name, version))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        self.at_once -= 1
        if self.error is not None:
            raise self.error
        return VersionFacts("r", "m-1", f"s3://models/{version}", self.digest, ("sklearn",))

    async def alias(self, name: str, alias: str) -> int:
        if alias not in self.aliases:
            raise RegistryError(Reason.ALIAS_NOT_FOUND, alias, transient=False)
        return self.aliases[alias]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def resolver(world: World) -> Resolver:
    return Resolver(world, world, clock=lambda: world.time, capacity=3)


async def test_an_alias_becomes_an_immutable_version(world: World, resolver: Resolver) -> None:
    expected = Resolved(
        registry="default",
        name="iris",
        version=3,
        alias="champion",
        run_id="r",
        model_id="m-1",
        artifact_uri="s3://models/3",
        digest="d1",
        flavors=("sklearn",),
    )
    assert await resolver.resolve(Model(name="iris", alias="champion"), ANY) == expected
    world.aliases["champion"] = 4
    assert (await resolver.resolve(Model(name="iris", alias="champion"), ANY)).version == 4


async def test_many_reconciles_are_one_request(world: World, resolver: Resolver) -> None:
    model = Model(name="iris", version=1)
    await asyncio.gather(*(resolver.resolve(model, ANY) for _ in range(100)))
    await resolver.resolve(model, ANY)
    assert world.asked == [("iris", 1)]


async def test_few_versions_are_asked_for_at_a_time(world: World, resolver: Resolver) -> None:
    await asyncio.gather(*(resolver.resolve(Model(name="iris", version=v), ANY) for v in range(1, 30)))
    assert world.most_at_once == 3


async def test_the_oldest_unused_versions_are_dropped(world: World, resolver: Resolver) -> None:
    for version in (1, 2, 3, 1, 4, 1, 2):
        await resolver.resolve(Model(name="iris", version=version), ANY)
    assert [version for _, version in world.asked] == [1, 2, 3, 4, 2]


async def test_a_forgotten_model_is_asked_for_again(world: World, resolver: Resolver) -> None:
    for name in ("iris", "wine"):
        await resolver.resolve(Model(name=name, version=1), ANY)
    resolver.forget(["iris"])
    for name in ("iris", "wine"):
        await resolver.resolve(Model(name=name, version=1), ANY)
    assert world.asked == [("iris", 1), ("wine", 1), ("iris", 1)]


async def test_a_model_that_was_made_again_is_not_the_one_of_before(world: World, resolver: Resolver) -> None:
    """It counts its versions from 1 again, and of one whose aliases nobody follows no listing tells."""
    model = Model(name="iris", version=1)
    await resolver.resolve(model, ANY)
    world.digest = "d2"
    world.time += 299
    assert (await resolver.resolve(model, ANY)).digest == "d1"
    world.time += 1
    assert (await resolver.resolve(model, ANY)).digest == "d2"
    assert (await resolver.resolve(model, ANY)).digest == "d2"
    assert len(world.asked) == 2


async def test_a_failure_is_remembered_for_seconds_only(world: World, resolver: Resolver) -> None:
    world.error = GONE
    for _ in range(100):
        with pytest.raises(RegistryError) as caught:
            await resolver.resolve(Model(name="iris", version=1), ANY)
        assert (caught.value.reason, caught.value.transient) == (Reason.VERSION_NOT_FOUND, False)
    assert len(world.asked) == 1
    world.error = None
    assert (await resolver.resolve(Model(name="iris", version=2), ANY)).version == 2  # one bad version is no outage
    world.time += 5
    assert (await resolver.resolve(Model(name="iris", version=1), ANY)).version == 1


async def test_a_registry_that_is_down_is_left_alone_for_seconds(world: World, resolver: Resolver) -> None:
    world.error = UnreachableError("down")
    results = await asyncio.gather(
        *(resolver.resolve(Model(name="iris", version=v), ANY) for v in range(1, 101)), return_exceptions=True
    )
    assert {type(result) for result in results} <= {RegistryError, UnreachableError}
    assert len(world.asked) <= 3
    world.error = None
    world.time += 5
    assert (await resolver.resolve(Model(name="iris", version=7), ANY)).version == 7


async def test_a_waiter_that_goes_does_not_take_the_request_along(world: World, resolver: Resolver) -> None:
    world.gate = asyncio.Event()
    impatient, patient = (asyncio.create_task(resolver.resolve(Model(name="iris", version=1), ANY)) for _ in range(2))
    async with asyncio.timeout(5):
        while not world.asked:  # noqa: ASYNC110
            await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    world.gate.set()
    assert (await patient).version == 1
    assert world.asked == [("iris", 1)]


async def test_the_place_is_judged_anew(world: World, resolver: Resolver) -> None:
    model = Model(name="iris", version=1)
    await resolver.resolve(model, ANY)
    with pytest.raises(RegistryError, match="ModelRegistry 'default'") as caught:
        await resolver.resolve(model, Artifacts(allowed=("s3://others/",)))
    assert caught.value.reason == Reason.ARTIFACT_NOT_ALLOWED
    assert len(world.asked) == 1


async def test_a_missing_alias_is_told(world: World, resolver: Resolver) -> None:
    with pytest.raises(RegistryError) as caught:
        await resolver.resolve(Model(name="iris", alias="nope"), ANY)
    assert caught.value.reason == Reason.ALIAS_NOT_FOUND
