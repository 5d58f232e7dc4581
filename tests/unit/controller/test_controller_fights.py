"""Changes that somebody undoes again and again: put back at once, then once a minute, and told."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.reasons import Reason
from serin.controller.fights import PEACE
from serin.controller.fights import TIMES
from serin.controller.fights import Fights
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.test_controller_reconcile import KEY
from tests.unit.controller.test_controller_reconcile import Stage
from tests.unit.rollout.scene import START

Json = dict[str, Any]
THEIRS = {"request": "5s"}


class Rival:
    """A controller that has its own idea of the route's timeouts."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def acts(self) -> None:
        route = copy.deepcopy(self.stage.api.of(HTTP_ROUTE, *KEY))
        for rule in route["spec"]["rules"]:
            rule["timeouts"] = THEIRS
        if route != self.stage.api.of(HTTP_ROUTE, *KEY):
            self.stage.api.put(HTTP_ROUTE, route)

    async def rounds(self, count: int, seconds: float = 0.1) -> int:
        """So many rounds of the two; how often the operator wrote the route."""
        self.stage.api.written.clear()
        for _ in range(count):
            self.acts()
            self.stage.world()
            await self.stage.look()
            self.stage.now += timedelta(seconds=seconds)
        return self.stage.api.written.count("patch HTTPRoute fraud")


def told(stage: Stage) -> tuple[str, str]:
    found = [(one["reason"], one["message"]) for one in stage.status["conditions"] if one["type"] == "Stalled"]
    return found[0] if found else ("", "")


async def test_a_controller_that_undoes_every_write_is_told_and_answered_once_a_minute() -> None:
    stage = Stage()
    await stage.served()
    rival = Rival(stage)
    assert await rival.rounds(TIMES - 1) == TIMES - 1
    assert told(stage) == ("", "")
    assert await rival.rounds(100) == 1
    reason, message = told(stage)
    assert reason == Reason.CONTESTED
    assert message == (
        "HTTPRoute fraud: somebody undoes every change of spec.rules: find out who writes there (kubectl get "
        "httproutes.gateway.networking.k8s.io fraud -o yaml --show-managed-fields) and keep them from it; "
        "until then it is put right once a minute; serving v1"
    )
    assert await rival.rounds(30, seconds=10) == 5
    assert stage.api.written.count("status ModelDeployment fraud") == 0, (
        "what is told stays, although it is right at times"
    )


async def test_when_the_other_gives_up_all_is_well() -> None:
    stage = Stage()
    await stage.served()
    rival = Rival(stage)
    await rival.rounds(2 * TIMES)
    assert told(stage)[0] == Reason.CONTESTED
    for _ in range(4):
        stage.now += timedelta(seconds=61)
        await stage.look()
        stage.world()
    assert stage.status["phase"] == "Healthy"
    # An edit by hand is put back at once again.
    assert await rival.rounds(1) == 1


async def test_traffic_is_taken_away_at_once_whoever_fights() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    rival = Rival(stage)
    await rival.rounds(2 * TIMES)
    assert told(stage)[0] == Reason.CONTESTED
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-20T12:00:09Z", "message": "MemoryError"}
    container = {"name": "kserve-container", "restartCount": 0, "ready": False, "state": {"terminated": ended}}
    pod = stage.api.of(POD, "payments", f"{new}-predictor-0")
    stage.api.put(POD, {**pod, "status": {"containerStatuses": [container]}})
    await rival.rounds(1)
    assert stage.shares() == {old: 100}


async def test_many_edits_by_hand_are_no_fight() -> None:
    """Over a long time, or of different fields."""
    stage = Stage()
    name = await stage.served()
    rival = Rival(stage)
    assert await rival.rounds(3 * TIMES, seconds=150) == 3 * TIMES
    for number in range(3 * TIMES):
        body = stage.service(name)
        field = ("storageUri", "runtime", "protocolVersion")[number % 3]
        body["spec"]["predictor"]["model"][field] = "mine"
        stage.api.put(INFERENCE_SERVICE, body)
        await stage.look()
        assert stage.service(name)["spec"]["predictor"]["model"][field] != "mine"
    assert told(stage) == ("", "")


async def test_a_webhook_that_changes_what_is_written_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer is all there is to see: nothing of the object changes, and no watch tells."""
    stage = Stage()
    name = await stage.served()
    real = FakeApi.patch

    async def mutated(api: FakeApi, kind: Kind, namespace: str, of: str, patch: Json, *, version: str) -> Json:
        if kind is INFERENCE_SERVICE:
            patch = {**patch, "spec": {"predictor": {"model": {"runtime": "theirs"}}}}
        return await real(api, kind, namespace, of, patch, version=version)

    monkeypatch.setattr(FakeApi, "patch", mutated)
    body = stage.service(name)
    body["spec"]["predictor"]["model"]["runtime"] = "theirs"
    stage.api.put(INFERENCE_SERVICE, body)
    stage.api.written.clear()
    for _ in range(3 * TIMES):
        await stage.look()
        stage.now += timedelta(seconds=1)
    assert stage.api.written.count(f"patch InferenceService {name}") == TIMES
    assert told(stage)[0] == Reason.CONTESTED
    assert f"InferenceService {name}: somebody undoes every change of spec.predictor.model.runtime" in told(stage)[1]


async def test_a_view_that_lags_behind_is_no_fight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says that all is well, whatever the watch shows meanwhile."""
    stage = Stage()
    name = await stage.served()
    right = stage.service(name)
    wrong = copy.deepcopy(right)
    wrong["spec"]["predictor"]["model"]["runtime"] = "theirs"
    wrong["metadata"]["resourceVersion"] = stage.api.put(INFERENCE_SERVICE, right)["metadata"]["resourceVersion"]
    stage.children.put(INFERENCE_SERVICE, wrong)
    monkeypatch.setattr(stage, "watch", lambda: None)
    stage.api.written.clear()
    for _ in range(3 * TIMES):
        await stage.look()
    assert stage.api.written == [f"patch InferenceService {name}"] * 3 * TIMES
    assert told(stage) == ("", "")


async def test_a_size_that_somebody_undoes_is_told_and_put_right_once_a_minute() -> None:
    """An autoscaler that somebody else made: pods would come and go for ever, and nobody be told why."""
    stage = Stage(serving={"minReplicas": 2})
    name = await stage.served()
    workload = f"{name}-predictor"
    stage.now += timedelta(minutes=3)

    async def rounds(count: int) -> int:
        stage.api.written.clear()
        for _ in range(count):
            stage.now += timedelta(seconds=15)
            stage.api.put(WORKLOAD, {**stage.api.of(WORKLOAD, "payments", workload), "spec": {"replicas": 5}})
            await stage.look()
        return stage.api.written.count(f"scale Deployment {workload}")

    assert await rounds(TIMES - 1) == TIMES - 1
    assert told(stage) == ("", "")
    assert await rounds(1 + 8) == 1 + 2
    reason, message = told(stage)
    assert reason == Reason.CONTESTED
    assert message.startswith(f"Deployment {workload}: somebody undoes every change of spec.replicas: find out who")
    # More that are needed are asked for at once.
    stage.declare(1, serving={"minReplicas": 9})
    await stage.look()
    assert stage.api.of(WORKLOAD, "payments", workload)["spec"]["replicas"] == 9


async def test_a_size_that_is_changed_by_hand_now_and_then_is_no_fight() -> None:
    stage = Stage(serving={"minReplicas": 2})
    name = await stage.served()
    workload = f"{name}-predictor"
    for _ in range(3 * TIMES):
        stage.now += timedelta(minutes=3)
        stage.api.put(WORKLOAD, {**stage.api.of(WORKLOAD, "payments", workload), "spec": {"replicas": 5}})
        await stage.look()
        assert stage.api.of(WORKLOAD, "payments", workload)["spec"]["replicas"] == 2
    assert told(stage) == ("", "")


def test_of_revisions_that_are_gone_nothing_is_kept() -> None:
    fights = Fights()
    for number in range(100):
        fights.wrote(KEY, AUTOSCALER, f"fraud-v{number}", {"spec": {"minReplicas": 2}}, START + number * PEACE)
    assert len(fights._last[KEY]) <= 2
