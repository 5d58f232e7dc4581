"""What is accepted and reported: Ready=False with its reason, what serves keeps serving, all is well once mended."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE as NAMESPACE_KIND
from serin.api.kinds import SECRET
from tests.integration.gateway import ACCEPTING
from tests.integration.gateway import Gateway
from tests.integration.kube import Json
from tests.integration.kube import Kube
from tests.integration.model_registry import RegisteredModel
from tests.integration.model_registry import Version
from tests.integration.model_registry import down
from tests.integration.operator_process import NAMESPACE
from tests.integration.rbac import RULES
from tests.integration.rbac import allow
from tests.integration.rbac import without
from tests.integration.scene import MODEL
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import always
from tests.integration.waiting import eventually
from tests.unit.registry.fake import MISSING
from tests.unit.registry.fake import never
from tests.unit.registry.fake import text

pytestmark = pytest.mark.integration


def assert_v1_serves(deployed: Deployed) -> None:
    """The version in use has all traffic, by the route itself, and the status says that it serves."""
    status = deployed.status
    assert [(share["version"], share["weight"]) for share in status["traffic"]] == [("v1", 100)]
    assert list(deployed.weights().values()) == [100]
    assert deployed.condition("Available")["status"] == "True"
    assert status["message"].endswith("serving v1")


def assert_complaint(deployed: Deployed, reason: str, *words: str) -> None:
    """Ready=False for that reason, stalled, with these words in the message; v1 goes on serving."""
    ready = deployed.reason(reason)
    for word in words:
        assert word in ready["message"]
    stalled = deployed.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    assert deployed.condition("Reconciling") == {}
    assert_v1_serves(deployed)


def patch_registry(scene: Scene, spec: Json) -> None:
    scene.kube.patch(MODEL_REGISTRY, NAMESPACE, scene.namespace, {"spec": spec})


def test_registry_that_does_not_exist(scene: Scene) -> None:
    deployed = scene.healthy()
    elsewhere = f"{scene.namespace}-b"
    deployed.patch({"model": {"registry": elsewhere}})
    assert_complaint(deployed, "RegistryNotFound", elsewhere, "create it", NAMESPACE)

    spec = {"url": scene.models.url, "pollInterval": "1s"}
    scene.kube.create(MODEL_REGISTRY, NAMESPACE, {"metadata": {"name": elsewhere}, "spec": spec})
    deployed.healthy(1)
    scene.kube.delete(MODEL_REGISTRY, NAMESPACE, elsewhere)


def test_registry_that_is_deleted(scene: Scene) -> None:
    deployed = scene.healthy()
    before = deployed.status
    scene.kube.delete(MODEL_REGISTRY, NAMESPACE, scene.namespace)
    assert_complaint(deployed, "RegistryNotFound")

    scene.declare_registry()
    assert deployed.healthy(1)["stable"] == before["stable"]


def test_registry_of_another_namespace_does_not_count(scenes: Callable[..., Scene], kube: Kube) -> None:
    scene = scenes(registry=False)
    spec = {"url": scene.models.url}
    kube.create(MODEL_REGISTRY, scene.namespace, {"metadata": {"name": scene.namespace}, "spec": spec})
    deployed = scene.deploy(version=1)
    deployed.reason("RegistryNotFound")
    assert scene.models.requests == []


def test_namespace_that_is_not_allowed(scene: Scene) -> None:
    deployed = scene.healthy()
    patch_registry(scene, {"allowedNamespaces": {"matchLabels": {"team": "payments"}}})
    assert_complaint(deployed, "NamespaceNotAllowed", scene.namespace, "allowedNamespaces")

    scene.kube.patch(NAMESPACE_KIND, None, scene.namespace, {"metadata": {"labels": {"team": "payments"}}})
    deployed.healthy(1)


def test_model_that_does_not_exist(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"model": {"name": "froud"}})
    assert_complaint(deployed, "ModelNotFound", "froud", "check spec.model.name")

    scene.models.add("froud", 1)
    deployed.healthy(1)


def test_version_that_does_not_exist(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.declare(7)
    assert_complaint(deployed, "VersionNotFound", "v7", "Check spec.model.version")

    scene.models.add(MODEL, 7)
    deployed.healthy(7)


def test_alias_that_does_not_exist(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"model": {"version": None, "alias": "champion"}})
    assert_complaint(deployed, "AliasNotFound", "champion", "check spec.model.alias")

    scene.models.point(MODEL, "champion", 2)
    deployed.healthy(2)


def test_alias_whose_version_was_deleted(scene: Scene) -> None:
    scene.models.point(MODEL, "champion", 1)
    deployed = scene.healthy(alias="champion")
    del scene.models.models[MODEL].aliases["champion"]
    assert_complaint(deployed, "AliasNotFound", "champion")

    scene.models.point(MODEL, "champion", 1)
    deployed.healthy(1)
    assert len(deployed.status["history"]) == 1


def test_artifacts_at_a_place_that_is_not_allowed(scenes: Callable[..., Scene]) -> None:
    scene = scenes(artifacts={"allowed": ["s3://models/"]})
    scene.models.models[MODEL].versions[2] = Version("s3://models-evil/2")
    deployed = scene.healthy()
    deployed.declare(2)
    assert_complaint(deployed, "ArtifactNotAllowed", "s3://models-evil/2", "artifacts.allowed", scene.namespace)

    patch_registry(scene, {"artifacts": {"allowed": ["s3://models/", "s3://models-evil/"]}})
    deployed.healthy(2)


def test_artifacts_that_are_gone(scene: Scene) -> None:
    kept = scene.models.handlers["/model-versions/get-artifact"]
    deployed = scene.healthy()
    scene.models.handlers["/model-versions/get-artifact"] = MISSING
    deployed.declare(2)
    assert_complaint(deployed, "ArtifactNotFound", "v2", "log and register the model again")

    # What stands before the server knows no such path.
    scene.models.handlers["/model-versions/get-artifact"] = text("", status=404)
    deployed.declare(3)
    assert "check url and what stands before the server" in deployed.reason("RegistryUnavailable")["message"]
    assert_v1_serves(deployed)

    scene.models.handlers["/model-versions/get-artifact"] = kept
    deployed.healthy(3)


def test_prompt_in_place_of_a_model(scene: Scene) -> None:
    deployed = scene.healthy()
    scene.models.models["greeting"] = RegisteredModel({1: Version("")}, prompt=True)
    deployed.patch({"model": {"name": "greeting"}})
    assert_complaint(deployed, "NotAModel", "greeting", "prompts cannot be served")

    deployed.patch({"model": {"name": MODEL}})
    deployed.healthy(1)


def test_flavor_that_no_runtime_serves(scene: Scene) -> None:
    deployed = scene.healthy()
    scene.models.add(MODEL, 4, flavors=("spacy",))
    deployed.declare(4)
    assert_complaint(deployed, "NoRuntime", "spacy", "add a runtime to the settings")

    deployed.declare(1)
    deployed.healthy(1)


def test_runtime_that_is_not_offered(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"serving": {"runtime": "kserve-torchserve"}})
    assert_complaint(deployed, "NoRuntime", "kserve-torchserve", "kserve-mlserver")

    deployed.patch({"serving": {"runtime": "kserve-mlserver"}})
    deployed.healthy(1)


def test_no_gateway_anywhere(scene: Scene) -> None:
    deployed = scene.deploy(version=1, traffic={"timeout": "1s"})
    ready = deployed.reason("GatewayNotConfigured")
    assert "spec.traffic.gateways" in ready["message"]

    deployed.patch({"traffic": {"gateways": [{"name": "public", "namespace": "gateways"}]}})
    deployed.healthy(1)


def test_overrides_that_kserve_refuses(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"serving": {"overrides": {"containerConcurrency": -1}}})
    ready = deployed.reason("BackendRefused")
    assert "parallelism cannot be less than 0" in ready["message"]
    assert_v1_serves(deployed)

    deployed.patch({"serving": {"overrides": None}})
    deployed.healthy(1)


def test_overrides_that_kserve_does_not_know(scene: Scene) -> None:
    deployed = scene.healthy()
    deployed.patch({"serving": {"overrides": {"nodeSelecter": {"disk": "ssd"}}}})
    ready = deployed.reason("InvalidSpec")
    assert "does not know spec.predictor.nodeSelecter: correct spec.serving.overrides" in ready["message"]
    assert_v1_serves(deployed)

    deployed.patch({"serving": {"overrides": None}})
    deployed.healthy(1)


def test_gateway_that_refuses_the_first_route(scene: Scene) -> None:
    words = "no listener of the gateway allows host fraud"
    scene.stage.gateway(scene.namespace, Gateway(refusal=words))
    deployed = scene.deploy(version=1)
    eventually(lambda: deployed.condition("TrafficRouted").get("reason") == "RouteRefused", "the refusal is told")
    routed = deployed.condition("TrafficRouted")
    assert words in routed["message"]
    assert "gateways/public" in routed["message"]
    assert words in deployed.status["message"]
    assert deployed.condition("Ready")["status"] == "False"

    scene.stage.gateway(scene.namespace, ACCEPTING)
    deployed.healthy(1)


def test_gateway_that_refuses_in_a_rollout(scene: Scene) -> None:
    """The clock of a step does not start before the gateway has taken the weight."""
    deployed = scene.healthy()
    words = "the listener was removed"
    scene.stage.gateway(scene.namespace, Gateway(refusal=words))
    deployed.declare(2)
    status = deployed.until(lambda now: words in now["message"], "the gateway's words")
    assert status["rollout"]["step"] == 0
    # What the gateway had accepted last is what it still does.
    assert [(share["version"], share["weight"]) for share in status["traffic"]] == [("v1", 100)]
    always(lambda: deployed.status["rollout"]["step"] == 0, "no step begins", 2.0)

    scene.stage.gateway(scene.namespace, ACCEPTING)
    deployed.healthy(2)


@contextmanager
def forbidden(kube: Kube, group: str, resource: str, verb: str) -> Iterator[None]:
    """Take one permission from the operator."""
    allow(kube, without(group, resource, verb))
    try:
        yield
    finally:
        allow(kube, RULES)


@pytest.mark.parametrize(
    ("group", "resource", "verb", "change"),
    [
        ("serving.kserve.io", "inferenceservices", "create", {"model": {"version": 2}}),
        ("gateway.networking.k8s.io", "httproutes", "patch", {"model": {"version": 2}}),
        ("apps", "deployments/scale", "patch", {"serving": {"minReplicas": 2}}),
        ("autoscaling", "horizontalpodautoscalers", "create", {"serving": {"maxReplicas": 3}}),
    ],
)
def test_permission_that_is_missing(scene: Scene, group: str, resource: str, verb: str, change: Json) -> None:
    deployed = scene.healthy()
    with forbidden(scene.kube, group, resource, verb):
        deployed.patch(change)
        ready = deployed.reason("Forbidden")
        for word in (resource.partition("/")[0], verb, "serin-operator"):
            assert word in ready["message"]
        assert_v1_serves(deployed)
    # Something else changes, which is when the permission is tried again; without that it takes a minute.
    deployed.patch({"traffic": {"timeout": "2s"}})
    deployed.phase("Healthy")


def test_registry_that_is_down_at_the_start(scene: Scene) -> None:
    scene.models.mood = down
    deployed = scene.deploy(version=1)
    ready = deployed.reason("RegistryUnavailable")
    assert "127.0.0.1" in ready["message"]
    assert deployed.condition("Stalled") == {}, "it passes by itself"
    assert scene.names(INFERENCE_SERVICE) == []

    scene.models.mood = None
    deployed.healthy(1)


@pytest.mark.parametrize("mood", [down, text("<h1>Bad gateway</h1>", status=502)], ids=["down", "502"])
def test_registry_that_goes_down_in_a_rollout(scene: Scene, mood: Callable[..., object]) -> None:
    """Nothing moves forward, nothing falls back, and the status says which registry and since when."""
    scene.models.point(MODEL, "champion", 1)
    deployed = scene.healthy(alias="champion", rollout={"steps": [{"weight": 10, "hold": "9s"}]})
    scene.models.point(MODEL, "champion", 2)
    deployed.until(lambda now: now.get("rollout", {}).get("step") == 1, "step 1")
    scene.models.mood = mood  # type: ignore[assignment]
    waiting = deployed.until(
        lambda now: "answered since" in now.get("rollout", {}).get("waitingFor", ""), "the outage is told"
    )["rollout"]
    assert scene.namespace in waiting["waitingFor"]
    assert deployed.condition("ModelResolved")["status"] == "Unknown"
    assert deployed.condition("ModelResolved")["reason"] == "RegistryUnavailable"
    since = waiting["waitingFor"]

    def unmoved() -> bool:
        rollout = deployed.status["rollout"]
        return (
            rollout["weight"] == 10
            and rollout["waitingFor"] == since
            and sorted(deployed.weights().values())
            == [
                10,
                90,
            ]
        )

    always(unmoved, "the weight is kept, and the words too: time that passes is no difference", 3.0)

    scene.models.mood = None
    deployed.healthy(2)


@pytest.mark.parametrize("mood", [down, never], ids=["down", "hangs"])
def test_registry_that_goes_down_at_rest(scene: Scene, mood: Callable[..., object]) -> None:
    """A version that serves needs no registry."""
    scene.models.point(MODEL, "champion", 1)
    deployed = scene.healthy(alias="champion")
    scene.models.mood = mood  # type: ignore[assignment]
    eventually(lambda: scene.operator.metric("serin_registry_up", registry=scene.namespace) == 0, "the outage is seen")
    always(lambda: deployed.condition("Ready")["status"] == "True", "it is ready", 1.5)
    assert list(deployed.weights().values()) == [100]
    # A restart in the outage does not change that.
    scene.operator.kill()
    scene.operator.start()
    always(lambda: deployed.condition("Ready")["status"] == "True", "it is ready", 1.5)
    assert_traffic_is_all_of_v1(deployed)


def assert_traffic_is_all_of_v1(deployed: Deployed) -> None:
    assert [(share["version"], share["weight"]) for share in deployed.status["traffic"]] == [("v1", 100)]


def login(scene: Scene, user: str) -> None:
    """A Secret with a login."""
    metadata = {"name": f"{scene.namespace}-login"}
    scene.kube.create(SECRET, NAMESPACE, {"metadata": metadata, "stringData": {"username": user, "password": "pw"}})


def test_login_that_is_refused_and_secret_that_is_missing(scenes: Callable[..., Scene]) -> None:
    """Secrets are not watched: a corrected one is seen within half a minute. Both wait for that together."""
    refused, missing = scenes(registry=False), scenes(registry=False)
    refused.models.user = missing.models.user = "good"
    login(refused, "bad")
    deployed = {}
    for scene, reason in ((refused, "RegistryRefused"), (missing, "SecretNotFound")):
        scene.declare_registry(auth={"secretName": f"{scene.namespace}-login"})
        deployed[scene.namespace] = scene.deploy(version=1)
        ready = deployed[scene.namespace].reason(reason)
        assert "check the Secret" in ready["message"] or f"no Secret {scene.namespace}-login" in ready["message"]
        eventually(lambda scene=scene, reason=reason: registry_ready(scene).get("reason") == reason, reason)  # type: ignore[misc]

    refused.kube.patch(SECRET, NAMESPACE, f"{refused.namespace}-login", {"stringData": {"username": "good"}})
    login(missing, "good")
    for one in deployed.values():
        one.healthy(1, seconds=90)
    for scene in (refused, missing):
        # The registry's own status is written beside the ModelDeployment's, by another task.
        eventually(lambda scene=scene: registry_ready(scene).get("status") == "True", "the registry is ready")  # type: ignore[misc]


def registry_ready(scene: Scene) -> Json:
    """Condition Ready of the scene's ModelRegistry; {} while there is none."""
    body = scene.kube.get(MODEL_REGISTRY, NAMESPACE, scene.namespace)
    assert body is not None
    found: list[Json] = body["status"]["conditions"]
    return found[0] if found else {}
