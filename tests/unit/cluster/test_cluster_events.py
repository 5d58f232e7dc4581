"""Events as they are written."""

from __future__ import annotations

import pytest

from serin.api.kinds import EVENT
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cluster import events
from tests.unit.controller.fake_api import FakeApi
from tests.unit.rollout.scene import START


@pytest.mark.parametrize(
    ("note", "written"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1021 + "…"),
        ("模" * 341, "模" * 341),
        ("模" * 342, "模" * 340 + "…"),
        ("ab" + "模" * 341, "ab" + "模" * 339 + "…"),
    ],
)
async def test_a_note_has_as_many_bytes_as_the_api_server_takes(note: str, written: str) -> None:
    """It refuses longer ones, and counts bytes."""
    api, about = FakeApi(), {"name": "fraud", "namespace": "payments", "uid": "u"}
    await events.record(
        api.client,
        MODEL_DEPLOYMENT,
        about,
        event_type="Warning",
        reason="Crashed",
        note=note,
        occasion="",
        reporter="operator-0",
        now=START,
    )
    [event] = [body for (kind, _, _), body in api.objects.items() if kind == EVENT.kind]
    assert event["note"] == written
    assert len(event["note"].encode()) <= 1024
