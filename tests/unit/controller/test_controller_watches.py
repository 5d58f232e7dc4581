"""kopf in earnest, and an API server that answers its watches with what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from collections.abc import Callable
from typing import Any

import kopf
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import Kind
from serin.cluster import client
from serin.cluster.client import Client
from serin.cluster.limiter import TokenBucket
from serin.controller import handlers
from serin.controller import watches
from serin.controller.watches import Watches
from serin.nesting import LEVELS
from tests.unit.controller.test_controller_reconcile import nested

Json = dict[str, Any]
KINDS = (MODEL_DEPLOYMENT, HTTP_ROUTE)
PATIENCE_SECONDS = 20.0


class Server:
    """An API server with two kinds, as far as kopf looks at it.

    ``faults``: what the next requests for HTTPRoutes meet, one after the other. ``absent``: kinds that are not there.
    """

    def __init__(self) -> None:
        self.faults: list[Json] = []
        self.absent: set[Kind] = set()
        self.more: Json = {}
        """What the objects have besides."""
        self.lists: Counter[Kind] = Counter()
        self.watching: Counter[Kind] = Counter()
        """Watches that are open."""
        self.url = ""
        self.prefix = ""
        """Of all paths."""
        self._end = asyncio.Event()

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner

    def end_watches(self) -> None:
        """End all watches: their resourceVersion is too old for another one."""
        self._end.set()
        self._end = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith(self.prefix):
            return web.Response(status=404)
        path = request.path.removeprefix(self.prefix)
        kind = next((kind for kind in KINDS if path == kind.path(None)), None)
        if kind is None:
            return web.json_response(self._discovery(path))
        fault = self.faults.pop(0) if kind is HTTP_ROUTE and self.faults and _meets(self.faults[0], request) else None
        if fault is not None and "code" in fault:
            headers = {"Retry-After": fault["after"]} if "after" in fault else {}
            body = {"kind": "Status", "code": fault["code"], "message": "no"}
            return web.json_response(body, status=fault["code"], headers=headers)
        if "watch" in request.query:
            return await self._watch(request, kind, fault)
        self.lists[kind] += 1
        name = f"of-list-{self.lists[kind]}"
        body = {"metadata": {"name": name, "namespace": "payments", "uid": f"{kind.plural}-{name}"}, **self.more}
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": [body]})

    async def _watch(self, request: web.Request, kind: Kind, fault: Json | None) -> web.StreamResponse:
        response, end = web.StreamResponse(), self._end
        await response.prepare(request)
        self.watching[kind] += 1
        try:
            if fault is None:
                await end.wait()
                fault = {"event": {"type": "ERROR", "object": {"code": 410}}}
            event = fault["event"]
            await response.write(event.encode() if isinstance(event, str) else json.dumps(event).encode() + b"\n")
        finally:
            self.watching[kind] -= 1
        return response

    def _discovery(self, path: str) -> Json:
        there = [kind for kind in KINDS if kind not in self.absent]

        def resource(name: str, plural: str) -> Json:
            verbs = ["list", "watch", "get", "patch"]
            return {"kind": name, "name": plural, "singularName": name.lower(), "namespaced": True, "verbs": verbs}

        def group(name: str, version: str) -> Json:
            versions = [{"version": version, "groupVersion": f"{name}/{version}"}]
            return {"name": name, "versions": versions, "preferredVersion": versions[0]}

        known: dict[str, Json] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {"resources": [resource("Namespace", "namespaces"), resource("Event", "events")]},
            "/apis": {
                "groups": [group(one.group, one.version) for one in there] + [group("apiextensions.k8s.io", "v1")]
            },
            "/apis/apiextensions.k8s.io/v1": {
                "resources": [resource("CustomResourceDefinition", "customresourcedefinitions")]
            },
            **{f"/apis/{one.api_version}": {"resources": [resource(one.kind, one.plural)]} for one in there},
        }
        return known.get(path, {"metadata": {"resourceVersion": "1"}, "items": []})


def _meets(fault: Json, request: web.Request) -> bool:
    return ("watch" in request.query) == bool(fault.get("watch") or "event" in fault)


class Watching:
    """Watches of both kinds of the server."""

    def __init__(self, server: Server) -> None:
        self.seen: set[tuple[Kind, str]] = set()
        self.missed = 0
        self.stop = asyncio.Event()
        self._server = server
        loop = asyncio.get_running_loop()
        api = ApiClient(Configuration(host=server.url))
        self.client = Client(api, TokenBucket(1000, 1000, loop.time), lambda *_: None, loop.time)
        self.watches = Watches(KINDS, self.client.session, self.client.serves, self._miss)
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for kind in KINDS:
            handlers.on(registry, kind, self._sink(kind))
        self.task = asyncio.create_task(self.watches.run(registry, handlers.settings(), self.stop))

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        return await self.watches.login()

    def _sink(self, kind: Kind) -> Callable[[str | None, Json], None]:
        return lambda _, body: self.seen.add((kind, body["metadata"]["name"]))

    def _miss(self) -> None:
        self.missed += 1

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                assert not self.task.done(), self.task.exception()
                await asyncio.sleep(0.01)

    async def sees(self, kind: Kind, number: int) -> None:
        """The objects of the list with that number, and a watch after it."""
        await self.until(lambda: (kind, f"of-list-{number}") in self.seen and self._server.watching[kind] > 0)


@contextlib.asynccontextmanager
async def watching(server: Server) -> AsyncIterator[Watching]:
    one = Watching(server)
    yield one
    one.task.cancel()
    await asyncio.wait([one.task])
    await one.client.close()


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(watches, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(client, "TOKEN_SECONDS", 0.01)
    monkeypatch.setattr(watches, "APPEARS_SECONDS", 0.05)
    monkeypatch.setattr(watches, "RETRIES", (0.01,))
    server = Server()
    runner = await server.start()
    yield server
    await runner.cleanup()


NO_LEADER = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcdserver: no leader"}}


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 404},
        {"code": 404, "watch": True},
        {"event": NO_LEADER},
        {"event": '{"type": "MODIFIED", "object": {"metadata": {"na'},
        {"event": '{"kind": "Status", "status": "Failure"}'},
        {"event": "null"},
        {"event": '{"type": "ADDED", "object": null}'},
        {"event": '{"type": "ADDED", "object": {"metadata": 7}}'},
        # Deeper than any API server takes it.
        {"event": '{"a": ' * LEVELS + "1" + "}" * LEVELS},
        {"code": 429, "after": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ],
    ids=[
        "a kind that discovery shows and nobody serves",
        "a kind that goes",
        "an error in a stream",
        "a stream that ends within a line",
        "a line that is no event",
        "a line that is nothing",
        "an event without an object",
        "an object without a name",
        "an object that cannot be read",
        "a moment to come back that kopf cannot read",
    ],
)
async def test_watches_that_break_begin_anew_beside_everything_else(server: Server, fault: Json) -> None:
    server.faults = [fault]
    elsewhere = asyncio.create_task(asyncio.Event().wait())
    async with watching(server) as one:
        await one.sees(MODEL_DEPLOYMENT, 2)
        await one.sees(HTTP_ROUTE, server.lists[HTTP_ROUTE])
        await one.until(one.watches.ready.is_set)
        # Once, and not once for each time that watching began.
        await one.until(lambda: server.watching == dict.fromkeys(KINDS, 1))
        assert one.missed > 0
        assert not elsewhere.done()
    elsewhere.cancel()


@pytest.mark.parametrize("code", [403, 429, 503])
async def test_an_api_server_that_refuses_is_asked_again_without_end(server: Server, code: int) -> None:
    """By default kopf ends itself after eight times."""
    server.faults = [{"code": code}] * 20
    async with watching(server) as one:
        await one.sees(MODEL_DEPLOYMENT, 1)
        assert not one.watches.ready.is_set(), "not all is listed"
        await one.sees(HTTP_ROUTE, 1)
        await one.until(one.watches.ready.is_set)
        assert (server.lists[MODEL_DEPLOYMENT], one.missed) == (1, len(KINDS)), "a list that is refused shows nothing"


@pytest.mark.parametrize("watch", [False, True])
async def test_a_token_that_is_not_known_any_more_is_waited_for(server: Server, watch: bool) -> None:
    """kopf would close its session, under all other watches, too."""
    server.faults = [{"code": 401, "watch": watch}] * 3
    async with watching(server) as one:
        await one.sees(HTTP_ROUTE, 1)
        assert server.lists == dict.fromkeys(KINDS, 1)


async def test_a_kind_that_appears_is_watched(server: Server) -> None:
    server.absent = {HTTP_ROUTE}
    async with watching(server) as one:
        await one.sees(MODEL_DEPLOYMENT, 1)
        await one.until(one.watches.ready.is_set)
        assert server.lists[HTTP_ROUTE] == 0
        server.absent = set()
        await one.sees(HTTP_ROUTE, 1)
        await one.until(lambda: server.watching == dict.fromkeys(KINDS, 1))


async def test_every_list_may_have_missed_something(server: Server) -> None:
    """The first one, too: the caches were filled before it."""
    async with watching(server) as one:
        for kind in KINDS:
            await one.sees(kind, 1)
        assert one.missed == len(KINDS)
        server.end_watches()
        for kind in KINDS:
            await one.sees(kind, 2)
        assert one.missed == 2 * len(KINDS)
        assert one.watches.ready.is_set()


async def test_a_signal_ends_it(server: Server) -> None:
    async with watching(server) as one:
        await one.sees(HTTP_ROUTE, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(one.task, PATIENCE_SECONDS)
        assert one.stop.is_set()
        assert not one.watches.ready.is_set()
        assert server.lists == dict.fromkeys(KINDS, 1)


@pytest.mark.usefixtures("any_depth")
async def test_an_object_that_is_nested_deeper_than_python_likes_ends_nothing(server: Server) -> None:
    deep = server.more = {"spec": nested(4000)}
    event = {"type": "MODIFIED", "object": {"metadata": {"name": "deep", "uid": "deep"}, **deep}}
    server.faults = [{"event": event}]
    async with watching(server) as one:
        await one.sees(HTTP_ROUTE, 1)
        await one.until(lambda: (HTTP_ROUTE, "deep") in one.seen)
        assert server.lists == dict.fromkeys(KINDS, 1)


async def test_an_api_server_under_a_path_is_listed_as_well(server: Server) -> None:
    server.prefix = "/k8s/clusters/c-1"
    server.url += f"{server.prefix}/"
    async with watching(server) as one:
        await one.sees(HTTP_ROUTE, 1)
        await one.until(one.watches.ready.is_set)
        assert one.missed == len(KINDS)
