"""Models that only the tracking server can reach: MLflow's default, which tells nobody where it keeps them."""

from collections.abc import Iterator

import pytest

from e2e import serin
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import MODEL
from e2e.scenarios.world import World
from e2e.stack import registry
from e2e.stack.kubectl import Object

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

PLAIN, MISLED = "plain", "misled"


@pytest.fixture
def registries(world: World) -> Iterator[None]:
    """The same MLflow: as it is, and with its artifacts looked for where there are none."""
    declared = [
        _declared(PLAIN, {}),
        _declared(MISLED, {"rewrite": [{"from": "mlflow-artifacts:/", "to": "mlflow-artifacts:/nowhere/"}]}),
    ]
    world.kubectl.apply(declared)
    yield
    world.kubectl.run("delete", "modelregistries.serin.dev", PLAIN, MISLED, "-n", serin.NAMESPACE)


def _declared(name: str, artifacts: Object) -> Object:
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelRegistry",
        "metadata": {"name": name, "namespace": serin.NAMESPACE},
        "spec": {"url": registry.URL, "pollInterval": "2s", "artifacts": artifacts},
    }


@pytest.mark.usefixtures("registries")
def test_pods_fetch_through_the_tracking_server(room: Room) -> None:
    def version(number: int, registry: str = PLAIN) -> Object:
        return {"registry": registry, "name": MODEL, "version": number}

    # An account that may read no store.
    ping = room.deployment(model=version(GOOD), steps=[(20, "5s")], serviceAccountName="default")
    ping.settled(GOOD)
    # The container that is made for it, and not KServe's own.
    (pod,) = ping.pods("v1")
    assert "MLFLOW_TRACKING_URI" in {one["name"] for one in pod["spec"]["initContainers"][0]["env"]}
    with ping.traffic() as traffic:
        ping.merge({"spec": {"model": version(BETTER)}})
        ping.settled(BETTER)
        ping.merge({"spec": {"model": version(GOOD, MISLED)}})
        failed = ping.rolled_back()
    assert traffic.failures == []
    rejected = failed.status["rejected"][0]
    assert rejected["reason"] == "DownloadFailed"
    assert "the tracking server has nothing at mlflow-artifacts:/nowhere/" in rejected["message"]
    uri = failed.status["stable"]["template"]["artifactUri"]
    assert uri.startswith(f"mlflow://{registry.URL.removeprefix('http://')}/api/2.0/mlflow-artifacts/artifacts/")
