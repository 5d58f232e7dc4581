"""SIGKILL at any moment: the operator goes on in the same step, with the same clock, and makes nothing twice."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from e2e.cluster.controlplane import ControlPlane
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from tests.integration.kube import Json
from tests.integration.rbac import OPERATOR
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

SEED = 20261120
KILLS = 10
STEPS = [{"weight": weight, "hold": "4s"} for weight in (5, 25, 50)]
NAMES = ("one", "two", "three")


def created(plane: ControlPlane, namespace: str) -> Counter[str]:
    """How many children of each resource the operator created there. Not events: a kill may come before one."""
    return Counter(
        request.resource
        for request in plane.audit.requests(OPERATOR)
        if (request.namespace, request.verb, request.code) == (namespace, "create", 201)
        and request.resource in (INFERENCE_SERVICE.plural, HTTP_ROUTE.plural)
    )


def clock(status: Json) -> tuple[int, str] | None:
    """The step and when it began; None between steps."""
    rollout = status.get("rollout") or {}
    started = rollout.get("stepStartedAt")
    return (rollout["step"], started) if started else None


def outcomes(deployed: Deployed) -> list[tuple[str, str]]:
    return [(entry["version"], entry["outcome"]) for entry in deployed.status["history"]]


def done(all_of_them: list[Deployed]) -> bool:
    return all((one.status.get("phase"), one.status["stable"]["version"]) == ("Healthy", "v2") for one in all_of_them)


def hits(clocks: dict[str, list[tuple[int, str]]]) -> int:
    return sum(len(seen) for seen in clocks.values())


def test_killed_at_ten_moments_of_a_rollout(plane: ControlPlane, scene: Scene) -> None:
    killed = [scene.healthy(name, rollout={"steps": STEPS}) for name in NAMES]
    chance = random.Random(SEED)  # noqa: S311 (moments, not secrets)
    clocks: dict[str, list[tuple[int, str]]] = {name: [] for name in NAMES}
    for one in killed:
        one.declare(2)
    kills = 0
    # On a slow machine some hit the starts: then there are more.
    while kills < KILLS or (hits(clocks) < KILLS and not done(killed)):
        kills += 1
        moment = time.monotonic() + chance.uniform(0.0, 1.5)
        eventually(lambda moment=moment: time.monotonic() >= moment, "the moment")  # type: ignore[misc]
        scene.operator.kill()
        for one in killed:
            seen = clock(one.status)
            if seen is not None:
                clocks[one.name].append(seen)
        scene.operator.start()
    eventually(lambda: done(killed), "all are Healthy with v2", 120)

    for one in killed:
        # One beginning a step, however often it was looked at.
        assert len({step for step, _ in clocks[one.name]}) == len(set(clocks[one.name])), clocks[one.name]
        assert outcomes(one) == [("v2", "Promoted"), ("v1", "Promoted")]
        assert list(one.weights().values()) == [100]
    assert hits(clocks) >= KILLS, "kills must have hit steps"
    # As many as without a kill: an InferenceService a version, and one route.
    assert created(plane, scene.namespace) == {
        INFERENCE_SERVICE.plural: 2 * len(NAMES),
        HTTP_ROUTE.plural: len(NAMES),
    }
