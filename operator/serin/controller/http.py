"""Metrics and probes over HTTP.

Liveness asks only whether this process still turns; a dead API server or registry is no reason to restart. Readiness
says that the watches run.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


async def serve(
    host: str | None, port: int, registry: CollectorRegistry, alive: Callable[[], bool], ready: Callable[[], bool]
) -> tuple[web.AppRunner, int]:
    """Serve /metrics, /healthz and /readyz; on every address where no host is named. Returns the runner, to be cleaned
    up, and the port."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    def probe(answer: Callable[[], bool]) -> Callable[[web.Request], object]:
        async def handle(_: web.Request) -> web.Response:
            return web.Response(text="ok\n") if answer() else web.Response(text="no\n", status=503)

        return handle

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", probe(alive))  # type: ignore[arg-type]
    app.router.add_get("/readyz", probe(ready))  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.SockSite(runner, _everywhere(port)) if host is None else web.TCPSite(runner, host, port)
    await site.start()
    bound: int = runner.addresses[0][1]
    return runner, bound


def _everywhere(port: int) -> socket.socket:
    """One socket for IPv4 and IPv6: the kubelet and Prometheus come by the pod's first address, of either family."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            # The kernel knows IPv6, and it is turned off.
            if error.errno != errno.EADDRNOTAVAIL:
                raise
    return socket.create_server(("", port))
