"""Events of the API: written once, whatever crashes and repeats.

The name of an event is a digest of what it says about which object. A second one of the same name is refused by the
API server, which is the de-duplication: it needs no memory of ours.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from serin.api.kinds import EVENT
from serin.api.kinds import MANAGER
from serin.api.kinds import Kind
from serin.cluster.client import CONFLICT
from serin.cluster.client import Client
from serin.cluster.client import Json
from serin.errors import ClusterError

# Of bytes, whatever the API's documentation says of characters (kubernetes pkg/apis/core/validation/events.go).
NOTE_LENGTH = 1024
CUT = "…"


async def record(
    client: Client,
    kind: Kind,
    about: Json,
    *,
    event_type: str,
    reason: str,
    note: str,
    occasion: str,
    reporter: str,
    now: datetime,
) -> None:
    """Record an event about the object whose metadata is ``about``. ``occasion`` tells apart two times of the same."""
    said = "\0".join((about["uid"], event_type, reason, note, occasion))
    body: Json = {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{about['name']}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
            "namespace": about["namespace"],
        },
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{MANAGER}.dev/operator",
        "reportingInstance": reporter,
        "action": reason,
        "reason": reason,
        "type": event_type,
        "note": _shorten(note),
        "regarding": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": about["name"],
            "namespace": about["namespace"],
            "uid": about["uid"],
        },
    }
    try:
        await client.create(EVENT, about["namespace"], body)
    except ClusterError as error:
        if error.status != CONFLICT:
            raise


def _shorten(note: str) -> str:
    raw = note.encode()
    if len(raw) <= NOTE_LENGTH:
        return note
    return raw[: NOTE_LENGTH - len(CUT.encode())].decode(errors="ignore") + CUT
