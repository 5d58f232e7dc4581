"""kopf in earnest, and an API server that answers its watches with what ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest
import pytest_asyncio
from aiohttp import web

from serin.controller import handlers
from serin.controller import watches
from serin.controller.watches import watch

Json = dict[str, Any]
KIND = ("serin.dev", "v1alpha1", "modeldeployments")
PATIENCE_SECONDS = 20.0


class Server:
    """An API server with one kind of objects, as far as kopf looks at it. ``faults``: what the next requests for the
    objects meet, one after the other."""

    def __init__(self) -> None:
        self.faults: list[Json] = []
        self.lists = 0
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        if "watch" in request.query:
            return await self._watch(request)
        if path.endswith(KIND[2]):
            if self.faults and "list" in self.faults[0]:
                code = self.faults.pop(0)["list"]
                body = {"kind": "Status", "code": code, "message": "the server could not find the requested resource"}
                return web.json_response(body, status=code)
            self.lists += 1
            body = {"metadata": {"name": f"of-list-{self.lists}", "namespace": "payments", "uid": str(self.lists)}}
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": [body]})
        return web.json_response(_discovery(path))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path.endswith(KIND[2]) and self.faults and "event" in self.faults[0]:
            await response.write(json.dumps(self.faults.pop(0)["event"]).encode() + b"\n")
        else:
            await asyncio.Event().wait()
        return response


def _discovery(path: str) -> Json:
    def kind(name: str, plural: str) -> Json:
        verbs = ["list", "watch", "get", "patch"]
        return {"kind": name, "name": plural, "singularName": name.lower(), "namespaced": True, "verbs": verbs}

    def group(name: str, version: str) -> Json:
        versions = [{"version": version, "groupVersion": f"{name}/{version}"}]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    known: dict[str, Json] = {
        "api": {"versions": ["v1"]},
        "api/v1": {"resources": [kind("Namespace", "namespaces"), kind("Event", "events")]},
        "apis": {"groups": [group(*KIND[:2]), group("apiextensions.k8s.io", "v1")]},
        "apis/apiextensions.k8s.io/v1": {"resources": [kind("CustomResourceDefinition", "customresourcedefinitions")]},
        f"apis/{KIND[0]}/{KIND[1]}": {"resources": [kind("ModelDeployment", KIND[2])]},
    }
    return known.get(path, {"metadata": {"resourceVersion": "1"}, "items": []})


class Watched:
    """What the watches told, and how often they began anew."""

    def __init__(self, server: Server) -> None:
        self.seen: list[str] = []
        self.anew = 0
        self.ready = asyncio.Event()
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=server.url)

        @kopf.on.event(*KIND, registry=registry, id="seen")
        async def event(name: str, **_: Any) -> None:
            self.seen.append(name)

        self.task = asyncio.create_task(watch(registry, handlers.settings(), self.ready, self._broke))

    def _broke(self) -> None:
        self.anew += 1

    async def sees(self, name: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while name not in self.seen:
                assert not self.task.done(), self.task.exception()
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(watches, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(watches, "RETRIES", (0.01,))
    server = Server()
    runner = await server.start()
    yield server
    await runner.cleanup()


@contextlib.asynccontextmanager
async def watching(server: Server) -> AsyncIterator[Watched]:
    watched = Watched(server)
    yield watched
    watched.task.cancel()
    await asyncio.wait([watched.task])


@pytest.mark.parametrize(
    "fault",
    [
        {"list": 404},
        {"event": {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcdserver: no leader"}}},
    ],
    ids=["a kind that discovery shows and nobody serves", "an error in a stream"],
)
async def test_watches_that_break_begin_anew_beside_everything_else(server: Server, fault: Json) -> None:
    server.faults = [fault]
    elsewhere = asyncio.create_task(asyncio.Event().wait())
    async with watching(server) as watched:
        await watched.sees("of-list-1" if "list" in fault else "of-list-2")
        assert watched.anew == 1
        assert watched.ready.is_set()
        assert not elsewhere.done()
    elsewhere.cancel()


async def test_an_api_server_that_refuses_is_asked_again_without_end(server: Server) -> None:
    """By default kopf ends itself after eight times."""
    server.faults = [{"list": 503}] * 20
    async with watching(server) as watched:
        await watched.sees("of-list-1")
        assert watched.anew == 0


async def test_a_signal_ends_it(server: Server) -> None:
    async with watching(server) as watched:
        await watched.sees("of-list-1")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(watched.task, PATIENCE_SECONDS)
        assert not watched.ready.is_set()
        assert watched.anew == 0
