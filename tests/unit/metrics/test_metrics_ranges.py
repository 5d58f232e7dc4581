"""What Prometheus answers to a query over time, and what it answers instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from typing import Any

import pytest

from serin.errors import MetricsError
from serin.metrics.ranges import Ranges
from serin.metrics.ranges import straight

START = datetime(2026, 11, 20, 21, tzinfo=UTC)


def answered(status: int, body: object) -> Ranges:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Ranges(lambda *_: (status, raw))


def success(result: Any, kind: str = "matrix") -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def test_series_with_their_moments_and_without_what_is_no_number() -> None:
    values = [[START.timestamp(), "1"], [START.timestamp() + 30, "NaN"], [START.timestamp() + 60, "2.5"]]
    (series,) = answered(200, success([{"metric": {"a": "b"}, "values": values}])).ask("q", START, START, 30)
    assert series.labels == {"a": "b"}
    assert series.points == ((START, 1.0), (START + timedelta(seconds=60), 2.5))


def test_what_is_asked() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def get(path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        asked.append((path, query))
        return 200, json.dumps(success([])).encode()

    assert Ranges(get).ask("up", START, START + timedelta(seconds=90.5), 30) == []
    ((path, query),) = asked
    assert path == "/api/v1/query_range"
    second = int(START.timestamp())
    assert {name: query[name] for name in ("query", "start", "end", "step")} == {
        "query": "up",
        "start": f"{second}.000",
        "end": f"{second + 90}.500",
        "step": "30.000",
    }


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (422, {"status": "error", "errorType": "execution", "error": "too many samples"}, "execution: too many"),
        (502, b"<html>bad gateway</html>", "HTTP 502 came back, which is no answer of Prometheus"),
        (200, [], "which is no answer of Prometheus"),
        (200, b"[" * 100_000, "which is no answer of Prometheus"),
        (200, success([{"metric": {}, "values": [[1, int("9" * 400)]]}]), "an answer that cannot be read"),
        (200, success([], "vector"), "the query gives a vector in place of series"),
        (200, success([{"metric": {}, "values": [["soon", "1"]]}]), "an answer that cannot be read"),
        (200, success(None), "an answer that cannot be read"),
    ],
)
def test_what_is_no_answer_says_so(status: int, body: object, words: str) -> None:
    with pytest.raises(MetricsError, match=words):
        answered(status, body).ask("q", START, START, 30)


def test_nobody_there() -> None:
    with pytest.raises(MetricsError, match="cannot be reached") as told:
        Ranges(straight("http://jane:secret@127.0.0.1:1/")).ask("q", START, START, 30)
    assert "secret" not in str(told.value)
