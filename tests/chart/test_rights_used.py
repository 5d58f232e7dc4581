"""The chart's rights are what the operator uses: the API server's audit log is held against the rendered roles.

The operator runs with the chart's own settings, as the service account that the chart's bindings name, and lives
through everything it does: a registry with a login, rollouts, a crash, drift, autoscaling, sizes, and a resync after a
watch that missed deletions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from charts import generate
from e2e.cluster.audit import Request
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_kserve
from e2e.stack.kubectl import Kubectl
from serin.api.kinds import AUTOSCALER
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import NAMESPACE
from serin.api.kinds import POD
from serin.api.kinds import SECRET
from serin.api.kinds import WORKLOAD
from serin.cluster.client import Client
from serin.cluster.client import connect
from serin.cluster.limiter import TokenBucket
from serin.controller.app import utc_now
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.policies import Policies
from serin.controller.queue import Queue
from serin.controller.registries import Registries
from serin.controller.resync import parts
from serin.controller.telemetry import Telemetry
from tests.chart.rendered import Json
from tests.chart.rendered import Rendered
from tests.chart.rendered import render
from tests.integration.backstage import Backstage
from tests.integration.kube import Kube
from tests.integration.operator_process import Operator
from tests.integration.played import Played
from tests.integration.pods import crash_looping
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

# RBAC knows a service account by this name, however it proves who it is.
USER = f"system:serviceaccount:{generate.NAMESPACE}:{generate.RELEASE}"
FORBIDDEN = 403

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""


@pytest.fixture(scope="module")
def chart() -> Rendered:
    return render()


@pytest.fixture(scope="module")
def plane(chart: Rendered) -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        add_kserve(plane)
        kubectl = Kubectl(plane.kubeconfig)
        kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": generate.NAMESPACE}}])
        kubectl.apply(chart.objects)
        yield plane


@pytest.fixture
def stage(plane: ControlPlane) -> Iterator[tuple[Played, Backstage]]:
    with Backstage() as backstage:
        played = Played(plane.url, plane.pki)
        backstage.run(played.start())
        yield played, backstage
        backstage.run(played.stop())


@pytest.fixture
def operator(plane: ControlPlane, chart: Rendered, tmp_path: Path) -> Iterator[Operator]:
    settings = tmp_path / "settings.yaml"
    settings.write_text(chart.one("ConfigMap")["data"]["settings.yaml"])
    operator = Operator(plane.user(USER), tmp_path, settings=str(settings), proxy_lag_seconds="0")
    yield operator
    operator.stop()


@pytest.fixture
def scene(plane: ControlPlane, stage: tuple[Played, Backstage], operator: Operator) -> Iterator[Scene]:
    played, backstage = stage
    kube = Kube(plane.url, plane.pki)
    scene = Scene(kube, played, backstage, operator, "rights")
    kube.create(SECRET, generate.NAMESPACE, {"metadata": {"name": "login"}, "stringData": {"token": "t"}})
    selected = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    scene.open(auth={"secretName": "login"}, allowedNamespaces=selected)
    yield scene
    scene.close()


def granted(chart: Rendered) -> set[Right]:
    """What the operator's own roles allow; the aggregated ones are for people."""
    rules = [rule for role in chart.all("Role") for rule in role["rules"]]
    for role in chart.all("ClusterRole"):
        if role["metadata"]["name"] == chart.one("ClusterRoleBinding")["roleRef"]["name"]:
            rules += role["rules"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_rights_are_those_that_are_used(plane: ControlPlane, chart: Rendered, scene: Scene) -> None:
    live_a_life(plane, scene)
    # A watch is in the audit log when it has ended.
    assert scene.operator.stop() == 0

    def requests() -> list[Request]:
        return list(plane.audit.requests(USER))

    def unused() -> bool:
        assert granted(chart) - rights(requests()) == set()
        return True

    eventually(unused, "every right that is granted is used", 10)
    assert [request for request in requests() if request.code == FORBIDDEN] == []
    assert {one.namespace for one in requests() if one.resource == "secrets"} == {generate.NAMESPACE}


def rights(requests: list[Request]) -> set[Right]:
    """The rights that these requests needed."""
    return {(one.group, f"{one.resource}/{one.subresource}".rstrip("/"), one.verb) for one in requests}


def live_a_life(plane: ControlPlane, scene: Scene) -> None:
    """Everything the operator does."""
    # Declared before it starts, so that it asks for the Secret and the namespace by name.
    deployed = scene.deploy(version=1)
    scene.operator.start()
    deployed.phase("Healthy")
    # A registry that no list has shown is asked for by name.
    scene.deploy("lost", version=1, model={"registry": "nowhere"}).reason("RegistryNotFound")
    scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, "lost")
    deployed.declare(2)
    deployed.healthy(2)
    _crash(scene, deployed)
    _drift(scene, deployed)
    _sizes(scene, deployed)
    asyncio.run(_missed_deletions(plane, scene, deployed))


def _crash(scene: Scene, deployed: Deployed) -> None:
    """A version that cannot load its model: the log of its pod is read."""
    scene.stage.pods(scene.namespace, "fraud-v3", crash_looping("ModuleNotFoundError: No module named 'xgboost'"))
    deployed.declare(3)
    assert "xgboost" in deployed.phase("RolledBack")["message"]
    deployed.declare(2)
    deployed.healthy(2)
    # The candidate's workload goes after its InferenceService, when the garbage collector comes to it.
    eventually(lambda: len(scene.names(WORKLOAD)) == 1, "only the stable revision is left", 60)


def _drift(scene: Scene, deployed: Deployed) -> None:
    """Somebody changes the children by hand: they are put right."""
    (revision,) = scene.revisions()
    scene.kube.patch(INFERENCE_SERVICE, scene.namespace, revision, {"spec": {"predictor": {"model": {"runtime": "x"}}}})
    scene.kube.patch(HTTP_ROUTE, scene.namespace, deployed.name, {"spec": {"hostnames": ["elsewhere.example.com"]}})

    def right() -> bool:
        service = scene.kube.get(INFERENCE_SERVICE, scene.namespace, revision)
        route = scene.kube.get(HTTP_ROUTE, scene.namespace, deployed.name)
        assert service is not None
        assert route is not None
        runtime = service["spec"]["predictor"]["model"]["runtime"]
        return bool(runtime == "kserve-mlserver" and "elsewhere" not in route["spec"]["hostnames"][0])

    eventually(right, "the children are put right")


def _sizes(scene: Scene, deployed: Deployed) -> None:
    """A fixed number of replicas, then an autoscaler with other bounds, then a fixed number again."""
    (workload,) = scene.names(WORKLOAD)

    def replicas() -> int:
        found = scene.kube.get(WORKLOAD, scene.namespace, workload)
        assert found is not None
        return int(found["spec"]["replicas"])

    def most() -> int:
        found: list[Json] = scene.kube.list(AUTOSCALER, scene.namespace)
        return int(found[0]["spec"]["maxReplicas"]) if found else 0

    deployed.patch({"serving": {"minReplicas": 2}})
    eventually(lambda: replicas() == 2, "two replicas")
    deployed.patch({"serving": {"maxReplicas": 3}})
    eventually(lambda: most() == 3, "an autoscaler to three")
    deployed.patch({"serving": {"maxReplicas": 4}})
    eventually(lambda: most() == 4, "an autoscaler to four")
    # It stays: the resync below has to see one that goes.


async def _missed_deletions(plane: ControlPlane, scene: Scene, deployed: Deployed) -> None:
    """A resync whose caches hold what was deleted meanwhile: it looks at each by name before it believes that."""
    loop = asyncio.get_running_loop()
    api = await connect(str(plane.user(USER)))
    client = Client(api, TokenBucket(100, 100, loop.time), lambda *_: None, loop.time)
    queue, parents, children = Queue(), Parents(), Children()
    policies = Policies(generate.NAMESPACE, queue, parents)
    registries = Registries(generate.NAMESPACE, client, queue, Telemetry(), utc_now)

    async def round_of_all() -> None:
        for part in parts(client, queue, parents, children, policies, registries):
            await part()

    try:
        await round_of_all()
        deployed.patch({"serving": {"maxReplicas": None}})
        await asyncio.to_thread(eventually, lambda: not scene.names(AUTOSCALER), "no autoscaler")
        scene.kube.delete(MODEL_DEPLOYMENT, scene.namespace, deployed.name)
        for kind in (INFERENCE_SERVICE, HTTP_ROUTE, WORKLOAD, POD):
            await asyncio.to_thread(eventually, lambda kind=kind: not scene.names(kind), f"no {kind.plural}")
        await round_of_all()
    finally:
        await client.close()
    assert scene.kube.get(NAMESPACE, None, scene.namespace) is not None
