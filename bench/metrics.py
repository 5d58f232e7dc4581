"""A Prometheus that is played: both revisions get a steady stream of requests, none of which fails."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiohttp import web

from serin.analysis.runtimes import REVISION_SERIES_LABEL

REQUESTS_PER_SECOND = 40.0
_REVISIONS = re.compile(rf'{REVISION_SERIES_LABEL}=~"([^"]+)"')
_SINCE = re.compile(r" @ ([0-9.]+)")


class Metrics:
    """The server."""

    def __init__(self) -> None:
        self.queries = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        app = web.Application()
        app.router.add_post("/api/v1/query", self._query)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        self.queries += 1
        form = await request.post()
        query, at = str(form["query"]), float(str(form["time"]))
        result = [
            {"metric": {REVISION_SERIES_LABEL: revision, "serin_count": count}, "value": [at, f"{value:g}"]}
            for revision, count, value in _counts(query, at)
        ]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


def _counts(query: str, at: float) -> Iterator[tuple[str, str, float]]:
    revisions, since = _REVISIONS.search(query), _SINCE.search(query)
    assert revisions is not None
    assert since is not None
    for revision in revisions[1].split("|"):
        yield revision, "up", 1
        yield revision, "requests", round(REQUESTS_PER_SECOND * (at - float(since[1])))
        yield revision, "bad", 0
