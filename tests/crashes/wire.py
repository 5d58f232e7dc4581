"""What goes over the wire in the API server's name, and what of a request is passed on."""

from __future__ import annotations

import json

from aiohttp import web

from tests.crashes.faults import EXPIRED
from tests.crashes.faults import Refusal

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
HOP = frozenset({"accept-encoding", "connection", "content-length", "host", "keep-alive", "transfer-encoding"})


def is_discovery(path: str) -> bool:
    """Whether it asks which resources there are."""
    parts = path.strip("/").split("/")
    return path == DEFINITIONS or (
        parts[0] in ("api", "apis", "version") and len(parts) <= (2 if parts[0] == "api" else 3)
    )


def headers(request: web.BaseRequest) -> dict[str, str]:
    """What is passed on of a request."""
    return {name: value for name, value in request.headers.items() if name.lower() not in HOP}


def refuse(refusal: Refusal) -> web.Response:
    """The refusal as an answer."""
    more = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    return web.json_response(_status(refusal), status=refusal.code, headers=more)


def _status(refusal: Refusal) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": refusal.message,
        "reason": refusal.reason,
        "code": refusal.code,
    }


def expired() -> bytes:
    """What a watch says that cannot go on from where it was asked to."""
    return json.dumps({"type": "ERROR", "object": _status(EXPIRED)}).encode() + b"\n"
