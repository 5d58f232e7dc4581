"""The one thing the API server asks a kubelet for in these tests: the log of a container that ended."""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import web

from e2e.cluster.pki import Authority

NODE = "played"


class Kubelet:
    """Serves ``logs``, by namespace and pod, over TLS on loopback."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, str], str] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, pki: Path) -> int:
        """Listen; gives the port."""
        Authority.of(pki).server("played-kubelet", ["127.0.0.1"])
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pki / "played-kubelet.crt", pki / "played-kubelet.key")
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._log)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Listen no longer."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _log(self, request: web.Request) -> web.Response:
        text = self.logs.get((request.match_info["namespace"], request.match_info["pod"]))
        if text is None:
            return web.Response(status=404)
        return web.Response(text=text)
