"""What a played pod does: its status as a kubelet would write it, and its log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Act:
    """``status`` gives the status that the pod shall have, or None to leave it as it is."""

    status: Callable[[Json], Json | None]
    log: str | None = None
    """What its containers wrote; None: the pod is on no node, and has no log."""


def now() -> str:
    """The present as the kubelet writes it, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ready() -> Act:
    """A pod whose model is loaded."""

    def status(pod: Json) -> Json | None:
        if _ready_now(pod):
            return None
        return {
            "phase": "Running",
            "conditions": [_condition(kind, "True") for kind in ("PodScheduled", "Initialized", "Ready")],
            "initContainerStatuses": None,
            "containerStatuses": [_container(restarts=0, state={"running": {"startedAt": now()}}, ready=True)],
        }

    return Act(status)


def pending() -> Act:
    """A pod whose model is still loading; one that was ready is so no longer."""

    def status(pod: Json) -> Json | None:
        conditions = (pod.get("status") or {}).get("conditions") or []
        if conditions and not _ready_now(pod):
            return None
        return {
            "phase": "Running",
            "conditions": [_condition("PodScheduled", "True"), _condition("Ready", "False")],
            "containerStatuses": [_container(restarts=0, state={"running": {"startedAt": now()}}, ready=False)],
        }

    return Act(status)


def crash_looping(log: str, *, exit_code: int = 0) -> Act:
    """A pod whose model server cannot load its model. MLServer ends with 0 then, so the kubelet copies no log."""

    def status(pod: Json) -> Json | None:
        if "waiting" in _first_state(pod):
            return None
        reason = "Error" if exit_code else "Completed"
        ended = {"exitCode": exit_code, "reason": reason, "startedAt": now(), "finishedAt": now()}
        container = _container(
            restarts=2, state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": ended}, ready=False
        )
        return {
            "phase": "Running",
            "conditions": [_condition("PodScheduled", "True"), _condition("Ready", "False")],
            "containerStatuses": [container],
        }

    return Act(status, log)


def failing_download(message: str) -> Act:
    """A pod whose storage initializer failed, twice already."""

    def status(pod: Json) -> Json | None:
        if (pod.get("status") or {}).get("initContainerStatuses"):
            return None
        ended = {"exitCode": 1, "reason": "Error", "startedAt": now(), "finishedAt": now(), "message": message}
        initializer = _container(
            restarts=2, state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": ended}, ready=False
        )
        return {
            "phase": "Pending",
            "conditions": [_condition("PodScheduled", "True"), _condition("Ready", "False")],
            "initContainerStatuses": [{**initializer, "name": "storage-initializer"}],
        }

    return Act(status)


def unschedulable(message: str) -> Act:
    """A pod for which no node has room."""

    def status(pod: Json) -> Json | None:
        if (pod.get("status") or {}).get("conditions"):
            return None
        condition = {**_condition("PodScheduled", "False"), "reason": "Unschedulable", "message": message}
        return {"phase": "Pending", "conditions": [condition]}

    return Act(status)


def _ready_now(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _first_state(pod: Json) -> Json:
    containers = (pod.get("status") or {}).get("containerStatuses") or [{}]
    state: Json = containers[0].get("state") or {}
    return state


def _condition(kind: str, status: str) -> Json:
    return {"type": kind, "status": status, "lastTransitionTime": now()}


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
