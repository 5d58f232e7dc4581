"""Annotations by which KServe is steered: ours are put back, one that stops it is taken off, those of others stay."""

from __future__ import annotations

from typing import Any

import pytest

from serin.api.kinds import INFERENCE_SERVICE
from tests.unit.controller.test_controller_reconcile import Stage

Json = dict[str, Any]
MODE, SCALER = "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass"
STOP = "serving.kserve.io/stop"
OURS = {MODE: "Standard", SCALER: "external"}


async def annotated(stage: Stage, **changes: str | None) -> str:
    """Change the annotations of the stable version's InferenceService by hand; its name."""
    name = await stage.served()
    body = stage.service(name)
    annotations = {**body["metadata"]["annotations"], **changes}
    body["metadata"]["annotations"] = {key: text for key, text in annotations.items() if text is not None}
    stage.api.put(INFERENCE_SERVICE, body)
    stage.api.written.clear()
    return name


@pytest.mark.parametrize(
    "changes",
    [
        {SCALER: None},
        {SCALER: "hpa"},
        {MODE: None},
        {MODE: "Knative"},
        {SCALER: None, MODE: None},
        {STOP: "true"},
        {STOP: "True"},
        {STOP: "true", SCALER: "none"},
    ],
)
async def test_what_steers_kserve_is_put_back(changes: dict[str, str | None]) -> None:
    stage = Stage()
    name = await annotated(stage, **changes)
    await stage.look()
    assert stage.service(name)["metadata"]["annotations"] == OURS
    assert stage.api.written == [f"patch InferenceService {name}"]
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == []


@pytest.mark.parametrize(
    "theirs",
    [
        {"team.example.com/owner": "risk"},
        {"serving.kserve.io/enable-metric-aggregation": "true"},
        {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        # It stops nothing, and to take it off would restart the pods.
        {STOP: "false"},
    ],
)
async def test_annotations_of_others_stay(theirs: dict[str, str]) -> None:
    """KServe copies annotations into the pods' template: whoever changes one restarts the pods."""
    stage = Stage()
    name = await annotated(stage, **theirs)
    await stage.look()
    assert stage.service(name)["metadata"]["annotations"] == OURS | theirs
    assert stage.api.written == []
