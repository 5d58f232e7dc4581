"""Read an API server's audit log: who asked for what. Tests count writes with it, from outside of who wrote."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request."""

    user: str
    verb: str
    """As RBAC names it: get, list, watch, create, update, patch, delete, deletecollection."""
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    """HTTP status of the answer."""
    received: str
    """RFC 3339 with microseconds, UTC."""

    @property
    def is_write(self) -> bool:
        """Whether it could have changed something."""
        return self.verb in _WRITES


class AuditLog:
    """The audit log of one API server, which goes on writing it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def requests(self, user: str | None = None) -> Iterator[Request]:
        """All answered requests for resources so far, in the order of their answers, of one user or all."""
        with self._path.open() as lines:
            for line in lines:
                if not line.endswith("\n"):  # still being written
                    return
                request = _request(json.loads(line))
                if request is not None and user in (None, request.user):
                    yield request

    def writes(self, user: str | None = None) -> list[Request]:
        """The requests that could have changed something."""
        return [request for request in self.requests(user) if request.is_write]


def _request(event: dict[str, dict[str, str]]) -> Request | None:
    target = event.get("objectRef")
    if target is None or str(event["stage"]) != "ResponseComplete":
        return None
    return Request(
        user=event["user"]["username"],
        verb=str(event["verb"]),
        group=target.get("apiGroup", ""),
        resource=target["resource"],
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int(event["responseStatus"]["code"]),
        received=str(event["requestReceivedTimestamp"]),
    )
