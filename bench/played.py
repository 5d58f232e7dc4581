"""Plays the kubelets and the gateway, quickly enough for thousands of objects: ``python -m bench.played URL PKI``.

A process of its own, driven by watches: pods of InferenceServices become ready as soon as they exist, routes are
accepted as they are written. KServe, the deployment controller, admission and garbage collection are real.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC
from datetime import datetime
from pathlib import Path

from bench.kube import Json
from bench.kube import Kube
from bench.kube import RefusedError
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import POD
from serin.api.kinds import Kind

AT_ONCE = 16
GONE = 404


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(pod: Json) -> Json | None:
    """The status of a pod whose model is loaded; None where it has one."""
    if (pod.get("status") or {}).get("containerStatuses") or "deletionTimestamp" in pod["metadata"]:
        return None
    return {
        "phase": "Running",
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": _now()}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": _now()}},
                "lastState": {},
            }
            for container in pod["spec"]["containers"]
        ],
    }


def route_status(route: Json) -> Json | None:
    """The status of a route that all its gateways accept; None where they did already."""
    generation = route["metadata"]["generation"]
    before = (route.get("status") or {}).get("parents") or []
    if before and all(one["conditions"][0]["observedGeneration"] == generation for one in before):
        return None
    word = {"status": "True", "message": "", "observedGeneration": generation, "lastTransitionTime": _now()}
    conditions = [{"type": kind, "reason": kind, **word} for kind in ("Accepted", "ResolvedRefs")]
    return {
        "parents": [
            {"parentRef": parent, "controllerName": "example.com/played", "conditions": conditions}
            for parent in route["spec"]["parentRefs"]
        ]
    }


async def _play(kube: Kube, kind: Kind, status_of: Callable[[Json], Json | None]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    running: set[asyncio.Task[None]] = set()

    async def write(metadata: Json, status: Json) -> None:
        async with slots:
            try:
                await kube.patch(kind, metadata["namespace"], metadata["name"], {"status": status}, "status")
            except RefusedError as refused:
                if refused.code != GONE:
                    raise

    async for event, body in kube.follow(kind, DEPLOYMENT_LABEL):
        status = status_of(body) if event != "DELETED" else None
        if status is not None:
            task = asyncio.create_task(write(body["metadata"], status))
            running.add(task)
            task.add_done_callback(running.discard)


async def main(url: str, pki: Path) -> None:
    """Play until killed."""
    async with Kube(url, pki) as kube, asyncio.TaskGroup() as group:
        group.create_task(_play(kube, POD, pod_status))
        group.create_task(_play(kube, HTTP_ROUTE, route_status))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
