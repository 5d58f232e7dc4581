"""What Argo CD makes of our objects by the health checks that the page gives people, with Argo CD's own interpreter.

Without a check Argo CD takes a kind that it does not know for healthy as soon as it is applied.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from functools import cache

import pytest
import yaml

from charts import generate
from e2e import tools
from serin.api.base import to_wire
from serin.api.crd import definitions
from serin.api.modelregistry import ModelRegistryStatus
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.controller.registry_status import registry_status
from serin.errors import RegistryError
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.chart.rendered import Json
from tests.unit.cli.objects import of
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import spec

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PREFIX = "resource.customizations.health."
UNSEEN = {"observedGeneration": -1, "phase": "Pending"}


@cache
def scripts() -> dict[str, str]:
    """By group and kind."""
    page = (generate.ROOT / "docs" / "how-to" / "gitops.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    return {key.removeprefix(PREFIX): script for key, script in yaml.safe_load(block)["data"].items()}


def health(body: Json) -> tuple[str, str]:
    """Its health and the message."""
    argv = [str(tools.binary("argohealth")), scripts()[f"serin.dev_{body['kind']}"]]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, input=json.dumps([body]))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return found["status"], found["message"]


def progressing() -> Scene:
    scene = rolling({10: "5m"})
    scene.run(60)
    return scene


def baking() -> Scene:
    course = {"steps": [{"weight": 10, "hold": "5m"}], "bake": "1h"}
    scene = healthy(1, rollout=course).declare(2, rollout=course)
    scene.run(600)
    assert scene.status.phase is Phase.BAKING
    return scene


def waiting() -> Scene:
    scene = healthy(1)
    scene.declare(2, rollout={"steps": [{"weight": 10, "hold": "1m", "approval": True}]}).run(120)
    return scene


def paused() -> Scene:
    scene = progressing()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    return scene


def rolled_back() -> Scene:
    scene = progressing()
    scene.fail(scene.candidate, Failure(Reason.LOAD_FAILED, "no module named xgboost", at=scene.now)).run(60)
    return scene


def suspended() -> Scene:
    scene = healthy()
    scene.spec = spec(1, suspend=True)
    scene.settle()
    return scene


def unknown() -> Scene:
    scene = Scene(target=Problem(Reason.MODEL_NOT_FOUND, "there is no model fraud-detector"))
    scene.settle()
    return scene


def unanswered() -> Scene:
    scene = Scene(target=Problem(Reason.REGISTRY_UNAVAILABLE, "mlflow does not answer"))
    scene.settle()
    return scene


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (healthy, "Healthy"),
        (progressing, "Progressing"),
        (baking, "Healthy"),
        (waiting, "Suspended"),
        (paused, "Suspended"),
        (suspended, "Suspended"),
        (rolled_back, "Degraded"),
        (unknown, "Degraded"),
        (unanswered, "Progressing"),
    ],
)
def test_health_of_a_model_deployment(begin: Callable[[], Scene], expected: str) -> None:
    """Of what the operator itself says, with its words."""
    scene = begin()
    assert health(of(scene)) == (expected, scene.status.message)


@pytest.mark.parametrize("status", [None, {}, UNSEEN], ids=["none", "empty", "default"])
@pytest.mark.parametrize("kind", ["ModelDeployment", "ModelRegistry"])
def test_what_the_operator_has_not_seen_is_on_its_way(kind: str, status: Json | None) -> None:
    body = {"kind": kind, "metadata": {"generation": 1}} | ({} if status is None else {"status": status})
    assert health(body)[0] == "Progressing"


def test_a_status_of_an_earlier_generation_counts_for_nothing() -> None:
    for begin in (healthy, rolled_back, suspended):
        body = of(begin())
        body["metadata"]["generation"] += 1
        assert health(body)[0] == "Progressing", begin


@pytest.mark.parametrize(
    ("error", "hiccup", "expected"),
    [
        (None, False, "Healthy"),
        (RegistryError(Reason.REGISTRY_UNAVAILABLE, "it does not answer", transient=True), True, "Healthy"),
        (RegistryError(Reason.REGISTRY_UNAVAILABLE, "it does not answer", transient=True), False, "Degraded"),
        (RegistryError(Reason.REGISTRY_REFUSED, "it refuses the login", transient=False), False, "Degraded"),
    ],
)
def test_health_of_a_registry(error: RegistryError | None, hiccup: bool, expected: str) -> None:
    body: Json = {"kind": "ModelRegistry", "metadata": {"generation": 2}, "status": UNSEEN}
    told = registry_status(body, error, "3.17", 1, START, START + timedelta(seconds=1), hiccup=hiccup)
    assert isinstance(told, ModelRegistryStatus)
    assert health(body | {"status": to_wire(told)}) == (expected, told.conditions[0].message)
    body["metadata"]["generation"] = 3
    assert health(body | {"status": to_wire(told)})[0] == "Progressing"


def test_every_kind_with_a_status_has_a_check() -> None:
    found = set()
    for crd in definitions().values():
        group, kind, (version,) = crd["spec"]["group"], crd["spec"]["names"]["kind"], crd["spec"]["versions"]
        if "status" in version.get("subresources", {}):
            found.add(f"{group}_{kind}")
    assert scripts().keys() == found


def test_words_of_the_checks_are_the_apis() -> None:
    named = {word for script in scripts().values() for word in re.findall(r'\.type == "(\w+)"', script)}
    assert named == {"Ready", "Stalled"}
    assert named <= set(ConditionType)
    (table,) = re.findall(r"waits = \{(.*)\}", scripts()["serin.dev_ModelDeployment"])
    reasons = set(re.findall(r"(\w+) = true", table))
    assert reasons == {Reason.SUSPENDED, Reason.PAUSED, Reason.AWAITING_APPROVAL}
