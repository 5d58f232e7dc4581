"""The API server's audit log with the times of its answers: one clock, in microseconds, for all contestants."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Answered:
    """One request that was answered."""

    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    at: float
    """When the answer was complete, seconds since the epoch."""


class Trail:
    """Reads on from where it stopped: the log of thousands of objects is long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def skip(self) -> None:
        """Forget what was written so far."""
        self._offset = self._path.stat().st_size

    def read(self) -> list[Answered]:
        """Requests for resources that were answered since the last call, in the order of their answers."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            whole, end, _ = log.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return [one for line in whole.splitlines() if (one := _answered(json.loads(line))) is not None]


def writes(requests: Iterable[Answered], user: str) -> list[Answered]:
    """Those of one user that may have changed something; refused ones count, they cost the same."""
    return [one for one in requests if one.user == user and one.verb in WRITES]


def by_verb(requests: Iterable[Answered], user: str) -> Counter[str]:
    """Numbers of requests of one user, by verb."""
    return Counter(one.verb for one in requests if one.user == user)


def _answered(event: dict[str, dict[str, str]]) -> Answered | None:
    target = event.get("objectRef")
    # The end of a watch is no request: only its start counts, which has a stage of its own.
    stage = str(event["stage"])
    wanted = "ResponseStarted" if str(event["verb"]) == "watch" else "ResponseComplete"
    if target is None or stage != wanted:
        return None
    return Answered(
        user=event["user"]["username"],
        verb=str(event["verb"]),
        resource=target["resource"],
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int(event["responseStatus"]["code"]),
        at=datetime.fromisoformat(str(event["stageTimestamp"])).timestamp(),
    )
