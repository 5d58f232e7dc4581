from __future__ import annotations

import json
import re
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from functools import partial

import pytest
import yaml

from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.kserve import add_kserve
from e2e.cluster.progress import wait_for
from serin.api.crd import definitions
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE as NAMESPACE_KIND
from serin.api.kinds import Kind
from serin.settings import RUNTIMES
from tests.integration.backstage import Backstage
from tests.integration.kube import Kube
from tests.integration.operator_process import NAMESPACE
from tests.integration.operator_process import Operator
from tests.integration.played import Played
from tests.integration.rbac import OPERATOR
from tests.integration.rbac import grant
from tests.integration.scene import Scene

CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
SERVED_SECONDS = 60.0
# Those of KServe, and two that nobody installed.
OFFERED = [*RUNTIMES, *(RUNTIMES[0].model_copy(update={"name": name}) for name in ("late", "off"))]


def furnish(plane: ControlPlane) -> Kube:
    """Our CRDs, the operator's namespace and its permissions, on a bare control plane."""
    for definition in definitions().values():
        # As it is shipped: through YAML, not as Python has it.
        body = yaml.safe_load(yaml.safe_dump(definition))
        plane.api.apply(CRD.path(None, body["metadata"]["name"]), body)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    plane.api.apply(NAMESPACE_KIND.path(None, NAMESPACE), namespace)
    grant(plane)
    for kind in (MODEL_DEPLOYMENT, MODEL_REGISTRY):
        # Discovery knows a new kind before its storage does.
        wait_for(kind.plural, partial(plane.api.missing, kind.path(None)), SERVED_SECONDS)
    return Kube(plane.url, plane.pki)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as plane:
        add_kserve(plane)
        yield plane


@pytest.fixture(scope="session")
def kube(plane: ControlPlane) -> Kube:
    return furnish(plane)


@pytest.fixture(scope="session")
def backstage() -> Iterator[Backstage]:
    with Backstage() as backstage:
        yield backstage


@pytest.fixture(scope="session")
def stage(plane: ControlPlane, backstage: Backstage) -> Iterator[Played]:
    played = Played(plane.url, plane.pki)
    backstage.run(played.start())
    yield played
    backstage.run(played.stop())


@pytest.fixture(scope="session")
def the_operator(plane: ControlPlane, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    runtimes = json.dumps([one.model_dump(mode="json") for one in OFFERED])
    folder = tmp_path_factory.mktemp("operator")
    operator = Operator(plane.user(OPERATOR), folder, proxy_lag_seconds="0", runtimes=runtimes)
    yield operator
    operator.stop()


@pytest.fixture
def operator(the_operator: Operator) -> Operator:
    """The operator of the session's control plane, running. A test may kill it."""
    if not the_operator.running:
        the_operator.start()
    return the_operator


@pytest.fixture
def scenes(
    request: pytest.FixtureRequest, kube: Kube, stage: Played, backstage: Backstage, operator: Operator
) -> Iterator[Callable[..., Scene]]:
    """Makes scenes: ``registry=False`` leaves the ModelRegistry undeclared, other arguments are fields of it."""
    made: list[Scene] = []
    suite = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:14].strip("-")

    def make(**registry: object) -> Scene:
        scene = Scene(kube, stage, backstage, operator, suite)
        scene.open(**registry)  # type: ignore[arg-type]
        made.append(scene)
        return scene

    yield make
    for scene in made:
        scene.close()


@pytest.fixture
def scene(scenes: Callable[..., Scene]) -> Scene:
    return scenes()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the operator's last words."""
    report = yield
    for given in getattr(item, "funcargs", {}).values() if report.failed else ():
        operator = given.operator if isinstance(given, Scene) else given
        if isinstance(operator, Operator):
            report.sections.append(("operator's log", operator.last_words()))
            break
    return report
