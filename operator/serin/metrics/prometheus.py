"""Prometheus, or anything that speaks its HTTP API (Thanos, Mimir, VictoriaMetrics): one instant query at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

import aiohttp

from serin.analysis.queries import Series
from serin.errors import MetricsError
from serin.metrics import UNREADABLE

TIMEOUT_SECONDS = 5.0
LARGEST_ANSWER = 1_000_000
"""Bytes. What is asked for has a handful of series."""
# With one of its stores away, each tells what the others have unless it is asked not to: Thanos (pkg/api/query/v1.go)
# and VictoriaMetrics (lib/httputils). Few requests, and none that failed, would be taken for a good sign.
WHOLE = {"partial_response": "false", "deny_partial_response": "1"}
SHOWN = 300
"""Characters of a refusal that are told."""


class Prometheus:
    """A source of measurements. To be used from one event loop."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._session: aiohttp.ClientSession | None = None

    async def query(self, promql: str, at: datetime) -> list[Series]:
        """The elements of the result at a moment. Raises MetricsError, whose words are fit for the status."""
        form = {"query": promql, "time": f"{at.timestamp():.3f}", "timeout": f"{TIMEOUT_SECONDS:g}s"} | WHOLE
        session = self._open()
        try:
            # No redirects: the answer shall come from where the platform team said.
            async with session.post(self._url, data=form, allow_redirects=False) as response:
                body, status = await _read(response), response.status
        except TimeoutError as error:
            raise MetricsError(f"Prometheus does not answer within {TIMEOUT_SECONDS:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise MetricsError(f"Prometheus cannot be reached: {_plain(error)}") from error
        return list(_series(_result(status, body)))

    async def close(self) -> None:
        """Close its connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS + 1.0, connect=TIMEOUT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise MetricsError("Prometheus gave more than a query of this kind can need: aggregate in the query")
    return bytes(body)


def _plain(error: Exception) -> str:
    """Why, without the URL: there may be a password in it."""
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or type(error).__name__


def _result(status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
        if answer["status"] == "success" and answer.get("isPartial"):
            raise MetricsError("Prometheus gave only part of what it has: one of its stores is away")
        if answer["status"] == "success":
            data: dict[str, Any] = answer["data"]
            return data
        words = f"{answer.get('errorType', 'error')}: {answer.get('error', '')}"[:SHOWN]
    except UNREADABLE as error:
        name = HTTPStatus(status).phrase if status in set(HTTPStatus) else "unknown"
        raise MetricsError(f"Prometheus answered HTTP {status} ({name}), which is no answer to a query") from error
    raise MetricsError(f"Prometheus refused the query: {words}")


def _series(data: dict[str, Any]) -> Iterator[Series]:
    try:
        if data["resultType"] == "scalar":
            yield Series({}, float(data["result"][1]))
        elif data["resultType"] == "vector":
            for element in data["result"]:
                yield Series(dict(element["metric"]), float(element["value"][1]))
        else:
            raise MetricsError(f"the query gives a {data['resultType']}: it must give one number")
    except UNREADABLE as error:
        raise MetricsError("Prometheus gave an answer that cannot be read") from error
