"""ModelDeployments as the API server gives them, in the states that people look at."""

from __future__ import annotations

from datetime import UTC
from datetime import datetime
from typing import Any

from serin.api.base import to_wire
from serin.rollout.observed import Problem
from tests.unit.rollout.scene import Scene

Json = dict[str, Any]

NOW = datetime(2026, 11, 20, 22, 12, 30, tzinfo=UTC)
STABLE = "fraud-v12-1a2b3c4d"
CANDIDATE = "fraud-v13-5e6f7a8b"
DECLARED: list[Json] = [
    {"weight": 0, "mirror": 20, "hold": "10m"},
    {"weight": 1, "hold": "5m", "match": {"headers": {"x-cohort": "beta"}}},
    {"weight": 25, "hold": "10m", "approval": True},
    {"weight": 50, "hold": "10m"},
]
# As the status keeps them.
STEPS: list[Json] = [
    {"weight": 0, "mirror": 20, "hold": "10m", "approval": False},
    {"weight": 1, "hold": "5m", "headers": {"x-cohort": "beta"}, "approval": False},
    {"weight": 25, "hold": "10m", "approval": True},
    {"weight": 50, "hold": "10m", "approval": False},
]


def of(scene: Scene) -> Json:
    """As the API server would have what the operator decided: the real thing, not written by hand."""
    declared = scene.spec
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "fraud", "namespace": scene.namespace, "generation": scene.generation},
        "spec": {}
        if isinstance(declared, Problem)
        else declared.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "status": to_wire(scene.status),
    }


def role(revision: str, since: str = "2026-11-17T09:30:00Z", ready: int = 2, replicas: int = 2) -> Json:
    version = revision.rsplit("-", 2)[1]
    return {"revision": revision, "version": version, "since": since, "replicas": replicas, "ready": ready}


def condition(kind: str, status: str, reason: str, message: str = "") -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-20T22:00:05Z",
    }


def deployment(name: str = "fraud", namespace: str = "payments", **status: Any) -> Json:
    """One that is healthy, with this changed in its status."""
    told: Json = {
        "observedGeneration": 3,
        "phase": "Healthy",
        "message": "v12 has all traffic",
        "conditions": [condition("Ready", "True", "Healthy"), condition("Available", "True", "Serving")],
        "url": f"http://{name}.{namespace}.example.com",
        "resolved": {"name": "fraud-detector", "version": 12, "alias": "champion"},
        "stable": role(STABLE),
        "traffic": [{"revision": STABLE, "version": "v12", "weight": 100}],
        **status,
    }
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "generation": 3,
            "creationTimestamp": "2026-10-10T08:00:00Z",
        },
        "spec": {"model": {"name": "fraud-detector", "alias": "champion"}, "rollout": {"steps": DECLARED}},
        "status": {key: value for key, value in told.items() if value is not None},
    }


def rolling(step: int = 3, phase: str = "Progressing", **rollout: Any) -> Json:
    """One in the middle of a rollout; ``rollout`` changes its status.rollout."""
    weight = [0, *(one["weight"] for one in STEPS), 100][step]
    waiting = "the hold to end at 2026-11-20T22:20:05Z"
    message = f"step {step}/4: {weight} % to v13, waiting for {waiting}; stable v12"
    return deployment(
        phase=phase,
        message=message,
        conditions=[
            condition("Ready", "False", phase, message),
            condition("Reconciling", "True", phase, message),
            condition("Available", "True", "Serving", "v12 75 %, v13 25 %"),
            condition("ModelResolved", "True", "Resolved"),
            condition("CandidateReady", "True", "CandidateReady"),
            condition("TrafficRouted", "True", "Routed"),
        ],
        resolved={"name": "fraud-detector", "version": 13, "alias": "champion"},
        candidate=role(CANDIDATE, "2026-11-20T21:44:05Z", 1, 1),
        traffic=[
            {"revision": STABLE, "version": "v12", "weight": 100 - weight},
            {"revision": CANDIDATE, "version": "v13", "weight": weight},
        ],
        rollout={
            "step": step,
            "steps": 4,
            "progress": f"{step}/4",
            "weight": weight,
            "course": {"steps": STEPS, "bake": "30m", "deadline": "4h"},
            "policy": {"name": "cautious", "digest": "d1"},
            "startedAt": "2026-11-20T21:44:05Z",
            "stepStartedAt": "2026-11-20T22:10:05Z",
            "nextAt": "2026-11-20T22:20:05Z",
            "deadlineAt": "2026-11-21T01:44:05Z",
            "waitingFor": waiting,
            "directHeader": "x-serin-revision",
            **rollout,
        },
        history=[ended("v12", STABLE, "Promoted", "Promoted", "v12 has all traffic")],
        handled={
            "pause": order("pause", "Done", "paused by jane"),
            "resume": order("resume", "Done", "goes on"),
        },
    )


def ended(version: str, revision: str, outcome: str, reason: str, message: str) -> Json:
    return {
        "version": version,
        "revision": revision,
        "outcome": outcome,
        "reason": reason,
        "message": message,
        "startedAt": "2026-11-17T08:25:00Z",
        "endedAt": "2026-11-17T09:30:00Z",
    }


def order(verb: str, result: str, message: str, value: str = f"{CANDIDATE}#jane/t1") -> Json:
    return {"value": value, "at": "2026-11-20T22:05:00Z", "by": "jane", "result": result, "message": message}


def rejected() -> Json:
    """One whose candidate was rolled back."""
    message = "v13 rejected: pod fraud-v13-5e6f7a8b-predictor-0, container kserve-container ended (Error, exit code 1)"
    return deployment(
        phase="RolledBack",
        message=f"{message}; serving v12",
        conditions=[
            condition("Ready", "False", "RolledBack", message),
            condition("Stalled", "True", "RolledBack", message),
            condition("Available", "True", "Serving", "v12 100 %"),
        ],
        history=[
            ended("v13", CANDIDATE, "RolledBack", "LoadFailed", message),
            *[ended(f"v{number}", f"fraud-v{number}-0", "Promoted", "Promoted", "") for number in (12, 11, 10)],
        ],
        rejected=[
            {
                "revision": CANDIDATE,
                "version": "v13",
                "reason": "LoadFailed",
                "message": "container kserve-container ended (Error, exit code 1): [bold]no[/bold] \x1b[31mred",
                "at": "2026-11-20T22:00:05Z",
            }
        ],
    )


CHECKS: list[Json] = [
    {
        "check": "errors",
        "verdict": "Inconclusive",
        "message": "error rate 1.2 % against 1 % of v12 after 150 requests",
        "candidate": 0.012,
        "stable": 0.01,
        "requests": 150,
        "needed": 50,
        "enoughAt": "2026-11-20T22:14:30Z",
        "eValue": 1.375,
        "limit": 40,
    },
    {"check": "margin", "verdict": "Error", "message": "Prometheus does not answer", "dryRun": True},
]
