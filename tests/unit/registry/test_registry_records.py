"""Metrics of a version as MLflow has them, and how often they are asked for."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.analysis.signature import Field
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.facts import VersionFacts
from serin.registry.mlflow import MlflowRegistry
from serin.registry.records import FRESH_SECONDS
from serin.registry.records import Recorder
from serin.registry.records import unknown
from serin.registry.signature import pack
from tests.unit.registry.fake import MISSING
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import answer
from tests.unit.registry.fake import api
from tests.unit.registry.fake import text

RUN, MODEL = api("runs/get"), api("logged-models/m-1")


@pytest_asyncio.fixture
async def registry(server: FakeMlflow) -> AsyncIterator[MlflowRegistry]:
    registry = MlflowRegistry(RegistryConfig(server.url, timeout=10))
    yield registry
    registry.close()


def metric(key: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": 1, "step": 0, **more}


def measured(server: FakeMlflow, run: list[dict[str, Any]], model: list[dict[str, Any]]) -> None:
    server.handlers[RUN] = answer({"run": {"info": {"run_id": "r1"}, "data": {"metrics": run}}})
    server.handlers[MODEL] = answer({"model": {"info": {"model_id": "m-1"}, "data": {"metrics": model}}})


async def test_the_model_knows_better_than_its_run(server: FakeMlflow, registry: MlflowRegistry) -> None:
    """A run goes on after a checkpoint was logged: its last value is another model's."""
    measured(server, [metric("f1", 0.9, step=1), metric("loss", 0.1)], [metric("f1", 0.8)])
    assert await registry.metrics("r1", "m-1") == (Metric("f1", 0.8), Metric("loss", 0.1))


async def test_the_newest_value_for_each_dataset(server: FakeMlflow, registry: MlflowRegistry) -> None:
    model = [
        metric("f1", 0.5, timestamp=3, dataset_name="test"),
        metric("f1", 0.6, timestamp=2, dataset_name="test"),
        metric("f1", 0.99, timestamp=9, dataset_name="train"),
        metric("f1", 0.7, timestamp=2, step=2),
        metric("f1", 0.8, timestamp=2, step=1),
    ]
    measured(server, [metric("f1", 0.1)], model)
    found = await registry.metrics("r1", "m-1")
    assert found == (Metric("f1", 0.7), Metric("f1", 0.5, "test"), Metric("f1", 0.99, "train"))


async def test_what_is_not_a_number(server: FakeMlflow, registry: MlflowRegistry) -> None:
    """Of a logged model MLflow 3.17 gives 0 where NaN was logged; a real 0 of another run stays one."""
    run = [metric("loss", "NaN", timestamp=5), metric("bad", "Infinity"), {"key": "none"}, metric("other", "NaN")]
    model = [metric("loss", 0.0, timestamp=5, run_id="r1"), metric("other", 0.0, run_id="r2")]
    measured(server, run, model)
    found = {one.name: one.value for one in await registry.metrics("r1", "m-1")}
    assert math.isnan(found["loss"])
    assert math.isnan(found["none"])
    assert math.isinf(found["bad"])
    assert found["other"] == 0


@pytest.mark.parametrize("gone", [MISSING, text("<h1>Not Found</h1>", status=404)])
async def test_a_run_or_model_that_is_gone_has_no_metrics(
    server: FakeMlflow, registry: MlflowRegistry, gone: Any
) -> None:
    measured(server, [metric("f1", 0.9)], [metric("acc", 0.8)])
    server.handlers[RUN] = gone
    assert await registry.metrics("r1", "m-1") == (Metric("acc", 0.8),)
    server.handlers[MODEL] = gone
    assert await registry.metrics("r1", "m-1") == ()


async def test_nothing_is_asked_of_what_there_is_not(server: FakeMlflow, registry: MlflowRegistry) -> None:
    measured(server, [metric("f1", 0.9)], [])
    assert await registry.metrics("r1", None) == (Metric("f1", 0.9),)
    assert server.paths() == [RUN]
    assert await registry.metrics(None, None) == ()
    assert server.paths() == [RUN]


async def test_who_may_read_models_may_not_read_experiments(server: FakeMlflow) -> None:
    server.handlers[RUN] = text("Permission denied", status=403)
    registry = MlflowRegistry(RegistryConfig(server.url, credentials=Credentials(username="serin", password="secret")))
    with pytest.raises(RegistryError) as caught:
        await registry.metrics("r1", None)
    registry.close()
    assert (caught.value.reason, caught.value.transient) == (Reason.REGISTRY_REFUSED, False)
    assert "READ permission on the experiments" in caught.value.message


@pytest.mark.parametrize("body", ["{}", "[]", '{"run": {"data": {"metrics": [{"key": "a", "value": "high"}]}}}'])
async def test_answers_that_are_not_those_of_mlflow(server: FakeMlflow, registry: MlflowRegistry, body: str) -> None:
    server.handlers[RUN] = text(body)
    with pytest.raises(RegistryError) as caught:
        await registry.metrics("r1", None)
    assert caught.value.reason == Reason.REGISTRY_UNAVAILABLE


async def test_a_version_with_its_signature(server: FakeMlflow, registry: MlflowRegistry) -> None:
    signature = {"inputs": '[{"name": "a", "type": "double"}]'}
    server.handlers["/model-versions/get-artifact"] = text(json.dumps({"flavors": {"a": {}}, "signature": signature}))
    assert (await registry.version("iris", 1)).signature == pack(signature)


class World:
    """One version, its metrics, and a clock."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.error: RegistryError | None = None
        packed = pack({"inputs": '[{"name": "a", "type": "double"}]'})
        self.facts_ = VersionFacts("r1", "m-1", "s3://models/1", "d1", ("sklearn",), packed)

    async def facts(self, name: str, version: int) -> VersionFacts:
        return self.facts_

    async def metrics(self, run_id: str | None, model_id: str | None) -> tuple[Metric, ...]:
        assert (run_id, model_id) == (self.facts_.run_id, self.facts_.model_id)
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return (Metric("f1", float(self.asked)),)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def recorder(world: World) -> Recorder:
    return Recorder(world, world, clock=lambda: world.time)


async def of(recorder: Recorder, *, metrics: bool = True, fresh: bool = False, digest: str = "d1") -> Record:
    return await recorder.record("iris", 1, digest, metrics=metrics, fresh=fresh)


async def test_a_record(recorder: Recorder) -> None:
    signature = Signature(inputs=Schema((Field("a", Scalar("double")),)))
    assert await of(recorder) == Record("v1", signature, (Metric("f1", 1.0),))


async def test_metrics_are_asked_for_only_where_they_matter(world: World, recorder: Recorder) -> None:
    assert (await of(recorder, metrics=False)).metrics == ()
    assert world.asked == 0


async def test_metrics_are_kept_for_a_while(world: World, recorder: Recorder) -> None:
    await of(recorder)
    world.time += FRESH_SECONDS
    await of(recorder)
    assert world.asked == 1
    world.time += 1
    assert (await of(recorder)).metrics == (Metric("f1", 2.0),)
    await of(recorder)
    assert world.asked == 2


async def test_fresh_ones_on_request(world: World, recorder: Recorder) -> None:
    await of(recorder)
    world.time += 1
    assert (await of(recorder, fresh=True)).metrics == (Metric("f1", 2.0),)
    assert (await of(recorder)).metrics == (Metric("f1", 2.0),)


async def test_many_who_ask_at_once_cost_one_request(world: World, recorder: Recorder) -> None:
    world.gate = asyncio.Event()
    asking = [asyncio.create_task(of(recorder)) for _ in range(20)]
    await asyncio.sleep(0)
    world.gate.set()
    found = await asyncio.gather(*asking)
    assert world.asked == 1
    assert len(set(found)) == 1


async def test_a_failure_is_not_kept(world: World, recorder: Recorder) -> None:
    world.error = RegistryError(Reason.REGISTRY_UNAVAILABLE, "down", transient=True)
    with pytest.raises(RegistryError, match="down"):
        await of(recorder)
    world.error = None
    assert (await of(recorder)).metrics == (Metric("f1", 2.0),)


async def test_a_version_that_was_made_anew(world: World, recorder: Recorder) -> None:
    await of(recorder)
    found = await of(recorder, digest="d0")
    assert isinstance(found.signature, Unreadable)
    assert isinstance(found.metrics, Unreadable)
    assert "made anew" in found.signature.why
    assert world.asked == 1
    # Its metrics are those of its own run, even where its files are the same.
    world.facts_ = replace(world.facts_, run_id="r2", model_id=None)
    assert (await of(recorder)).metrics == (Metric("f1", 2.0),)


def test_a_version_that_is_gone() -> None:
    found = unknown(12, RegistryError(Reason.VERSION_NOT_FOUND, "MLflow has no v12", transient=False))
    why = Unreadable("cannot be read: MLflow has no v12")
    assert found == Record("v12", why, Unreadable("MLflow has no v12"))
