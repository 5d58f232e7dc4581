"""Plays what a control plane alone lacks: the kubelets and the gateway.

Pods become ready, unless a test says otherwise for their revision; routes are accepted as they are written. Everything
else (KServe, the deployment controller, admission, garbage collection) is real.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from collections.abc import Callable
from datetime import UTC
from datetime import datetime
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from serin.cluster.client import Client
from serin.cluster.client import connect
from serin.cluster.limiter import TokenBucket
from serin.errors import ClusterError

Json = dict[str, Any]
PodStatus = Callable[[Json], Json | None]
"""The status that a pod shall have, or None to leave it as it is."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ready(pod: Json) -> Json | None:
    """A pod whose model is loaded."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return None
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": _now()}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "containerStatuses": [_container(restarts=0, state={"running": {"startedAt": _now()}}, ready=True)],
    }


def crash_looping(message: str) -> PodStatus:
    """A pod whose model server ended with 0 when it could not load the model, as MLServer does."""

    def status(pod: Json) -> Json | None:
        present = (pod.get("status") or {}).get("containerStatuses") or [{}]
        if (present[0].get("state") or {}).get("waiting"):
            return None
        ended = {"exitCode": 0, "reason": "Completed", "startedAt": _now(), "finishedAt": _now(), "message": message}
        return {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()},
                {"type": "Ready", "status": "False", "lastTransitionTime": _now()},
            ],
            "containerStatuses": [
                _container(
                    restarts=2, state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": ended}, ready=False
                )
            ],
        }

    return status


def unschedulable(message: str) -> PodStatus:
    """A pod for which no node has room."""

    def status(pod: Json) -> Json | None:
        if (pod.get("status") or {}).get("conditions"):
            return None
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return {"phase": "Pending", "conditions": [{**condition, "lastTransitionTime": _now()}]}

    return status


def _container(*, restarts: int, state: Json, ready: bool, last: Json | None = None) -> Json:
    return {
        "name": "kserve-container",
        "image": "model-server",
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


class Played:
    """Keeps playing while it is entered. ``pods`` maps a revision's prefix to what its pods do."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.pods: dict[str, PodStatus] = {}
        self.gateway_accepts = True
        self.gateway_refusal: str | None = None

    async def play(self, every: float = 0.05) -> None:
        """For ever."""
        while True:
            for pod in await self.client.list(POD, selector=DEPLOYMENT_LABEL):
                with contextlib.suppress(ClusterError):
                    await self._pod(pod)
            for route in await self.client.list(HTTP_ROUTE, selector=DEPLOYMENT_LABEL):
                with contextlib.suppress(ClusterError):
                    await self._route(route)
            await asyncio.sleep(every)

    async def _pod(self, pod: Json) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            # The kubelet's part of a deletion: the containers are gone.
            path = POD.path(metadata["namespace"], metadata["name"])
            await self.client._json("DELETE", path, None, {"gracePeriodSeconds": 0})
            return
        revision = metadata["labels"].get(REVISION_LABEL, "")
        plays = next((one for prefix, one in self.pods.items() if revision.startswith(prefix)), ready)
        status = plays(pod)
        if status is not None:
            await self._status(POD, pod, status)

    async def _route(self, route: Json) -> None:
        if not self.gateway_accepts:
            return
        generation = route["metadata"]["generation"]
        parents = []
        for parent in route["spec"]["parentRefs"]:
            refused = self.gateway_refusal
            conditions = [
                {
                    "type": "Accepted",
                    "status": "False" if refused else "True",
                    "reason": "NotAllowedByListeners" if refused else "Accepted",
                    "message": refused or "",
                    "observedGeneration": generation,
                    "lastTransitionTime": _now(),
                },
                {
                    "type": "ResolvedRefs",
                    "status": "True",
                    "reason": "ResolvedRefs",
                    "message": "",
                    "observedGeneration": generation,
                    "lastTransitionTime": _now(),
                },
            ]
            parents.append({"parentRef": parent, "controllerName": "example.com/played", "conditions": conditions})
        before = (route.get("status") or {}).get("parents") or []
        told = [one["conditions"][0].get("observedGeneration") for one in before if one.get("conditions")]
        same_word = [one["conditions"][0]["status"] for one in before if one.get("conditions")]
        if told and set(told) == {generation} and set(same_word) == {"False" if self.gateway_refusal else "True"}:
            return
        await self._status(HTTP_ROUTE, route, {"parents": parents})

    async def _status(self, kind: Any, body: Json, status: Json) -> None:
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], "status")
        patch = {"status": status}
        await self.client._json("PATCH", path, {"fieldManager": "played"}, patch, "application/merge-patch+json")


@contextlib.asynccontextmanager
async def played(kubeconfig: str) -> AsyncIterator[Played]:
    """Play in the background while the block runs."""
    loop = asyncio.get_running_loop()
    api: ApiClient = await connect(kubeconfig)
    client = Client(api, TokenBucket(1000, 1000, loop.time), lambda *_: None, loop.time)
    stage = Played(client)
    task = asyncio.create_task(stage.play())
    try:
        yield stage
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
            await task
        await client.close()
