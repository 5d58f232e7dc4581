"""Prometheus' HTTP API as it answers, and as it fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from collections.abc import Awaitable
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from serin.errors import MetricsError
from serin.metrics import prometheus
from serin.metrics.prometheus import Prometheus

AT = datetime(2026, 11, 20, 12, 0, 0, 250000, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def source(handler: Handler) -> AsyncIterator[Prometheus]:
    app = web.Application()
    app.router.add_post("/prom/api/v1/query", handler)
    async with TestServer(app) as server:
        client = Prometheus(str(server.make_url("/prom/")))
        try:
            yield client
        finally:
            await client.close()


def says(body: Any, status: int = 200) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text=body if isinstance(body, str) else json.dumps(body), status=status)

    return handle


def data(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


async def test_a_vector_as_it_was_asked_for() -> None:
    asked: dict[str, str] = {}

    async def handle(request: web.Request) -> web.Response:
        asked.update({key: str(value) for key, value in (await request.post()).items()})
        vector = [{"metric": {"serin_count": "bad"}, "value": [1, "7"]}, {"metric": {}, "value": [1, "NaN"]}]
        return web.json_response(data("vector", vector))

    async with source(handle) as client:
        first, second = await client.query("sum(x)", AT)
    whole = {"partial_response": "false", "deny_partial_response": "1"}
    assert asked == {"query": "sum(x)", "time": "1795176000.250", "timeout": "5s", **whole}
    assert (dict(first.labels), first.value) == ({"serin_count": "bad"}, 7.0)
    assert second.value != second.value, "NaN stays what it is"


@pytest.mark.parametrize(("asks", "whole"), [("partial_response", "false"), ("deny_partial_response", "1")])
async def test_half_an_answer_is_none(asks: str, whole: str) -> None:
    """With one of its stores away Thanos, or VictoriaMetrics, tells what the others have, unless it is asked not to."""

    async def handle(request: web.Request) -> web.Response:
        if (await request.post()).get(asks) != whole:
            return web.json_response(data("vector", [{"metric": {}, "value": [1, "0"]}]))
        refusal = {"status": "error", "errorType": "execution", "error": "a store is away"}
        return web.json_response(refusal, status=422)

    async with source(handle) as client:
        with pytest.raises(MetricsError, match="a store is away"):
            await client.query("sum(x)", AT)


async def test_an_answer_that_says_that_it_is_partial_is_none() -> None:
    async with source(says({**data("vector", []), "isPartial": True})) as client:
        with pytest.raises(MetricsError, match="part of what it has"):
            await client.query("sum(x)", AT)
    async with source(says({**data("vector", []), "isPartial": False})) as client:
        assert await client.query("sum(x)", AT) == []


async def test_a_scalar_is_a_number_too() -> None:
    async with source(says(data("scalar", [1, "0.5"]))) as client:
        (only,) = await client.query("scalar(x)", AT)
    assert (dict(only.labels), only.value) == ({}, 0.5)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (
            says({"status": "error", "errorType": "bad_data", "error": "parse error"}, 400),
            "refused the query: bad_data",
        ),
        (says("<html>no</html>", 502), "answered HTTP 502 (Bad Gateway), which is no answer to a query"),
        (says("", 302), "answered HTTP 302"),
        (says(data("matrix", [])), "the query gives a matrix: it must give one number"),
        (says(data("vector", [{"metric": {}}])), "gave an answer that cannot be read"),
        (says("[" * 100_000), "answered HTTP 200 (OK), which is no answer to a query"),
        (says("[]"), "answered HTTP 200 (OK), which is no answer to a query"),
        (says({"status": "success", "data": []}), "gave an answer that cannot be read"),
        (says(data("scalar", [1, int("9" * 400)])), "gave an answer that cannot be read"),
        (says(data("vector", [{"metric": {}, "value": [1, int("9" * 400)]}])), "gave an answer that cannot be read"),
        (says(" " * (prometheus.LARGEST_ANSWER + 1)), "aggregate in the query"),
        (says({"status": "error", "errorType": "x", "error": "y" * 10_000}), "refused the query: x: yyy"),
    ],
)
async def test_what_goes_wrong_is_told_in_a_sentence(handler: Handler, words: str) -> None:
    async with source(handler) as client:
        with pytest.raises(MetricsError) as refusal:
            await client.query("x", AT)
    assert words in refusal.value.message
    assert len(refusal.value.message) < 400


async def test_nobody_there_and_no_word_of_a_password() -> None:
    client = Prometheus("http://anna:secret@127.0.0.1:1")
    with pytest.raises(MetricsError) as refusal:
        await client.query("x", AT)
    await client.close()
    assert "cannot be reached" in refusal.value.message
    assert "secret" not in refusal.value.message


async def test_redirects_are_not_followed() -> None:
    async def handle(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/elsewhere")

    async with source(handle) as client:
        with pytest.raises(MetricsError, match="answered HTTP 302"):
            await client.query("x", AT)
