"""The declared registries: what they answer to a look, whom they wake, and what their own status says.

The registry is a real HTTP server on loopback; the API server is played.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
from collections.abc import AsyncIterator
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.analysis.signature import Field
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE
from serin.api.kinds import SECRET
from serin.api.kinds import Kind
from serin.api.modeldeployment import Model
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Resolved
from serin.controller import registries as module
from serin.controller.answers import Answer
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.controller.telemetry import Telemetry
from serin.registry import follow
from serin.registry import resolve
from serin.rollout.doubt import Doubt
from serin.rollout.observed import Problem
from serin.rollout.records import Origin
from serin.rollout.records import Question
from serin.rollout.records import Records
from tests.unit.controller.fake_api import FakeApi
from tests.unit.registry.certificate import certificate
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import Handler
from tests.unit.registry.fake import answer
from tests.unit.registry.fake import api
from tests.unit.registry.fake import error
from tests.unit.registry.fake import text
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import spec

Json = dict[str, Any]
HOME, KEY = "serin-system", Key("payments", "fraud")
PATIENCE_SECONDS = 20.0
ALIAS = Model(name="iris", alias="champion")
VERSION = Model(name="iris", version=1)
PINNED: Json = {
    "registry": "default",
    "name": "iris",
    "version": 1,
    "alias": "champion",
    "artifact_uri": "s3://models/1/m-1",
    "digest": "d1",
}


def listing(version: int) -> Json:
    return {"registered_models": [{"name": "iris", "aliases": [{"alias": "champion", "version": str(version)}]}]}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 (of somebody else's state, which has no event)
            await asyncio.sleep(0.01)


class Stage:
    """Registries with an API server and an MLflow server."""

    def __init__(self, mlflow: FakeMlflow) -> None:
        self.mlflow, self.api, self.queue = mlflow, FakeApi(), Queue()
        self.registries = Registries(HOME, self.api.client, self.queue, Telemetry(), lambda: START)
        self.api.put(NAMESPACE, {"metadata": {"name": "payments", "labels": {"team": "payments"}}})

    def declare(self, *, watched: bool = True, namespace: str = HOME, **spec: Any) -> None:
        body = self.api.put(
            MODEL_REGISTRY,
            {
                "metadata": {"name": "default", "namespace": namespace},
                "spec": {"url": self.mlflow.url, "pollInterval": "50ms", **spec},
                "status": {"observedGeneration": -1},
            },
        )
        if watched:
            self.registries.take("MODIFIED", body)

    def note(self, model: Model) -> None:
        self.registries.note(KEY, {"model": model.model_dump(exclude_none=True)})

    async def ask(self, model: Model, pinned: Resolved | None = None) -> Answer:
        return await self.registries.target(KEY, model, pinned)

    async def resolved(self, model: Model) -> Resolved:
        found, down = await self.ask(model)
        assert isinstance(found, Resolved), found
        assert down is None
        return found

    async def problem(self, model: Model) -> Problem:
        found, _ = await self.ask(model)
        assert isinstance(found, Problem), found
        return found

    async def woken(self) -> None:
        """Somebody put the deployment into the queue."""
        key, _ = await asyncio.wait_for(self.queue.get(), PATIENCE_SECONDS)
        self.queue.done(key)
        assert key == KEY

    def ready(self) -> Json | None:
        """The Ready condition of the ModelRegistry."""
        conditions = self.api.of(MODEL_REGISTRY, HOME, "default")["status"].get("conditions") or [None]
        found: Json | None = conditions[0]
        return found

    def failing(self) -> bool:
        """Whether its polls have failed in a row."""
        return self.registries._connections["default"].failing_since is not None

    async def followed(self, models: int) -> Json:
        """The ModelRegistry's status once that many models are followed."""
        await until(lambda: self.api.of(MODEL_REGISTRY, HOME, "default")["status"].get("modelsFollowed") == models)
        status: Json = self.api.of(MODEL_REGISTRY, HOME, "default")["status"]
        return status

    async def told(self, holds: Callable[[Json], bool]) -> Json:
        """The Ready condition once this holds of it."""
        await until(lambda: (ready := self.ready()) is not None and holds(ready))
        ready = self.ready()
        assert ready is not None
        return ready


@pytest_asyncio.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(module, "SECRET_SECONDS", 0.05)
    monkeypatch.setattr(follow, "FIRST_RETRY", 0.05)
    mlflow = FakeMlflow()
    await mlflow.start()
    stage = Stage(mlflow)
    running = asyncio.create_task(stage.registries.run())
    yield stage
    running.cancel()
    await asyncio.wait([running])
    await stage.registries.close()
    await mlflow.stop()


async def test_a_registry_that_is_not_declared_and_then_is(stage: Stage) -> None:
    stage.note(VERSION)
    problem = await stage.problem(VERSION)
    assert problem.reason is Reason.REGISTRY_NOT_FOUND
    assert HOME in problem.message
    stage.declare()
    found = await stage.resolved(VERSION)
    assert (found.version, found.run_id, found.flavors) == (1, "r1", ("python_function", "sklearn"))


async def test_a_registry_that_no_watch_has_told_of_yet_is_read_live(stage: Stage) -> None:
    stage.declare(watched=False)
    assert (await stage.resolved(ALIAS)).alias == "champion"


async def test_a_registry_in_another_namespace_does_not_count(stage: Stage) -> None:
    stage.declare(namespace="payments")
    assert (await stage.problem(VERSION)).reason is Reason.REGISTRY_NOT_FOUND


async def test_an_alias_that_moves_wakes_those_who_follow_it(stage: Stage) -> None:
    stage.declare()
    stage.note(ALIAS)
    first = await stage.resolved(ALIAS)
    assert first.version == 1
    await stage.told(lambda ready: ready["status"] == "True")
    while len(stage.queue):
        await stage.woken()
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    assert (await stage.resolved(ALIAS)).version == 2


async def test_what_a_poll_wakes_waits_behind_what_is_due(stage: Stage) -> None:
    stage.declare()
    stage.note(ALIAS)
    await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    while len(stage.queue):
        await stage.woken()
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await until(lambda: len(stage.queue) == 1)
    due = Key("payments", "due")
    stage.queue.add(due)
    assert (await stage.queue.get())[0] == due


@pytest.mark.parametrize("through_mlflow", [False, True])
async def test_what_only_the_tracking_server_reaches_is_fetched_through_it(stage: Stage, through_mlflow: bool) -> None:
    stage.mlflow.handlers[api("model-versions/get-download-uri")] = answer({"artifact_uri": "mlflow-artifacts:/1/m-1"})
    stage.declare()
    registries = Registries(HOME, stage.api.client, Queue(), Telemetry(), lambda: START, through_mlflow=through_mlflow)
    found, _ = await registries.target(KEY, VERSION, None)
    await registries.close()
    if through_mlflow:
        assert isinstance(found, Resolved)
        assert found.artifact_uri.startswith(f"{stage.mlflow.url.replace('http', 'mlflow', 1)}/api/")
    else:
        assert isinstance(found, Problem)
        assert found.reason is Reason.ARTIFACT_NOT_ALLOWED


async def test_a_pinned_version_is_never_asked_for_again(stage: Stage) -> None:
    stage.declare()
    pinned = await stage.resolved(VERSION)
    stage.mlflow.requests.clear()
    assert await stage.ask(VERSION, pinned) == (pinned, None)
    assert [path for path in stage.mlflow.paths() if "model-versions" in path] == []
    other, _ = await stage.ask(Model(name="iris", version=2), pinned)
    assert isinstance(other, Resolved)
    assert other.version == 2


async def test_an_outage_takes_nothing_from_what_is_known(stage: Stage) -> None:
    stage.declare()
    stage.note(ALIAS)
    pinned = await stage.resolved(ALIAS)
    for path in list(stage.mlflow.handlers):
        stage.mlflow.handlers[path] = error(503, "TEMPORARILY_UNAVAILABLE", "later")
    ready = await stage.told(lambda ready: ready["status"] == "False")
    assert ready["reason"] == Reason.REGISTRY_UNAVAILABLE
    # It wakes those whom it concerns.
    await stage.woken()
    found, down = await stage.ask(ALIAS, pinned)
    assert found == pinned
    assert down is not None
    assert (down.reason, "has not answered since" in down.message) == (Reason.REGISTRY_UNAVAILABLE, True)
    assert (await stage.problem(Model(name="other", version=1))).reason is Reason.REGISTRY_UNAVAILABLE


READ_ROUTE, ARTIFACT_ROUTE = api("model-versions/get"), "/model-versions/get-artifact"
PENDING = answer({"model_version": {"run_id": "r2", "status": "PENDING_REGISTRATION"}})
UNREADABLE = [
    (READ_ROUTE, PENDING, Reason.ARTIFACT_NOT_FOUND, "is still being registered"),
    (ARTIFACT_ROUTE, text("oops", status=500), Reason.REGISTRY_UNAVAILABLE, "cannot read the MLmodel file of v2"),
    (ARTIFACT_ROUTE, text("no", status=403), Reason.REGISTRY_REFUSED, "(403)"),
    (ARTIFACT_ROUTE, text("", status=302, headers={"Location": "/login"}), Reason.REGISTRY_UNAVAILABLE, "(302)"),
    (ARTIFACT_ROUTE, text("later", status=503), Reason.REGISTRY_UNAVAILABLE, "status 503"),
]


async def followed_and_quiet(stage: Stage) -> Resolved:
    """The alias is followed, and all there is to tell was told."""
    stage.declare()
    stage.note(ALIAS)
    pinned = await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    while len(stage.queue):
        await stage.woken()
    return pinned


async def unresolved(stage: Stage, pinned: Resolved, model: Model = ALIAS) -> Problem:
    """What those are told who have it pinned and look whenever they are woken, once that is no good news any more."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not isinstance(found := (await stage.ask(model, pinned))[0], Problem):
            assert found == pinned
            await stage.woken()
    return found


@pytest.mark.parametrize(("path", "handler", "reason", "words"), UNREADABLE)
async def test_an_alias_that_moves_to_what_cannot_be_read_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, path: str, handler: Handler, reason: Reason, words: str
) -> None:
    """What is declared is not what is served, while every poll succeeds."""
    monkeypatch.setattr(resolve, "FAILURE_MEMORY", 0.0)
    pinned = await followed_and_quiet(stage)
    well = stage.mlflow.handlers[path]
    stage.mlflow.handlers[path] = handler
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    problem = await unresolved(stage, pinned)
    assert problem.reason is reason
    assert problem.message.startswith("alias champion is version 2, which cannot be read: MLflow at ")
    assert words in problem.message
    # It is asked for again, and told in the same words: nothing is to be written for that.
    for _ in range(3):
        await stage.woken()
        assert await stage.ask(ALIAS, pinned) == (problem, None)
    stage.mlflow.handlers[path] = well
    await until(lambda: len(stage.queue) == 1)
    assert (await stage.resolved(ALIAS)).version == 2


async def test_what_serves_goes_on_while_the_alias_stands_for_what_cannot_be_read(stage: Stage) -> None:
    pinned = await followed_and_quiet(stage)
    scene = Scene(spec=spec(1, rollout={"steps": []}).model_copy(update={"model": ALIAS}), target=pinned)
    scene.run(60)
    assert scene.condition(ConditionType.READY) == ("True", Reason.HEALTHY)
    serving = scene.route
    stage.mlflow.handlers[ARTIFACT_ROUTE] = text("oops", status=500)
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    scene.target = await unresolved(stage, pinned)
    scene.run(60)
    writes = scene.writes
    scene.run(3600)
    assert scene.writes == writes
    assert scene.condition(ConditionType.READY) == ("False", Reason.REGISTRY_UNAVAILABLE)
    assert scene.condition(ConditionType.MODEL_RESOLVED) == ("Unknown", Reason.REGISTRY_UNAVAILABLE)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.status.message.endswith("serving v1")
    assert scene.route == serving
    assert scene.status.resolved is not None
    assert scene.status.resolved.version == 1


async def test_one_failure_of_what_an_alias_moved_to_is_a_hiccup(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "FAILURE_MEMORY", 0.0)
    pinned = await followed_and_quiet(stage)
    well = stage.mlflow.handlers[ARTIFACT_ROUTE]

    async def once(request: web.Request) -> web.StreamResponse:
        stage.mlflow.handlers[ARTIFACT_ROUTE] = well
        return await text("oops", status=500)(request)

    stage.mlflow.handlers[ARTIFACT_ROUTE] = once
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    assert await stage.ask(ALIAS, pinned) == (pinned, None)
    await stage.woken()
    found, down = await stage.ask(ALIAS, pinned)
    assert isinstance(found, Resolved)
    assert (found.version, down) == (2, None)


async def test_an_operator_that_begins_beside_what_cannot_be_read_tells_so_at_once(stage: Stage) -> None:
    """It may have lasted long. To tell the opposite first would be two writes."""
    stage.mlflow.handlers[ARTIFACT_ROUTE] = text("oops", status=500)
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    stage.declare()
    stage.note(ALIAS)
    found, _ = await stage.ask(ALIAS, Resolved(**PINNED))
    assert isinstance(found, Problem)
    assert found.message.startswith("alias champion is version 2, which cannot be read: ")


async def test_what_was_told_stays_while_it_is_asked_for_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is slow to fail: between its answers nothing is mended."""
    monkeypatch.setattr(resolve, "FAILURE_MEMORY", 0.0)
    pinned = await followed_and_quiet(stage)
    stage.mlflow.handlers[ARTIFACT_ROUTE] = text("oops", status=500)
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    problem = await unresolved(stage, pinned)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    assert await stage.ask(ALIAS, pinned) == (problem, None)


async def test_a_model_that_the_login_may_not_read_any_more_is_told(stage: Stage) -> None:
    """A search leaves it out, and every poll succeeds."""
    pinned = await followed_and_quiet(stage)
    well = stage.mlflow.handlers[api("registered-models/search")]
    stage.mlflow.handlers[api("registered-models/search")] = answer({})
    stage.mlflow.handlers[api("registered-models/get")] = text("Permission denied", status=403)
    await stage.woken()
    found, down = await stage.ask(ALIAS, pinned)
    assert isinstance(found, Problem)
    assert (found.reason, down) == (Reason.REGISTRY_REFUSED, None)
    assert found.message.startswith("alias champion cannot be read any more: MLflow at ")
    stage.mlflow.handlers[api("registered-models/search")] = well
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await stage.ask(ALIAS, pinned) != (pinned, None):
            await stage.woken()


@pytest.mark.parametrize("listed", [listing(2), {"registered_models": [{"name": "iris", "aliases": []}]}])
async def test_an_outage_takes_nothing_from_what_is_known_of_an_alias_that_moved(stage: Stage, listed: Json) -> None:
    """That the registry is down as well makes nothing declared that was not a moment ago."""
    pinned = await followed_and_quiet(stage)
    stage.mlflow.handlers[READ_ROUTE] = PENDING
    stage.mlflow.handlers[api("registered-models/search")] = answer(listed)
    await stage.woken()
    await unresolved(stage, pinned)
    for path in list(stage.mlflow.handlers):
        stage.mlflow.handlers[path] = error(503, "TEMPORARILY_UNAVAILABLE", "later")
    await stage.told(lambda ready: ready["status"] == "False")
    found, _ = await stage.ask(ALIAS, pinned)
    assert isinstance(found, Problem)


async def test_one_failed_poll_is_told_and_no_outage(stage: Stage) -> None:
    """Or whoever waits for Ready, or is called when it is not, gets each hiccup."""
    stage.declare()
    stage.note(ALIAS)
    await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    path, again = api("registered-models/search"), asyncio.Event()
    well = stage.mlflow.handlers[path]

    async def later(request: web.Request) -> web.StreamResponse:
        await again.wait()
        return await well(request)

    async def once(request: web.Request) -> web.StreamResponse:
        stage.mlflow.handlers[path] = later
        return await error(503, "TEMPORARILY_UNAVAILABLE", "a hiccup")(request)

    stage.mlflow.handlers[path] = once
    ready = await stage.told(lambda ready: ready["message"] != "the registry answers")
    assert (ready["status"], ready["reason"]) == ("True", Reason.REACHABLE)
    assert ready["message"].startswith("the last poll failed, and is tried again: MLflow at ")
    again.set()
    ready = await stage.told(lambda ready: ready["message"] == "the registry answers")
    assert ready["status"] == "True"


def rewritten(bucket: str) -> Json:
    return {"artifacts": {"rewrite": [{"from": "s3://models/", "to": f"s3://{bucket}/"}]}}


async def declared_anew(stage: Stage, **spec: Any) -> None:
    """The ModelRegistry is declared like this, and connected."""
    stage.declare(**spec)
    generation = stage.api.of(MODEL_REGISTRY, HOME, "default")["metadata"]["generation"]
    await until(lambda: stage.api.of(MODEL_REGISTRY, HOME, "default")["status"].get("observedGeneration") == generation)
    await stage.told(lambda ready: ready["status"] == "True")


@pytest.mark.parametrize("model", [ALIAS, VERSION])
@pytest.mark.parametrize("doubt", [Doubt.RETRIED, Doubt.UNSERVED])
async def test_a_mended_location_reaches_what_does_not_serve(stage: Stage, model: Model, doubt: Doubt) -> None:
    await declared_anew(stage, **rewritten("modles"))
    stage.note(model)
    pinned = await stage.resolved(model)
    assert pinned.artifact_uri == "s3://modles/1/m-1"
    await declared_anew(stage, **rewritten("mended"))
    # What is in use keeps the location that it has: the edit of a registry begins no rollout.
    assert await stage.ask(model, pinned) == (pinned, None)
    found, down = await stage.registries.target(KEY, model, pinned, doubt)
    assert (found, down) == (pinned.model_copy(update={"artifact_uri": "s3://mended/1/m-1"}), None)
    assert isinstance(found, Resolved)
    # Nor is it asked for again.
    stage.mlflow.requests.clear()
    told = Doubt.UNSERVED if doubt is Doubt.UNSERVED else None
    assert await stage.registries.target(KEY, model, found, told) == (found, None)
    assert [path for path in stage.mlflow.paths() if "model-versions" in path] == []


async def test_a_location_that_is_not_allowed_any_more_is_told_of_what_never_served(stage: Stage) -> None:
    await declared_anew(stage)
    pinned = await stage.resolved(VERSION)
    await declared_anew(stage, artifacts={"allowed": ["s3://others/"]})
    found, _ = await stage.registries.target(KEY, VERSION, pinned, Doubt.UNSERVED)
    assert isinstance(found, Problem)
    assert found.reason is Reason.ARTIFACT_NOT_ALLOWED
    assert await stage.ask(VERSION, pinned) == (pinned, None)


async def test_a_retry_waits_for_the_answer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is told but once. Tried again as it was it would fail again."""
    await declared_anew(stage, **rewritten("modles"))
    pinned = await stage.resolved(VERSION)
    await declared_anew(stage, **rewritten("mended"))
    well, gate = stage.mlflow.handlers[READ_ROUTE], asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await well(request)

    stage.mlflow.handlers[READ_ROUTE] = late
    with monkeypatch.context() as context:
        context.setattr(module, "PATIENCE_SECONDS", 0.0)
        found, _ = await stage.registries.target(KEY, VERSION, pinned, Doubt.RETRIED)
    assert isinstance(found, Problem)
    assert found.reason is Reason.RESOLVING
    gate.set()
    assert (await stage.ask(VERSION, pinned))[0] == pinned.model_copy(update={"artifact_uri": "s3://mended/1/m-1"})


async def test_a_retry_without_an_answer_is_told(stage: Stage) -> None:
    await declared_anew(stage)
    pinned = await stage.resolved(VERSION)
    stage.mlflow.handlers[READ_ROUTE] = error(503, "TEMPORARILY_UNAVAILABLE", "later")
    for doubt in (Doubt.RETRIED, None):
        found, _ = await stage.registries.target(KEY, VERSION, pinned, doubt)
        assert isinstance(found, Problem)
        assert found.reason is Reason.REGISTRY_UNAVAILABLE


def make_anew(mlflow: FakeMlflow) -> None:
    """Version 1 is another model's from now on."""
    mlflow.handlers[READ_ROUTE] = answer({"model_version": {"run_id": "r9", "model_id": "m-9", "status": "READY"}})
    mlflow.handlers[api("model-versions/get-download-uri")] = answer({"artifact_uri": "s3://models/9/m-9"})
    mlflow.handlers[ARTIFACT_ROUTE] = text("flavors: {sklearn: {}}\nmodel_id: m-9\n")


@pytest.mark.parametrize("anew", [True, False])
async def test_a_model_that_was_gone_and_comes_again_may_be_another(stage: Stage, anew: bool) -> None:
    pinned = await followed_and_quiet(stage)
    search, get = api("registered-models/search"), api("registered-models/get")
    before = {path: stage.mlflow.handlers[path] for path in (search, get)}
    stage.mlflow.handlers |= {search: answer({}), get: error(404, "RESOURCE_DOES_NOT_EXIST", "gone")}
    await stage.woken()
    assert (await unresolved(stage, pinned)).reason is Reason.MODEL_NOT_FOUND
    stage.mlflow.handlers |= before
    if anew:
        make_anew(stage.mlflow)
    stage.mlflow.requests.clear()
    async with asyncio.timeout(PATIENCE_SECONDS):
        # As its status tells it.
        while isinstance(found := (await stage.registries.target(KEY, ALIAS, pinned, Doubt.GONE))[0], Problem):
            await stage.woken()
    if anew:
        assert (found.version, found.run_id, found.artifact_uri) == (1, "r9", "s3://models/9/m-9")
        assert found.digest != pinned.digest
    else:
        assert found == pinned
    assert stage.mlflow.paths().count(READ_ROUTE) == 1
    assert await stage.ask(ALIAS, found) == (found, None)
    assert stage.mlflow.paths().count(READ_ROUTE) == 1


@pytest.mark.parametrize("model", [ALIAS, VERSION])
@pytest.mark.parametrize("anew", [True, False])
async def test_another_server_may_have_another_model_of_the_name(stage: Stage, model: Model, anew: bool) -> None:
    await declared_anew(stage)
    stage.note(model)
    pinned = await stage.resolved(model)
    other = FakeMlflow()
    await other.start()
    other.handlers[api("model-versions/get-download-uri")] = answer({"artifact_uri": "s3://models/7/elsewhere"})
    if anew:
        make_anew(other)
    await declared_anew(stage, url=other.url)
    found, down = await stage.ask(model, pinned)
    assert isinstance(found, Resolved)
    assert (found.run_id, down) == ("r9" if anew else "r1", None)
    # A server that only moved has the same: what is in use keeps its location.
    assert (found == pinned) is not anew
    assert other.paths().count(READ_ROUTE) == 1
    assert await stage.ask(model, found) == (found, None)
    assert other.paths().count(READ_ROUTE) == 1
    await other.stop()


async def test_what_never_served_is_fetched_from_another_server_at_once(stage: Stage) -> None:
    await declared_anew(stage)
    pinned = await stage.resolved(VERSION)
    other = FakeMlflow()
    await other.start()
    other.handlers[api("model-versions/get-download-uri")] = answer({"artifact_uri": "s3://models/7/elsewhere"})
    await declared_anew(stage, url=other.url)
    found, _ = await stage.registries.target(KEY, VERSION, pinned, Doubt.UNSERVED)
    assert found == pinned.model_copy(update={"artifact_uri": "s3://models/7/elsewhere"})
    await other.stop()


@pytest.mark.parametrize("moves", [True, False])
async def test_an_answer_that_no_status_keeps_is_asked_for_again(stage: Stage, moves: bool) -> None:
    """What was found is not pinned where the status cannot be written: then the doubt is as it was."""
    await declared_anew(stage)
    pinned = await stage.resolved(VERSION)
    other = FakeMlflow()
    await other.start()
    make_anew(other)
    await declared_anew(stage, **({"url": other.url} if moves else rewritten("mended")))
    told = None if moves else Doubt.UNSERVED
    first, _ = await stage.registries.target(KEY, VERSION, pinned, told)
    assert first != pinned
    assert await stage.registries.target(KEY, VERSION, pinned, told) == (first, None)
    await other.stop()


@pytest.mark.parametrize(
    ("model", "words"),
    [(ALIAS, "alias champion is version 1, which cannot be read: "), (VERSION, "version 1 ")],
)
async def test_another_server_that_cannot_tell_of_what_is_pinned(stage: Stage, model: Model, words: str) -> None:
    await declared_anew(stage)
    stage.note(model)
    pinned = await stage.resolved(model)
    assert await stage.ask(model, pinned) == (pinned, None)
    other = FakeMlflow()
    await other.start()
    other.handlers[ARTIFACT_ROUTE] = text("oops", status=500)
    await declared_anew(stage, url=other.url)
    # One failure is a hiccup, here as well.
    assert await stage.ask(model, pinned) == (pinned, None)
    assert (await unresolved(stage, pinned, model)).message.startswith(words)
    await other.stop()


async def test_another_server_that_does_not_answer_takes_nothing_from_what_is_known(stage: Stage) -> None:
    await declared_anew(stage)
    stage.note(ALIAS)
    pinned = await stage.resolved(ALIAS)
    other = FakeMlflow()
    await other.start()
    for path in list(other.handlers):
        other.handlers[path] = error(503, "TEMPORARILY_UNAVAILABLE", "later")
    stage.declare(url=other.url)
    await stage.told(lambda ready: ready["status"] == "False" and stage.failing())
    for _ in range(3):
        await stage.woken()
        found, down = await stage.ask(ALIAS, pinned)
        assert found == pinned
        assert down is not None
    await other.stop()


@pytest.mark.parametrize(("observed", "asked"), [(1, 1), (2, 0), (-1, 0)])
async def test_a_registry_that_was_edited_while_no_operator_ran(stage: Stage, observed: int, asked: int) -> None:
    await declared_anew(stage)
    pinned = await stage.resolved(VERSION)
    body = stage.api.of(MODEL_REGISTRY, HOME, "default")
    stage.api.put(
        MODEL_REGISTRY,
        {**body, "spec": {**body["spec"], "pollInterval": "1h"}, "status": {"observedGeneration": observed}},
    )
    assert stage.api.of(MODEL_REGISTRY, HOME, "default")["metadata"]["generation"] == 2
    stage.mlflow.requests.clear()
    registries = Registries(HOME, stage.api.client, Queue(), Telemetry(), lambda: START)
    for _ in range(2):
        assert await registries.target(KEY, VERSION, pinned) == (pinned, None)
    assert stage.mlflow.paths().count(READ_ROUTE) == asked
    await registries.close()


async def test_other_words_for_the_same_trouble_are_told_of_the_registry(stage: Stage) -> None:
    """Who did what the first ones asked for is not told to do it again. Who uses the registry is not woken for that."""
    await followed_and_quiet(stage)
    path = api("registered-models/search")
    stage.mlflow.handlers[path] = text("Invalid Host header", status=403)
    ready = await stage.told(lambda ready: ready["status"] == "False" and stage.failing())
    assert "--allowed-hosts" in ready["message"]
    while len(stage.queue):
        await stage.woken()
    stage.mlflow.handlers[path] = text("Permission denied", status=403)
    ready = await stage.told(lambda ready: "--allowed-hosts" not in ready["message"])
    assert (ready["reason"], "set auth.secretName" in ready["message"]) == (Reason.REGISTRY_REFUSED, True)
    assert len(stage.queue) == 0
    stage.mlflow.handlers[path] = text("later", status=503)
    await stage.told(lambda ready: ready["reason"] == Reason.REGISTRY_UNAVAILABLE)
    await stage.woken()


async def test_a_registry_that_refuses_is_told_at_once(stage: Stage) -> None:
    """That is a verdict, and no hiccup."""
    stage.declare()
    stage.note(ALIAS)
    await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    path = api("registered-models/search")

    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def once(request: web.Request) -> web.StreamResponse:
        stage.mlflow.handlers[path] = never
        return await error(403, "PERMISSION_DENIED", "no")(request)

    stage.mlflow.handlers[path] = once
    ready = await stage.told(lambda ready: ready["status"] == "False")
    assert ready["reason"] == Reason.REGISTRY_REFUSED


async def test_a_namespace_that_is_not_allowed_and_then_is(stage: Stage) -> None:
    stage.declare(allowedNamespaces={"matchLabels": {"team": "risk"}})
    stage.note(VERSION)
    problem = await stage.problem(VERSION)
    assert problem.reason is Reason.NAMESPACE_NOT_ALLOWED
    assert "payments" in problem.message
    while len(stage.queue):
        await stage.woken()
    stage.registries.take_namespace("MODIFIED", {"metadata": {"name": "payments", "labels": {"team": "risk"}}})
    await stage.woken()
    await stage.resolved(VERSION)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, Reason.SECRET_NOT_FOUND), ({"username": "bob"}, Reason.INVALID_SECRET)],
)
async def test_a_secret_that_is_missing_or_wrong_and_then_mended(
    stage: Stage, data: dict[str, str] | None, reason: Reason
) -> None:
    def secret(values: dict[str, str]) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        stage.api.put(SECRET, {"metadata": {"name": "login", "namespace": HOME}, "data": encoded})

    if data is not None:
        secret(data)
    stage.declare(auth={"secretName": "login"})
    stage.note(VERSION)
    assert (await stage.problem(VERSION)).reason is reason
    ready = await stage.told(lambda ready: ready["reason"] == reason)
    assert "login" in ready["message"]
    while len(stage.queue):
        await stage.woken()
    # Secrets are not watched: it is looked at again.
    secret({"username": "bob", "password": "hunter2"})
    await stage.woken()
    await stage.resolved(VERSION)
    ready = await stage.told(lambda ready: ready["status"] == "True")
    sent = stage.mlflow.requests[-1].headers["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")) == b"bob:hunter2"
    assert "hunter2" not in str(stage.api.of(MODEL_REGISTRY, HOME, "default"))


async def test_a_secret_that_may_not_be_read_and_then_may(stage: Stage) -> None:
    """An operator of which only some Secrets may be read. What is declared counts, not what was declared before."""
    refusal = 'secrets "login" is forbidden: User "serin" cannot get resource "secrets"'
    stage.declare()
    stage.note(ALIAS)
    pinned = await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    stage.api.put(SECRET, {"metadata": {"name": "login", "namespace": HOME}, "data": {"token": "dG9rZW4="}})
    stage.api.denied["get", SECRET.kind] = refusal
    stage.declare(auth={"secretName": "login"})
    ready = await stage.told(lambda ready: ready["status"] == "False")
    assert ready["reason"] == Reason.FORBIDDEN
    assert refusal in ready["message"]
    assert "rbac.secretNames" in ready["message"]
    # Nothing is taken from a version that is known, but nothing moves forward either.
    assert await stage.ask(ALIAS, pinned) == (pinned, Problem(Reason.FORBIDDEN, ready["message"]))
    assert (await stage.problem(VERSION)).reason is Reason.FORBIDDEN
    stage.api.denied.clear()
    await stage.told(lambda ready: ready["status"] == "True")
    await stage.resolved(ALIAS)


@pytest.mark.parametrize(
    "answered", [text("<html>log in</html>"), text("", status=302, headers={"Location": "/login"})]
)
async def test_a_login_that_is_answered_by_a_login_page_is_looked_at_again(stage: Stage, answered: Handler) -> None:
    def secret(token: str) -> None:
        data = {"token": base64.b64encode(token.encode()).decode()}
        stage.api.put(SECRET, {"metadata": {"name": "login", "namespace": HOME}, "data": data})

    async def expires(request: web.Request) -> web.StreamResponse:
        valid = request.headers["Authorization"] == "Bearer new"
        return await (good if valid else answered)(request)

    good = stage.mlflow.handlers[api("registered-models/search")]
    stage.mlflow.handlers[api("registered-models/search")] = expires
    secret("old")
    stage.declare(auth={"secretName": "login"})
    await stage.told(lambda ready: ready["reason"] == Reason.REGISTRY_UNAVAILABLE)
    # Its second failure is the last news of the registry: further looks at the Secret have no other cause than itself.
    seen = stage.api.reads.count("get Secret login")
    await until(lambda: stage.api.reads.count("get Secret login") > seen + 3)
    secret("new")
    await stage.told(lambda ready: ready["status"] == "True")


async def test_a_secret_is_looked_at_again_however_much_else_happens(stage: Stage) -> None:
    stage.declare(auth={"secretName": "login"})
    await stage.told(lambda ready: ready["reason"] == Reason.SECRET_NOT_FOUND)
    stage.api.reads.clear()

    async def others() -> None:
        for number in itertools.count():
            stage.registries.note(Key("payments", "other"), {"model": {"name": "iris", "version": number}})
            stage.registries.note(Key("payments", "other"), {"model": {"name": "iris", "alias": f"a{number}"}})
            await asyncio.sleep(0.005)

    busy = asyncio.create_task(others())
    await until(lambda: stage.api.reads.count("get Secret login") >= 2)
    busy.cancel()


async def test_a_url_that_is_none_is_told_and_ends_nothing(stage: Stage) -> None:
    stage.declare(url="http://[fd00::1:5000")
    ready = await stage.told(lambda ready: ready["status"] == "False")
    assert ready["reason"] == Reason.INVALID_SPEC
    assert "spec.url" in ready["message"]
    stage.declare()
    await stage.told(lambda ready: ready["status"] == "True")


async def test_a_ca_that_is_not_the_servers_and_then_mended(stage: Stage, tmp_path: Path) -> None:
    """The message says to check the Secret: whoever does is not told the same for ever."""
    (ours, tls), (other, _) = (certificate(tmp_path) for _ in range(2))

    def secret(pem: str) -> None:
        data = {"ca.crt": base64.b64encode(pem.encode()).decode()}
        stage.api.put(SECRET, {"metadata": {"name": "mlflow-ca", "namespace": HOME}, "data": data})

    def looks() -> int:
        return stage.api.reads.count("get Secret mlflow-ca")

    secured = FakeMlflow()
    await secured.start(tls)
    secret(other)
    stage.declare(url=secured.url, tls={"caSecretName": "mlflow-ca"})
    ready = await stage.told(lambda ready: ready["reason"] == Reason.REGISTRY_UNAVAILABLE)
    assert "check tls.caSecretName" in ready["message"]
    # Its second failure is the last news of the registry: further looks at the Secret have no other cause than itself.
    seen = looks()
    await until(lambda: looks() > seen + 3)
    secret(ours)
    await stage.told(lambda ready: ready["status"] == "True")
    await stage.resolved(VERSION)
    await secured.stop()


async def test_a_ca_with_comments_in_another_language(stage: Stage, tmp_path: Path) -> None:
    ca, tls = certificate(tmp_path)
    secured = FakeMlflow()
    await secured.start(tls)
    data = {"ca.crt": base64.b64encode(f"# AC Raíz\n{ca}# Ende für heute\n".encode()).decode()}
    stage.api.put(SECRET, {"metadata": {"name": "mlflow-ca", "namespace": HOME}, "data": data})
    stage.declare(url=secured.url, tls={"caSecretName": "mlflow-ca"})
    await stage.told(lambda ready: ready["status"] == "True")
    await secured.stop()


async def test_a_ca_that_is_not_pem(stage: Stage, tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(certificate(tmp_path)[0])
    data = {"ca.crt": base64.b64encode(der).decode()}
    stage.api.put(SECRET, {"metadata": {"name": "mlflow-ca", "namespace": HOME}, "data": data})
    stage.declare(tls={"caSecretName": "mlflow-ca"})
    ready = await stage.told(lambda ready: ready["status"] == "False")
    assert ready["reason"] == Reason.INVALID_SECRET
    assert "is not PEM" in ready["message"]


async def test_a_model_deployment_that_moves_to_another_registry(stage: Stage) -> None:
    stage.declare()
    stage.note(ALIAS)
    status = await stage.followed(1)
    assert status["conditions"][0]["status"] == "True"
    stage.note(Model(registry="elsewhere", name="iris", alias="champion"))
    await stage.followed(0)


async def test_a_registry_that_is_deleted(stage: Stage) -> None:
    pinned = await followed_and_quiet(stage)
    body = stage.api.of(MODEL_REGISTRY, HOME, "default")
    stage.api.remove(MODEL_REGISTRY, HOME, "default")
    stage.registries.take("DELETED", body)
    await stage.woken()
    found, _ = await stage.ask(ALIAS, pinned)
    assert isinstance(found, Problem)
    assert found.reason is Reason.REGISTRY_NOT_FOUND
    assert stage.registries.polled() == {}


async def test_a_registry_whose_deletion_no_watch_told(stage: Stage) -> None:
    stage.declare()
    await stage.resolved(VERSION)
    await stage.registries.refresh()
    await stage.resolved(VERSION)
    stage.api.remove(MODEL_REGISTRY, HOME, "default")
    await stage.registries.refresh()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not isinstance(found := (await stage.ask(VERSION))[0], Problem):  # noqa: ASYNC110 (polls, as people do)
            await asyncio.sleep(0.01)
    assert found.reason is Reason.REGISTRY_NOT_FOUND


async def test_a_registry_that_is_made_again_while_the_lists_are_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list does not have it: that is no news of the one that was made since."""
    stage.declare()
    await stage.resolved(VERSION)
    await stage.told(lambda ready: ready["status"] == "True")
    real = stage.api.pages

    async def late(kind: Kind, *, namespace: str | None = None, selector: str = "") -> AsyncIterator[list[Json]]:
        before = stage.api.of(MODEL_REGISTRY, HOME, "default")
        stage.api.remove(MODEL_REGISTRY, HOME, "default")
        found = [page async for page in real(kind, namespace=namespace, selector=selector)]
        stage.registries.take("DELETED", before)
        stage.declare()
        for page in found:
            yield page

    monkeypatch.setattr(stage.api, "pages", late)
    await stage.registries.refresh()
    await stage.told(lambda ready: ready["status"] == "True")
    await stage.resolved(VERSION)


async def test_a_namespace_that_went_and_came_again_is_no_longer_leaving(stage: Stage) -> None:
    name = {"name": "payments", "labels": {}}
    stage.registries.take_namespace("MODIFIED", {"metadata": {**name, "deletionTimestamp": "2026-11-20T12:00:00Z"}})
    assert stage.registries.leaving("payments")
    # A watch that broke meanwhile lists what there is, and does not tell of the deletion.
    stage.registries.take_namespace(None, {"metadata": name})
    assert not stage.registries.leaving("payments")


async def test_a_poll_that_succeeds_again_is_no_news(stage: Stage) -> None:
    stage.declare()
    stage.note(ALIAS)
    await stage.resolved(ALIAS)
    await stage.told(lambda ready: ready["status"] == "True")
    before = len(stage.api.written)
    polls = len(stage.mlflow.requests)
    await until(lambda: len(stage.mlflow.requests) >= polls + 2)
    assert len(stage.api.written) == before


def gated(pinned: Resolved, **changes: Any) -> Question:
    """What the gates of a rollout ask for a version that was resolved."""
    origin = Origin(pinned.registry, pinned.name, pinned.version, pinned.digest)
    return replace(Question(origin, origin, metrics=True), **changes)


async def test_what_gates_look_at(stage: Stage) -> None:
    stage.declare()
    stage.mlflow.handlers[api("runs/get")] = answer({"run": {"data": {"metrics": [{"key": "f1", "value": 0.9}]}}})
    stage.mlflow.handlers["/model-versions/get-artifact"] = text(
        json.dumps({"flavors": {"sklearn": {}}, "signature": {"inputs": '[{"name": "a", "type": "double"}]'}})
    )
    asked = gated(await stage.resolved(VERSION))
    record = Record("v1", Signature(Schema((Field("a", Scalar("double")),))), (Metric("f1", 0.9),))
    assert await stage.registries.records(KEY, asked) == Records(asked, record, record)
    # At rest it costs nothing: both are the same version, and it is known now.
    runs = stage.mlflow.paths().count(api("runs/get"))
    assert runs == 1
    await stage.registries.records(KEY, asked)
    assert stage.mlflow.paths().count(api("runs/get")) == 1
    await stage.registries.records(KEY, gated(await stage.resolved(VERSION), stable=None, fresh=True))
    assert stage.mlflow.paths().count(api("runs/get")) == 2


async def test_an_alias_that_moves_does_not_read_metrics_anew(stage: Stage) -> None:
    """Another deployment's, say: a version that waits for its metrics would start at once, and not when it is due."""
    stage.declare()
    stage.note(ALIAS)
    stage.mlflow.handlers[api("runs/get")] = answer({"run": {"data": {"metrics": [{"key": "f1", "value": 0.9}]}}})
    await stage.resolved(ALIAS)
    asked = gated(await stage.resolved(VERSION))
    await stage.registries.records(KEY, asked)
    await stage.told(lambda ready: ready["status"] == "True")
    while len(stage.queue):
        await stage.woken()
    stage.mlflow.handlers[api("registered-models/search")] = answer(listing(2))
    await stage.woken()
    await stage.registries.records(KEY, asked)
    assert stage.mlflow.paths().count(api("runs/get")) == 1


async def test_a_stable_version_that_is_gone_is_told_of(stage: Stage) -> None:
    stage.declare()
    asked = gated(await stage.resolved(VERSION), stable=Origin("default", "iris", 7, "d7"), metrics=False)
    stage.mlflow.handlers[api("model-versions/get")] = error(404, "RESOURCE_DOES_NOT_EXIST", "not found")
    found = await stage.registries.records(KEY, asked)
    assert isinstance(found, Records)
    assert found.stable is not None
    assert isinstance(found.stable.signature, Unreadable)
    assert "has no v7 of model 'iris'" in found.stable.signature.why


@pytest.mark.parametrize("part", ["candidate", "stable"])
async def test_without_an_answer_nothing_is_known(stage: Stage, part: str) -> None:
    stage.declare()
    asked = gated(await stage.resolved(VERSION), **{part: Origin("default", "iris", 7, "d7")})
    stage.mlflow.handlers[api("runs/get")] = answer({"run": {}})
    stage.mlflow.handlers[api("model-versions/get")] = error(503, "TEMPORARILY_UNAVAILABLE", "later")
    found = await stage.registries.records(KEY, asked)
    assert isinstance(found, Problem)
    assert found.reason is Reason.REGISTRY_UNAVAILABLE


async def test_a_registry_that_is_not_declared_has_no_records(stage: Stage) -> None:
    stage.declare()
    other = Origin("other", "iris", 1, "d1")
    found = await stage.registries.records(KEY, gated(await stage.resolved(VERSION), candidate=other))
    assert isinstance(found, Problem)
    assert (found.reason, "other" in found.message) == (Reason.REGISTRY_NOT_FOUND, True)


async def test_who_may_not_use_a_registry_gets_no_records(stage: Stage) -> None:
    stage.declare()
    asked = gated(await stage.resolved(VERSION))
    stage.declare(allowedNamespaces={"matchLabels": {"team": "risk"}})
    await stage.told(lambda ready: ready["status"] == "True")
    await until(lambda: stage.registries._connections["default"].declaration.spec.allowed_namespaces is not None)  # type: ignore[union-attr]
    found = await stage.registries.records(KEY, asked)
    assert isinstance(found, Problem)
    assert found.reason is Reason.NAMESPACE_NOT_ALLOWED


async def test_records_that_take_long_are_waited_for_elsewhere(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.declare()
    asked = gated(await stage.resolved(VERSION))
    while len(stage.queue):
        await stage.woken()
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    gate = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await answer({"run": {"data": {"metrics": [{"key": "f1", "value": 0.9}]}}})(request)

    stage.mlflow.handlers[api("runs/get")] = late
    assert await stage.registries.records(KEY, asked) is None
    gate.set()
    await stage.woken()
    found = await stage.registries.records(KEY, asked)
    assert isinstance(found, Records)
    assert found.candidate.metrics == (Metric("f1", 0.9),)
