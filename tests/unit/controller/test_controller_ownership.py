"""Objects that are on their way out, or somebody else's: what is done about them, and what is done all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.reasons import Reason
from serin.cluster.client import CONFLICT
from serin.errors import ClusterError
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


def orphan(stage: Stage) -> None:
    """The parent is deleted with --cascade=orphan and declared anew: its children belong to nobody, and serve."""
    for kind in (INFERENCE_SERVICE, HTTP_ROUTE):
        for name in stage.all(kind):
            body = stage.api.of(kind, "payments", name)
            metadata = {key: value for key, value in body["metadata"].items() if key != "ownerReferences"}
            stage.api.put(kind, {**body, "metadata": metadata})
    again(stage)


def again(stage: Stage) -> None:
    """The parent is deleted and declared anew: another uid, an empty status."""
    before = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    stage.api.remove(MODEL_DEPLOYMENT, *KEY)
    stage.parents.drop(KEY, before["metadata"]["uid"])
    stage.declare(1)


@pytest.mark.parametrize("serving", [{"minReplicas": 1}, {"minReplicas": 1, "maxReplicas": 4}])
async def test_of_what_is_not_ours_no_size_is_changed(serving: Json) -> None:
    stage = Stage(serving={"minReplicas": 3})
    name = await stage.served()
    assert size(stage, name) == 3
    orphan(stage)
    stage.declare(1, serving=serving)
    stage.api.written.clear()
    for _ in range(3):
        await stage.look()
    assert {one for one in stage.api.written if "ModelDeployment" not in one} == set()
    assert told(stage) == (
        Reason.NAME_CONFLICT,
        f"InferenceService {name} exists and was left behind by a ModelDeployment that was deleted without its "
        "children: it is not taken over; delete it, or give the ModelDeployment another name",
    )


async def test_children_of_the_deployment_that_was_deleted_a_moment_ago_are_waited_for() -> None:
    """kubectl replace --force, or Argo CD's Replace: the garbage collector is on its way, and nobody has to do
    anything."""
    stage = Stage(serving={"minReplicas": 3})
    name = await stage.served()
    again(stage)
    stage.declare(1, serving={"minReplicas": 1})
    stage.api.written.clear()
    outcome = await stage.look()
    assert outcome.look_again_at == stage.now + timedelta(minutes=1)
    assert stage.api.written == ["status ModelDeployment fraud"]
    assert told(stage)[0] == Reason.DEPLOYING
    stage.now += timedelta(minutes=1)
    await stage.look()
    assert told(stage)[0] == Reason.NAME_CONFLICT
    assert f"InferenceService {name} is made when that of a deleted ModelDeployment fraud is gone" in told(stage)[1]
    for kind, left in ((INFERENCE_SERVICE, name), (HTTP_ROUTE, "fraud")):
        stage.api.remove(kind, "payments", left)
    stage.world()
    assert await stage.served() == name


async def test_a_revision_that_only_its_watch_does_not_show_is_looked_at_again_at_once() -> None:
    """It is found by a read, whose version the watch tells later, as no news."""
    stage = Stage()
    await stage.served()
    later = Stage(stage.api)
    later.parents.put(stage.api.of(MODEL_DEPLOYMENT, *KEY))
    for kind in (HTTP_ROUTE, WORKLOAD, POD):
        for name in stage.all(kind):
            later.children.put(kind, stage.api.of(kind, "payments", name))
    stage.api.written.clear()
    with pytest.raises(ClusterError, match="is there already") as conflict:
        await later.reconciler.reconcile(KEY)
    assert conflict.value.status == CONFLICT
    await later.reconciler.reconcile(KEY)
    assert stage.api.written == []
    assert stage.status["phase"] == "Healthy"
