"""Nothing is written of what does not change, whatever others do meanwhile: counted by the API server itself."""

import os
import time
from datetime import UTC
from datetime import datetime

import pytest

from e2e import serin
from e2e.cluster.audit import AuditLog
from e2e.cluster.audit import Request
from e2e.cluster.interface import ClusterError
from e2e.scenarios.room import Room
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

_DEPLOYMENTS = 5
_REGISTRY = "default"
_SECONDS = 300 if os.environ.get("SERIN_LONG") else 60
_OPERATOR = f"system:serviceaccount:{serin.NAMESPACE}:{serin.RELEASE}"


def test_no_write_at_rest(room: Room) -> None:
    audit = _audit(room)
    many = [room.deployment(f"ping{number}", alias=GOOD) for number in range(_DEPLOYMENTS)]
    for one in many:
        one.settled(GOOD, seconds=180)
    versions = _resource_versions(room)
    start = datetime.now(UTC).isoformat()
    end = time.time() + _SECONDS
    wait_until("the time is over", lambda: time.time() >= end, _SECONDS + 5)

    mine = list(audit.requests(_OPERATOR))
    assert any(request.is_write for request in mine), f"{_OPERATOR} never wrote anything: is that its name?"
    assert [one for one in mine if one.is_write and one.received > start and _at_rest(one, room)] == []
    assert _resource_versions(room) == versions


def _at_rest(request: Request, room: Room) -> bool:
    """Whether it is about something that nobody changes: another scenario may have a registry of its own."""
    theirs = request.resource == "modelregistries" and request.name != _REGISTRY
    return request.namespace == room.namespace or (request.namespace == serin.NAMESPACE and not theirs)


def _audit(room: Room) -> AuditLog:
    try:
        return room.world.cluster.audit()
    except ClusterError as error:
        pytest.skip(str(error))


def _resource_versions(room: Room) -> dict[str, str]:
    found = room.world.kubectl.list_all("modeldeployments.serin.dev", room.namespace)
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in found}
