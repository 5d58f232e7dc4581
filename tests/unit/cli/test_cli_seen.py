"""What is read of a status is what the operator writes: names on the wire, in every state of real rollouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serin.api.base import to_wire
from serin.api.crd import definitions
from serin.api.status import Phase
from serin.cli.seen import Role
from serin.cli.seen import Seen
from serin.cli.seen import text
from serin.rollout.orders import Verb
from tests.unit.cli import objects
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import kstatus
from tests.unit.rollout.scene import rolling

Json = dict[str, Any]


def seen(scene: Scene) -> Seen:
    return Seen(
        {
            "metadata": {"name": "fraud", "namespace": "payments", "generation": scene.generation},
            "spec": {},
            "status": to_wire(scene.status),
        }
    )


def through_a_rollout() -> Iterator[Scene]:
    steps = [
        {"weight": 0, "mirror": 20, "hold": "10s"},
        {"weight": 25, "hold": "10s", "approval": True, "match": {"headers": {"x-cohort": "beta"}}},
    ]
    scene = rolling({}, rollout={"steps": steps, "bake": "30s", "deadline": "1h"})
    yield scene
    for _ in range(40):
        scene.run(2)
        if seen(scene).awaits_approval and scene.status.phase is Phase.AWAITING_APPROVAL:
            scene.order(Verb.APPROVE, scene.candidate)
        yield scene


def test_what_is_read_is_what_was_written() -> None:
    phases = set()
    for scene in through_a_rollout():
        phases.add(scene.status.phase)
        told = seen(scene)
        assert told.phase == scene.status.phase
        assert told.verdict == kstatus(scene.status, scene.generation)
        for role in ("stable", "candidate", "previous", "fallback"):
            written, read = getattr(scene.status, role), getattr(told, role)
            assert (written is None) == (read is None), role
            if isinstance(read, Role):
                assert (read.revision, read.version, read.since) == (written.revision, written.version, written.since)
                assert (read.replicas, read.ready, read.goes_at) == (written.replicas, written.ready, written.goes_at)
        rollout = scene.status.rollout
        if rollout is not None:
            assert told.step == rollout.step
            assert [(step.weight, step.mirror, step.hold, step.approval) for step in told.steps] == [
                (step.weight, step.mirror, step.hold, step.approval) for step in rollout.course.steps
            ]
            assert told.steps[1].match == "x-cohort: beta"
    assert {Phase.DEPLOYING, Phase.PROGRESSING, Phase.AWAITING_APPROVAL, Phase.BAKING, Phase.HEALTHY} <= phases


@pytest.mark.parametrize(
    "turn", ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"]
)
def test_no_text_turns_the_direction_of_what_follows(turn: str) -> None:
    assert text(f"ended{turn}: exit code 1") == "ended : exit code 1"


def unknown(value: object, schema: Json, at: str = "") -> Iterator[str]:
    """Paths of fields that the schema does not have."""
    if isinstance(value, list):
        for one in value:
            yield from unknown(one, schema.get("items", {}), f"{at}[]")
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for one in value.values():
            yield from unknown(one, schema["additionalProperties"], f"{at}.*")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in schema.get("properties", {}):
                yield f"{at}.{name}"
            else:
                yield from unknown(inner, schema["properties"][name], f"{at}.{name}")


def test_the_objects_of_these_tests_are_those_of_the_api() -> None:
    """They are written by hand, field by field as the command line reads them."""
    version = definitions()["serin.dev_modeldeployments.yaml"]["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    paused = {"reason": "Paused", "message": "", "since": "2026-11-20T22:12:00Z"}
    judged = objects.deployment(analysis=objects.CHECKS)
    for body in (objects.rolling(paused=paused, approvedStep=3), objects.rejected(), objects.deployment(), judged):
        assert list(unknown(body["spec"], schema["spec"])) == []
        assert list(unknown(body["status"], schema["status"])) == []
