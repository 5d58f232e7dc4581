"""A version that does not pass its gates: not a pod of it, the reason for people and machines, and the way on."""

from __future__ import annotations

import json

import pytest

from serin.api.kinds import MODEL_DEPLOYMENT
from tests.integration import kstatus
from tests.integration.scene import MODEL
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import always
from tests.integration.waiting import eventually
from tests.unit.registry.fake import api

pytestmark = pytest.mark.integration

RUN = api("runs/get")
NUMBER = {"inputs": json.dumps([{"name": "age", "type": "double", "required": True}])}
TEXT = {"inputs": json.dumps([{"name": "age", "type": "string", "required": True}])}
GATES = {"signature": "Enforce", "quality": [{"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "2%"}]}


def gated(scene: Scene) -> Deployed:
    """v1 serves; of v2 the signature breaks clients, and v3 has no metrics."""
    versions = scene.models.models[MODEL].versions
    versions[1].signature, versions[1].metrics = NUMBER, {"f1": 0.9}
    versions[2].signature, versions[2].metrics = TEXT, {"f1": 0.95}
    versions[3].signature = NUMBER
    return scene.healthy(rollout={"gates": GATES})


def refused(deployed: Deployed, reason: str, words: str) -> None:
    ready, status = deployed.reason(reason), deployed.status
    assert words in ready["message"]
    assert ready["message"].endswith("; serving v1")
    assert kstatus.evaluate(deployed.body) == "Failed"
    assert status["rejected"][0]["reason"] == reason
    revisions = [status["stable"]["revision"]]
    always(lambda: deployed.scene.revisions() == revisions, "nothing of it is deployed", 1.0)


def test_a_signature_that_breaks_clients(scene: Scene) -> None:
    deployed = gated(scene)
    deployed.declare(2)
    refused(deployed, "SignatureIncompatible", "input 'age' is string and was double")
    # A restart judges anew, and finds the same.
    before = deployed.body["metadata"]["resourceVersion"]
    scene.operator.kill()
    scene.models.requests.clear()
    scene.operator.start()
    eventually(lambda: scene.models.paths().count(RUN) == 2, "metrics of both versions are read again")
    always(lambda: deployed.body["metadata"]["resourceVersion"] == before, "the status stays as it is", 3.0)
    assert scene.models.paths().count(RUN) == 2
    # Clients were told.
    deployed.patch({"rollout": {"gates": {"signature": "Warn"}}})
    status = deployed.until(lambda now: now.get("candidate", {}).get("version") == "v2", "v2 is deployed")
    told = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert told["GatesWarning"] == ("True", "SignatureIncompatible")
    deployed.healthy(2)
    assert deployed.condition("GatesWarning") == {}
    assert deployed.status["rejected"] == []


def test_a_metric_that_is_logged_late(scene: Scene) -> None:
    deployed = gated(scene)
    deployed.declare(3)
    refused(deployed, "QualityTooLow", "v3 has no metric f1 (it has none)")
    scene.models.models[MODEL].versions[3].metrics = {"f1": 0.89}
    order = {"serin.dev/retry": deployed.status["rejected"][0]["revision"]}
    scene.kube.patch(MODEL_DEPLOYMENT, scene.namespace, deployed.name, {"metadata": {"annotations": order}})
    status = deployed.healthy(3)
    assert status["handled"]["retry"]["result"] == "Done"
    assert status["rejected"] == []
