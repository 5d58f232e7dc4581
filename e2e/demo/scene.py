"""What is there before the curtain rises: the cluster with Serin, and three versions of a model in the registry."""

from dataclasses import dataclass
from pathlib import Path

from e2e import scientist
from e2e.cluster.interface import Cluster
from e2e.serin import DOMAIN
from e2e.stack import images
from e2e.stack import models
from e2e.stack import registry
from e2e.stack.component import read_manifests
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.progress import say
from e2e.traffic import Endpoint
from e2e.up import up

NAMESPACE = "payments"
NAME = "fraud"
MODEL = "fraud-detector"
ALIAS = "champion"
MANIFESTS = Path(__file__).parent / "manifests"


@dataclass(frozen=True)
class Scene:
    """A cluster on which the story can be played."""

    cluster: Cluster
    kubectl: Kubectl
    deployment: Object
    """The manifest, not applied yet."""

    @property
    def endpoint(self) -> Endpoint:
        """Where the model will be served: the default host name, as no other is declared."""
        return Endpoint(self.cluster.gateway(), f"{NAME}.{NAMESPACE}.{DOMAIN}", NAME)

    @property
    def weights(self) -> list[int]:
        """Of the declared steps, in percent."""
        return [step["weight"] for step in self.deployment["spec"]["rollout"]["steps"]]

    def move_alias(self, version: int) -> None:
        """Let the alias point at another version."""
        scientist.move_alias(self.kubectl, MODEL, ALIAS, version)


def prepare(cluster: Cluster) -> Scene:
    """Bring everything up, clear away what an earlier run left, train and register."""
    up(cluster)
    kubectl = Kubectl(cluster.kubeconfig())
    (deployment,) = read_manifests(MANIFESTS / "modeldeployment.yaml")
    say("clearing away what an earlier demo may have left")
    kubectl.run("delete", "modeldeployments.serin.dev", NAME, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    scientist.forget(kubectl, MODEL)
    registry.model_namespace(kubectl, NAMESPACE)
    versions = [models.GOOD, models.BETTER, models.BROKEN]
    say(f"training and registering {len(versions)} versions of {MODEL}")
    numbers = models.register(kubectl, images.build("mlflow").reference, MODEL, versions)
    assert numbers == [1, 2, 3], f"the registry numbered the versions {numbers}"
    kubectl.apply(read_manifests(MANIFESTS / "modelregistry.yaml"))
    return Scene(cluster, kubectl, deployment)
