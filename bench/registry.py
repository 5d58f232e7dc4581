"""An MLflow server with as many models as the benchmark needs, over real HTTP: the fake that the unit tests use.

Each contestant has a server of its own, which notes when an answer first showed a moved alias.
"""

from __future__ import annotations

import json
import re
import time

from aiohttp import web

from tests.unit.registry.fake import MLMODEL
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import answer
from tests.unit.registry.fake import api
from tests.unit.registry.fake import text

ALIAS = "champion"
_QUOTED = re.compile(r"'([^']+)'")


class Registry:
    """One server for one contestant, with as many models as are put into ``champions``."""

    def __init__(self) -> None:
        self.champions: dict[str, int] = {}
        """By model: the version that its alias points at."""
        self.shown: dict[tuple[str, int], float] = {}
        """Seconds since the epoch at which a listing first showed that version of that model under the alias."""
        self.listings = 0
        self._server = FakeMlflow()
        self._server.handlers = {
            "/version": text("3.17.2"),
            api("registered-models/search"): self._search,
            api("model-versions/get"): self._version,
            api("model-versions/get-download-uri"): self._uri,
            "/model-versions/get-artifact": text(MLMODEL.decode()),
            api("registered-models/get"): answer({"registered_model": {"name": "unused"}}),
        }

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    async def start(self) -> None:
        """Start listening on a free port of loopback."""
        await self._server.start()

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def _search(self, request: web.Request) -> web.Response:
        self.listings += 1
        query = request.query
        start = int(query.get("page_token") or 0)
        end = start + int(query["max_results"])
        only = _QUOTED.findall(query["filter"]) if "filter" in query else sorted(self.champions)
        names = [name for name in only if name in self.champions]
        page = {name: self.champions[name] for name in names[start:end]}
        body = {
            "registered_models": [
                {
                    "name": name,
                    "creation_timestamp": 1790000000000,
                    "last_updated_timestamp": 1790000000000,
                    "aliases": [{"alias": ALIAS, "version": str(version)}],
                }
                for name, version in page.items()
            ],
            **({"next_page_token": str(end)} if end < len(names) else {}),
        }
        said = json.dumps(body)
        now = time.time()
        for seen in page.items():
            self.shown.setdefault(seen, now)
        return web.Response(text=said, content_type="application/json")

    async def _version(self, request: web.Request) -> web.Response:
        name, version = request.query["name"], request.query["version"]
        found = {"name": name, "version": version, "run_id": "r1", "model_id": "m-1", "status": "READY"}
        return web.json_response({"model_version": found})

    async def _uri(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"artifact_uri": f"s3://models/{request.query['name']}/{request.query['version']}/artifacts"}
        )
