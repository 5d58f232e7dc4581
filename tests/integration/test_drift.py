"""Children that were edited or deleted by hand are put back within seconds, and no rollout starts for it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest

from serin.api.kinds import AUTOSCALER
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from tests.integration.kube import Json
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

PUT_BACK_SECONDS = 5.0
LONG_STEP = [{"weight": 10, "hold": "10m"}]


class Child:
    """One child, to be edited as somebody with kubectl would."""

    def __init__(self, scene: Scene, kind: Kind, name: str) -> None:
        self._scene = scene
        self._kind = kind
        self.name = name

    @property
    def body(self) -> Json | None:
        return self._scene.kube.get(self._kind, self._scene.namespace, self.name)

    @property
    def spec(self) -> Json:
        body = self.body
        assert body is not None, f"{self.name} is gone"
        spec: Json = body["spec"]
        return spec

    def edit(self, spec: Json) -> None:
        """Change it by hand, and wait until it is as before."""
        before = self.spec
        edited = self._scene.kube.patch(self._kind, self._scene.namespace, self.name, {"spec": spec})
        assert edited["spec"] != before, "the edit must differ"
        eventually(lambda: self.spec == before, f"{self.name} is put back after {spec}", PUT_BACK_SECONDS)

    def annotate(self, **annotations: str | None) -> None:
        """Change its annotations by hand, None to take one off, and wait until they are as before."""
        before = self._annotations()
        change = {"metadata": {"annotations": annotations}}
        edited = self._scene.kube.patch(self._kind, self._scene.namespace, self.name, change)
        assert edited["metadata"]["annotations"] != before, "the edit must differ"
        eventually(
            lambda: self._annotations() == before, f"{self.name} is put back after {annotations}", PUT_BACK_SECONDS
        )

    def _annotations(self) -> Json:
        body = self.body
        assert body is not None, f"{self.name} is gone"
        annotations: Json = body["metadata"]["annotations"]
        return annotations

    def delete(self) -> None:
        """Delete it by hand, and wait until there is another one with the same spec."""
        body = self.body
        assert body is not None
        self._scene.kube.delete(self._kind, self._scene.namespace, self.name)

        def back() -> bool:
            now = self.body
            if now is None or now["metadata"]["uid"] == body["metadata"]["uid"]:
                return False
            return bool(now["spec"] == body["spec"])

        eventually(back, f"{self.name} is made again", PUT_BACK_SECONDS)


@pytest.fixture
def unmoved(scene: Scene) -> Iterator[Deployed]:
    """A deployment in the midst of a long step. Whatever a test does, history and clock stay as they are."""
    deployed = scene.healthy(serving={"minReplicas": 1, "maxReplicas": 3}, rollout={"steps": LONG_STEP})
    deployed.declare(2)
    before = deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    yield deployed
    after = deployed.until(lambda now: now["rollout"]["step"] == 1, "still step 1")
    assert after["history"] == before["history"]
    for clock in ("startedAt", "stepStartedAt", "nextAt"):
        assert after["rollout"][clock] == before["rollout"][clock]
    assert [after[role]["revision"] for role in ("stable", "candidate")] == [
        before[role]["revision"] for role in ("stable", "candidate")
    ]


def _refs(change: Callable[[list[Json]], object]) -> Callable[[Json], Json]:
    """An edit of the route's last rule, which shares out the requests."""

    def edit(spec: Json) -> Json:
        *direct, last = spec["rules"]
        rule = {**last, "backendRefs": [dict(ref) for ref in last["backendRefs"]]}
        change(rule["backendRefs"])
        return {"rules": [*direct, rule]}

    return edit


def _swap(refs: list[Json]) -> None:
    refs[0]["weight"], refs[1]["weight"] = refs[1]["weight"], refs[0]["weight"]


def _filtered(spec: Json) -> Json:
    added = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x-by", "value": "hand"}]}}
    return {"rules": [*spec["rules"][:-1], {**spec["rules"][-1], "filters": [added]}]}


ROUTE_EDITS: dict[str, Callable[[Json], Json]] = {
    "weights": _refs(_swap),
    "filter": _filtered,
    "hostnames": lambda _: {"hostnames": ["other.example.com"]},
    "no timeout": lambda spec: {"rules": [*spec["rules"][:-1], {**spec["rules"][-1], "timeouts": {}}]},
    "no direct access": lambda spec: {"rules": spec["rules"][-1:]},
    "gateway": lambda _: {"parentRefs": [{"name": "private", "namespace": "gateways"}]},
}


def test_route(scene: Scene, unmoved: Deployed) -> None:
    route = Child(scene, HTTP_ROUTE, unmoved.name)
    for edit in ROUTE_EDITS.values():
        route.edit(edit(route.spec))


def test_route_that_leaves_the_candidate_out(scene: Scene) -> None:
    """It is back as quickly. The step begins anew: a candidate without traffic has proven nothing meanwhile."""
    deployed = scene.healthy(rollout={"steps": LONG_STEP})
    deployed.declare(2)
    before = deployed.until(lambda now: now["rollout"]["step"] == 1, "step 1")
    route = Child(scene, HTTP_ROUTE, deployed.name)
    route.edit(_refs(lambda refs: refs.pop())(route.spec))
    route.delete()
    after = deployed.until(
        lambda now: now["rollout"]["step"] == 1 and now["rollout"].get("stepStartedAt"), "step 1 again"
    )
    assert sorted(deployed.weights().values()) == [10, 90]
    assert after["history"] == before["history"]
    assert after["rollout"]["startedAt"] == before["rollout"]["startedAt"]


def _model(**fields: Any) -> Json:
    return {"predictor": {"model": fields}}


SERVICE_EDITS: dict[str, Json] = {
    "other artifacts": _model(storageUri="s3://models/other"),
    "other runtime": _model(runtime="kserve-other"),
    "variable": _model(env=[{"name": "MLSERVER_MODEL_NAME", "value": "x"}, {"name": "DEBUG", "value": "1"}]),
    "node selector": {"predictor": {"nodeSelector": {"disk": "ssd"}}},
    "toleration": {"predictor": {"tolerations": [{"key": "gpu", "operator": "Exists"}]}},
    "transformer": {"transformer": {"containers": [{"name": "kserve-container", "image": "own"}]}},
}


def test_inference_service(scene: Scene, unmoved: Deployed) -> None:
    for role in ("stable", "candidate"):
        service = Child(scene, INFERENCE_SERVICE, unmoved.status[role]["revision"])
        for edit in SERVICE_EDITS.values():
            service.edit(edit)


def test_annotations_that_steer_kserve(scene: Scene, unmoved: Deployed) -> None:
    for role in ("stable", "candidate"):
        service = Child(scene, INFERENCE_SERVICE, unmoved.status[role]["revision"])
        service.annotate(**{"serving.kserve.io/autoscalerClass": "hpa"})
        service.annotate(**{"serving.kserve.io/autoscalerClass": None})


def test_inference_service_that_is_stopped(scene: Scene) -> None:
    """KServe deletes the Deployment of one that is stopped: nothing of the version in use would be left."""
    deployed = scene.healthy(serving={"minReplicas": 2})
    before = deployed.status
    service = Child(scene, INFERENCE_SERVICE, before["stable"]["revision"])
    service.annotate(**{"serving.kserve.io/stop": "true"})
    after = deployed.healthy(1)
    assert after["history"] == before["history"]
    eventually(lambda: scene.ready_pods() == 2, "all replicas are there again")


def test_annotations_of_others(scene: Scene) -> None:
    deployed = scene.healthy()
    name = deployed.status["stable"]["revision"]
    annotations = {"team.example.com/owner": "risk"}
    scene.kube.patch(INFERENCE_SERVICE, scene.namespace, name, {"metadata": {"annotations": annotations}})
    # Another change, to see that the operator has been there.
    Child(scene, INFERENCE_SERVICE, name).annotate(**{"serving.kserve.io/autoscalerClass": None})
    body = scene.kube.get(INFERENCE_SERVICE, scene.namespace, name)
    assert body is not None
    assert body["metadata"]["annotations"]["team.example.com/owner"] == "risk"


def test_autoscaler(scene: Scene, unmoved: Deployed) -> None:
    autoscaler = Child(scene, AUTOSCALER, unmoved.status["stable"]["revision"])
    autoscaler.edit({"maxReplicas": 7})
    autoscaler.edit({"minReplicas": 2})
    autoscaler.edit({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}})
    autoscaler.delete()


def test_replicas_of_a_fixed_number(scene: Scene) -> None:
    deployed = scene.healthy(serving={"minReplicas": 2})
    before = deployed.status
    workload = Child(scene, WORKLOAD, f"{before['stable']['revision']}-predictor")
    for replicas in (0, 5):
        workload.edit({"replicas": replicas})
    status = deployed.healthy(1)
    assert status["history"] == before["history"]
    assert status["stable"]["since"] == before["stable"]["since"]


def test_inference_service_that_is_deleted(scene: Scene) -> None:
    """The same revision again, not another rollout."""
    deployed = scene.healthy()
    before = deployed.status
    Child(scene, INFERENCE_SERVICE, before["stable"]["revision"]).delete()
    after = deployed.healthy(1)
    assert after["history"] == before["history"]
    assert after["stable"]["revision"] == before["stable"]["revision"]
    assert list(deployed.weights().values()) == [100]


def test_drift_while_the_operator_is_down(scene: Scene) -> None:
    deployed = scene.healthy()
    revision = deployed.status["stable"]["revision"]
    service = Child(scene, INFERENCE_SERVICE, revision)
    before = service.spec
    scene.operator.kill()
    scene.kube.patch(
        INFERENCE_SERVICE, scene.namespace, revision, {"spec": {"predictor": {"nodeSelector": {"disk": "ssd"}}}}
    )
    scene.kube.delete(HTTP_ROUTE, scene.namespace, deployed.name)
    scene.operator.start()
    eventually(lambda: service.spec == before, "the InferenceService is put back", PUT_BACK_SECONDS)
    eventually(lambda: list(deployed.weights().values()) == [100], "the route is there again", PUT_BACK_SECONDS)
    assert len(deployed.healthy(1)["history"]) == 1
