"""Requests as the API server gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cluster.client import Client
from serin.cluster.limiter import TokenBucket


class Asked:
    """An API server that says yes, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path, dict(request.query)))
        return web.json_response({})


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest_asyncio.fixture
async def client(asked: Asked) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", asked)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    client = Client(ApiClient(configuration), TokenBucket(100, 100, lambda: 0.0), lambda *_: None, lambda: 0.0)
    yield client
    await client.close()
    await runner.cleanup()


async def test_what_the_cluster_does_not_know_is_to_be_refused_not_dropped(client: Client, asked: Asked) -> None:
    route = "/apis/gateway.networking.k8s.io/v1/namespaces/n/httproutes"
    await client.create(HTTP_ROUTE, "n", {})
    await client.patch(HTTP_ROUTE, "n", "a", {}, version="1")
    await client.scale("n", "a", 2, version="1")
    strict = {"fieldManager": "serin", "fieldValidation": "Strict"}
    assert asked.requests == [
        ("POST", route, strict),
        ("PATCH", f"{route}/a", strict),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a/scale", strict),
    ]


async def test_a_status_may_have_fields_that_an_older_cluster_drops(client: Client, asked: Asked) -> None:
    """Between the upgrades of the operator and of its custom resources it is told without them."""
    await client.apply_status(MODEL_DEPLOYMENT, "n", "a", {}, version="1")
    [(_, _, query)] = asked.requests
    assert query == {"fieldManager": "serin", "force": "true"}
