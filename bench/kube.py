"""The benchmark's own requests to the API server: aiohttp and nothing else, so that the bare client is really bare."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any
from typing import Self

import aiohttp

from serin.api.kinds import Kind

Json = dict[str, Any]

MERGE = "application/merge-patch+json"
PAGE = 500


class RefusedError(Exception):
    """The API server refused a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Kube:
    """One user's connection to one API server, by the client certificate of that user in ``pki``."""

    def __init__(self, url: str, pki: Path, user: str = "admin") -> None:
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
        self._session = aiohttp.ClientSession(
            base_url=url,
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=30),
            read_bufsize=1 << 21,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def create(self, kind: Kind, namespace: str | None, body: Json, manager: str | None = None) -> Json:
        """Create an object, as that field manager; its kind and apiVersion are added."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return await self._send("POST", kind.path(namespace), whole, "application/json", manager)

    async def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        patch: Json,
        subresource: str | None = None,
        manager: str | None = None,
    ) -> Json:
        """Change an object by a JSON merge patch, as that field manager."""
        return await self._send("PATCH", kind.path(namespace, name, subresource), patch, MERGE, manager)

    async def delete(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """Delete an object; what belongs to it goes in the background."""
        return await self._send("DELETE", kind.path(namespace, name), {}, "application/json")

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Json], str]:
        """All objects in all namespaces, and the resourceVersion to watch from."""
        items: list[Json] = []
        query = {"limit": str(PAGE), "labelSelector": selector}
        while True:
            async with self._session.get(kind.path(None), params=query) as response:
                page = await _read(response)
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = page["metadata"]["continue"]

    async def watch(self, kind: Kind, version: str, selector: str = "") -> AsyncIterator[tuple[str, Json]]:
        """Types of events and objects, from that resourceVersion on, until the API server ends it."""
        query = {"watch": "true", "resourceVersion": version, "labelSelector": selector, "timeoutSeconds": "3600"}
        async with self._session.get(kind.path(None), params=query) as response:
            response.raise_for_status()
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    async def follow(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[str, Json]]:
        """What there is and then every event, for ever; what there is counts as ADDED."""
        while True:
            items, version = await self.list(kind, selector)
            for item in items:
                yield "ADDED", item
            async for event in self.watch(kind, version, selector):
                yield event

    async def _send(self, method: str, path: str, body: Json, content_type: str, manager: str | None = None) -> Json:
        headers = {"Content-Type": content_type}
        query = {"fieldManager": manager} if manager is not None else None
        data = json.dumps(body)
        async with self._session.request(method, path, params=query, data=data, headers=headers) as response:
            return await _read(response)


async def _read(response: aiohttp.ClientResponse) -> Json:
    raw = await response.read()
    if response.status >= 400:
        raise RefusedError(response.status, raw[:300].decode(errors="replace"))
    answer: Json = json.loads(raw)
    return answer
