"""A Gateway API that is older than a step needs: said in the status, and traffic can be moved all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from serin.api.kinds import HTTP_ROUTE
from tests.integration.conftest import CRD
from tests.integration.kube import Json
from tests.integration.kube import Kube
from tests.integration.kube import RefusedError
from tests.integration.pods import crash_looping
from tests.integration.scene import Deployed
from tests.integration.scene import Scene
from tests.integration.waiting import eventually

pytestmark = pytest.mark.integration

NAME = f"{HTTP_ROUTE.plural}.{HTTP_ROUTE.group}"
STEPS = [{"weight": 10, "hold": "1s"}, {"weight": 20, "mirror": 20, "hold": "1h"}]


def mirrors(schema: Json) -> Iterator[Json]:
    """Every schema of a mirror in a schema."""
    for name, inner in (schema.get("properties") or {}).items():
        if name == "requestMirror":
            yield inner
        yield from mirrors(inner)
    if "items" in schema:
        yield from mirrors(schema["items"])


@contextmanager
def without_percent(kube: Kube, deployed: Deployed) -> Iterator[None]:
    """HTTPRoute as the standard channel of Gateway API 1.2 has it, as far as mirrors go."""
    body = kube.get(CRD, None, NAME)
    assert body is not None
    old = kube.get(CRD, None, NAME)
    assert old is not None
    for version in old["spec"]["versions"]:
        for mirror in mirrors(version["schema"]["openAPIV3Schema"]):
            del mirror["properties"]["percent"], mirror["x-kubernetes-validations"]
    kube.patch(CRD, None, NAME, {"spec": old["spec"]})
    try:
        eventually(lambda: not knows_percent(kube, deployed), "the older schema counts")
        yield
    finally:
        kube.patch(CRD, None, NAME, {"spec": body["spec"]})
        eventually(lambda: knows_percent(kube, deployed), "the newer schema counts")


def knows_percent(kube: Kube, deployed: Deployed) -> bool:
    """Whether a route with a share of copies would be taken."""
    path = HTTP_ROUTE.path(deployed.scene.namespace)
    mirror = {"backendRef": {"name": "a", "port": 80}, "percent": 20}
    rule = {"filters": [{"type": "RequestMirror", "requestMirror": mirror}]}
    body = {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {"name": "tried"},
        "spec": {"rules": [rule]},
    }
    try:
        kube.request("POST", path, body, query={"fieldValidation": "Strict", "dryRun": "All"})
    except RefusedError as refused:
        return "requestMirror.percent" not in refused.message
    return True


def test_mirror_that_the_route_cannot_carry(scene: Scene) -> None:
    deployed = scene.healthy()
    with without_percent(scene.kube, deployed):
        deployed.patch({"rollout": {"steps": STEPS}})
        deployed.declare(2)
        ready = deployed.reason("GatewayApiTooOld")
        assert "requestMirror.percent: install Gateway API 1.3 or newer, or mirror 100 %" in ready["message"]
        assert sorted(deployed.weights().values()) == [10, 90]

        scene.stage.pods(scene.namespace, f"{deployed.name}-v2-", crash_looping("no"))
        eventually(lambda: list(deployed.weights().values()) == [100], "the candidate's traffic is taken away")
        deployed.until(lambda now: now["phase"] == "RolledBack", "it is told")
