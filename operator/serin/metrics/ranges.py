"""Prometheus as a person asks it: the values of a query over a stretch of time, one question after the other.

The operator's own source is :mod:`serin.metrics.prometheus`, which asks for one moment and never waits; this one is the
command line's. How the question travels (straight, or by way of the API server) is the caller's matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from serin.errors import MetricsError
from serin.metrics import UNREADABLE

Get = Callable[[str, Mapping[str, str]], tuple[int, bytes]]
"""Answers a path and a query with a status and a body. Raises MetricsError where nothing answers."""

TIMEOUT_SECONDS = 30.0
MOST_POINTS = 10_000
"""Prometheus refuses more than 11,000 points of a series (web/api/v1/api.go)."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHOWN = 300
"""Characters of a refusal that are told."""


@dataclass(frozen=True, slots=True)
class Ranged:
    """One series over time: its labels, and its values at the moments at which it has one."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


class Ranges:
    """A source of values over time."""

    def __init__(self, get: Get) -> None:
        self._get = get

    def ask(self, promql: str, start: datetime, end: datetime, step: float) -> list[Ranged]:
        """The series of the result, every ``step`` seconds from start to end. Raises MetricsError."""
        form = {
            "query": promql,
            "start": f"{start.timestamp():.3f}",
            "end": f"{max(start, end).timestamp():.3f}",
            "step": f"{step:.3f}",
            "timeout": f"{TIMEOUT_SECONDS:g}s",
        }
        return list(_series(_result(*self._get("/api/v1/query_range", form))))


def straight(url: str) -> Get:
    """Asks a Prometheus that this machine reaches. A user and password in the URL are its login."""
    import urllib3

    parsed = urllib3.util.parse_url(url)
    headers = urllib3.make_headers(basic_auth=parsed.auth) if parsed.auth else {}
    base = parsed._replace(auth=None, query=None, fragment=None).url.rstrip("/")
    pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(5.0, TIMEOUT_SECONDS + 5.0))

    def get(path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        try:
            # As a form: a question is longer than what many proxies take of a URL. No redirects: the answer shall come
            # from where the person said, and so shall the login go.
            form = urlencode(query)
            answer = pool.request("POST", f"{base}{path}", body=form, headers=headers | FORM, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise MetricsError(f"{base} cannot be reached: {' '.join(str(error).split())}") from error
        return answer.status, answer.data

    return get


def _result(status: int, body: bytes) -> list[Any]:
    try:
        answer = json.loads(body)
        if answer["status"] == "success":
            data = answer["data"]
            if data["resultType"] != "matrix":
                raise MetricsError(f"the query gives a {data['resultType']} in place of series")
            result: list[Any] = data["result"]
            return result
        words = f"{answer.get('errorType', 'error')}: {answer.get('error', '')}"[:SHOWN]
    except UNREADABLE as error:
        raise MetricsError(f"HTTP {status} came back, which is no answer of Prometheus") from error
    raise MetricsError(f"Prometheus refused the query: {words}")


def _series(result: list[Any]) -> Iterator[Ranged]:
    try:
        for element in result:
            points = ((datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in element["values"])
            yield Ranged(dict(element["metric"]), tuple(one for one in points if math.isfinite(one[1])))
    except (*UNREADABLE, OSError) as error:
        raise MetricsError("Prometheus gave an answer that cannot be read") from error
