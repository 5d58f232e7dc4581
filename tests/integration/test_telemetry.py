"""Metrics, probes and the log: the documented names with sane values, and no secret anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import threading
import time

import pytest
from aiohttp import web

from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import SECRET
from tests.integration.model_registry import Version
from tests.integration.operator_process import NAMESPACE
from tests.integration.operator_process import Operator
from tests.integration.pods import crash_looping
from tests.integration.scene import MODEL
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration


def test_metrics_of_a_rollout(scene: Scene) -> None:
    operator = scene.operator
    deployed = scene.healthy(rollout={"steps": [{"weight": 10, "hold": "4s"}]})
    here = {"modeldeployment_namespace": scene.namespace, "modeldeployment": "fraud"}
    reconciles = operator.metric("controller_runtime_reconcile_total", controller="modeldeployment")
    assert reconciles > 0
    deployed.declare(2)
    eventually(lambda: operator.metric("serin_modeldeployment_candidate_weight", **here) == 10, "the weight is told")
    deployed.healthy(2)
    eventually(
        lambda: operator.metric("serin_modeldeployment_phase", **here, phase="Healthy") == 1, "the phase is told"
    )
    assert operator.metric("serin_modeldeployment_phase", **here) == 1, "one phase at a time"
    assert operator.metric("serin_modeldeployment_candidate_weight", **here) == 0
    assert operator.metric("serin_modeldeployment_traffic_weight", **here, version="v2") == 100
    assert operator.metric("serin_modeldeployment_condition", **here, condition="Ready", status="True") == 1
    assert operator.metric("serin_rollouts_total", modeldeployment_namespace=scene.namespace, outcome="Promoted") == 2
    assert operator.metric("serin_registry_up", registry=scene.namespace) == 1
    assert operator.metric("controller_runtime_reconcile_total", controller="modeldeployment") > reconciles
    assert operator.metric("rest_client_requests_total", method="POST", code="201") > 0
    assert operator.metric("rest_client_requests_total", code="<error>") == 0
    assert operator.metric("workqueue_adds_total", name="modeldeployment") > 0
    eventually(lambda: operator.metric("workqueue_depth", name="modeldeployment") == 0, "the queue is empty")
    for name in (
        "controller_runtime_reconcile_errors_total",
        "controller_runtime_reconcile_time_seconds_bucket",
        "controller_runtime_active_workers",
        "workqueue_queue_duration_seconds_bucket",
        "workqueue_work_duration_seconds_bucket",
        "workqueue_retries_total",
        "rest_client_request_duration_seconds_bucket",
        "serin_rollout_duration_seconds_bucket",
        "serin_registry_last_success_timestamp_seconds",
        "serin_registry_models_followed",
        "process_resident_memory_bytes",
    ):
        assert name in operator.metrics(), name

    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, "fraud")
    eventually(lambda: operator.metric("serin_modeldeployment_phase", **here) == 0, "its series end with it")


def test_probes(operator: Operator) -> None:
    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")


def test_it_ends_when_it_is_told_to(operator: Operator) -> None:
    """SIGTERM, as Kubernetes sends it: no kill is needed, and no error is told."""
    assert operator.stop() == 0


def test_it_does_not_wait_for_a_registry_when_it_is_told_to_end(scene: Scene) -> None:
    """A server that drips the head of its answer holds a thread for as long as it likes."""
    reached = threading.Event()

    async def drips(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        reached.set()
        while not request.transport.is_closing():
            request.transport.write(b"y")
            await asyncio.sleep(0.05)
        return web.Response()

    scene.healthy()
    scene.models.mood = drips
    assert reached.wait(20)
    assert scene.operator.stop() == 0
    scene.operator.start()


def test_no_secret_in_anything_that_can_be_read(scene: Scene) -> None:
    """A login, its base64, a server that repeats it in every error, and pods that print theirs."""
    password, token = f"canary-{secrets.token_hex(8)}", f"canary-{secrets.token_hex(8)}"
    basic = base64.b64encode(f"serin:{password}".encode()).decode()
    canaries = (password, token, basic)
    operator = scene.operator
    operator.stop()
    operator.start(log_level="DEBUG")
    mark = operator.log.stat().st_size

    async def repeats(request: web.Request) -> web.StreamResponse:
        said = f"no access for {request.headers.get('Authorization')} with {password}"
        return web.json_response({"error_code": "PERMISSION_DENIED", "message": said}, status=status[0])

    status = [403]
    secret = f"{scene.namespace}-login"
    login = {"username": "serin", "password": password}
    scene.kube.create(SECRET, NAMESPACE, {"metadata": {"name": secret}, "stringData": login})
    deployed = scene.healthy()
    scene.kube.patch(MODEL_REGISTRY, NAMESPACE, scene.namespace, {"spec": {"auth": {"secretName": secret}}})
    for status[0] in (401, 403, 400, 500, 503):
        scene.models.mood = repeats
        # Another model each time: what is known is not asked for.
        failing = scene.deploy(f"failing-{status[0]}", version=1, model={"name": f"model-{status[0]}"})
        failing.until(lambda now: now["phase"] in ("Failed", "Resolving") and now["message"], "the refusal is told")
    scene.models.mood = None
    scene.models.models[MODEL].versions[2] = Version(f"s3://serin:{password}@evil/2")
    deployed.declare(2)
    deployed.reason("ArtifactNotAllowed")
    scene.models.add(MODEL, 3)
    log = f"Traceback\nValueError: token={token} for https://serin:{password}@hub.example.com was refused\n"
    scene.stage.pods(scene.namespace, "fraud-v3", crash_looping(log))
    deployed.declare(3)
    assert "was refused" in deployed.phase("RolledBack")["message"]

    everything = {
        "statuses": json.dumps([_readable(scene, deployed), scene.kube.list(MODEL_REGISTRY, NAMESPACE)]),
        "children": json.dumps(scene.kube.list(INFERENCE_SERVICE, scene.namespace)),
        "events": json.dumps(scene.kube.request("GET", "/api/v1/events")["items"]),
        "metrics": operator.get("/metrics")[1],
        "log": operator.log.read_bytes()[mark:].decode(),
    }
    assert scene.namespace in everything["log"]
    found = [(where, canary) for where, text in everything.items() for canary in canaries if canary in text]
    assert found == []
    for where in ("statuses", "events"):
        assert "Traceback" not in everything[where]
    operator.stop()


def _readable(scene: Scene, deployed: Deployed) -> list[object]:
    return [deployed.body, *scene.kube.list(MODEL_DEPLOYMENT, scene.namespace)]


def test_stopping_is_quiet_and_quick(scene: Scene) -> None:
    """A stranger's first look at the log after an upgrade is no traceback."""
    scene.operator.stop()
    scene.operator.start()
    before = len(scene.operator.log.read_text())
    began = time.monotonic()
    assert scene.operator.stop() == 0
    assert time.monotonic() - began < 10
    told = scene.operator.log.read_text()[before:]
    assert "Traceback" not in told, told
