"""A registry that answers as it is told, over real HTTP on loopback: what MLflow and what stands before it may send."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Mapping

from aiohttp import web

MLMODEL = b"flavors:\n  python_function: {}\n  sklearn: {}\nmodel_id: m-1\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeMlflow:
    """Handlers by path; what is not set answers as an MLflow that holds one model ``iris`` with version 1."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.handlers: dict[str, Handler] = {
            "/version": text("3.17.2"),
            api("registered-models/search"): answer(
                {"registered_models": [{"name": "iris", "aliases": [{"alias": "champion", "version": "1"}]}]}
            ),
            api("registered-models/get"): answer({"registered_model": {"name": "iris"}}),
            api("model-versions/get"): answer(
                {"model_version": {"run_id": "r1", "model_id": "m-1", "status": "READY"}}
            ),
            api("model-versions/get-download-uri"): answer({"artifact_uri": "s3://models/1/m-1"}),
            "/model-versions/get-artifact": text(MLMODEL.decode()),
        }
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'http' if tls is None else 'https'}://{host}:{port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def paths(self) -> list[str]:
        """Paths that were asked for, in order."""
        return [request.path for request in self.requests]

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        handler = self.handlers.get(request.path)
        if handler is None:
            return web.Response(status=404, text="<h1>Not Found</h1>", content_type="text/html")
        return await handler(request)


def api(path: str) -> str:
    return f"/api/2.0/mlflow/{path}"


def text(
    body: str, *, status: int = 200, content_type: str = "text/plain", headers: Mapping[str, str] | None = None
) -> Handler:
    """An answer that is not JSON."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type, headers=headers)

    return handle


def answer(body: object, status: int = 200) -> Handler:
    """A JSON answer."""
    return text(json.dumps(body), status=status, content_type="application/json")


def error(status: int, code: str, message: str) -> Handler:
    """A refusal in MLflow's own form."""
    return answer({"error_code": code, "message": message}, status)


MISSING = error(404, "RESOURCE_DOES_NOT_EXIST", "not found")


async def never(_: web.Request) -> web.StreamResponse:
    """Hangs before the status line."""
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def drip(request: web.Request) -> web.StreamResponse:
    """A byte every 50 ms: no single read ever times out."""
    response = web.StreamResponse(headers={"Content-Length": "100000"})
    await response.prepare(request)
    for _ in range(100_000):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response
