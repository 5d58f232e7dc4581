"""Objects that are on their way out, or somebody else's: what is done about them, and what is done all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.reasons import Reason
from tests.unit.controller.test_controller_reconcile import KEY
from tests.unit.controller.test_controller_reconcile import Stage
from tests.unit.controller.test_controller_reconcile import crash

Json = dict[str, Any]


def told(stage: Stage) -> tuple[str, str]:
    """Reason and message of the condition Ready."""
    return next((one["reason"], one["message"]) for one in stage.status["conditions"] if one["type"] == "Ready")


def size(stage: Stage, revision: str) -> int:
    found: int = stage.api.of(WORKLOAD, "payments", f"{revision}-predictor")["spec"]["replicas"]
    return found


def hang(stage: Stage, kind: Kind, name: str) -> None:
    """Somebody deletes it, and who has a finalizer there is away."""
    body = stage.api.of(kind, "payments", name)
    metadata = {**body["metadata"], "deletionTimestamp": "2026-11-20T12:00:00Z", "finalizers": ["theirs"]}
    stage.api.put(kind, {**body, "metadata": metadata})


async def test_a_revision_whose_deletion_hangs_is_told() -> None:
    """KServe takes its finalizer off only while it runs, and --cascade=foreground waits for every pod."""
    stage = Stage()
    name = await stage.served()
    hang(stage, INFERENCE_SERVICE, name)
    outcome = await stage.look()
    assert outcome.look_again_at == stage.now + timedelta(minutes=1)
    assert told(stage)[0] == Reason.STABLE_UNAVAILABLE
    assert "finalizers" not in told(stage)[1], "mostly it is a matter of moments"
    stage.now += timedelta(minutes=1)
    await stage.look()
    reason, message = told(stage)
    assert reason == Reason.NAME_CONFLICT
    assert message.startswith(
        f"InferenceService {name} is being deleted, and is made anew when it is gone: see in its metadata.finalizers "
        f"(kubectl get inferenceservices.serving.kserve.io {name} -o yaml) who holds it back, and whether that runs"
    )
    uid = stage.service(name)["metadata"]["uid"]
    stage.api.remove(INFERENCE_SERVICE, "payments", name)
    stage.world()
    assert await stage.served() == name
    assert stage.service(name)["metadata"]["uid"] != uid


async def test_a_candidate_whose_deletion_hangs_keeps_nothing_else_from_being_done() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    hang(stage, INFERENCE_SERVICE, new)
    stage.declare(2, serving={"minReplicas": 3})
    await stage.look()
    assert stage.shares() == {old: 100}, "it has nothing that is ready and stays"
    assert size(stage, old) == 3
    assert "waiting for 0 of 1 replicas of v2" in stage.status["message"]


async def test_traffic_is_moved_on_a_route_whose_deletion_hangs() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    hang(stage, HTTP_ROUTE, "fraud")
    crash(stage, new)
    stage.declare(2, serving={"minReplicas": 3})
    await stage.look()
    assert stage.shares() == {old: 100}
    assert stage.status["rejected"][0]["revision"] == new
    assert size(stage, old) == 3
    stage.now += timedelta(minutes=1)
    await stage.look()
    assert told(stage)[1].startswith("HTTPRoute fraud is being deleted, and is made anew when it is gone")
    stage.api.remove(HTTP_ROUTE, *KEY)
    await stage.insist()
    assert stage.shares() == {old: 100}
