"""Install the stack onto a cluster: images to the nodes, then CRDs, then each part, waiting for each.

The composition root of the stack half. Doing it again changes nothing: every object is applied on the server's side,
and what is reported as changed is what the API server saw as a change of ours.
"""

from collections.abc import Sequence

from e2e.cluster.interface import Cluster
from e2e.stack import gateway
from e2e.stack import images
from e2e.stack import kserve
from e2e.stack import monitoring
from e2e.stack import registry
from e2e.stack.kubectl import Applied
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object
from e2e.stack.progress import say
from e2e.stack.somebodys import refuse
from e2e.stack.waiting import wait_ready

COMPONENTS = (gateway.COMPONENT, monitoring.COMPONENT, registry.COMPONENT, kserve.CONTROLLER, kserve.RUNTIME)
# A busy machine with two cores starts all of it in a minute.
_DEADLINE_SECONDS = 300.0


def install(cluster: Cluster) -> list[Applied]:
    """Install everything and wait until it is ready; what was applied, with whether it changed.

    Raises:
        NotReadyError: a part does not come up; names the pod and the reason.
        NotOursError: a part is there already, and somebody's.
    """
    refuse_somebodys(cluster)
    kubectl = Kubectl(cluster.kubeconfig())
    references = load_images(cluster, kubectl, [name for component in COMPONENTS for name in component.images])
    # All CRDs before all controllers: KServe exits when a kind it watches is replaced, Contour when one is missing.
    applied = _apply_and_wait(kubectl, _custom_resources())
    for component in COMPONENTS:
        applied += _apply_and_wait(kubectl, component.objects(kubectl, references))
    changed = [one for one in applied if one.changed]
    say(f"ready: {len(applied)} objects, {len(changed)} changed")
    return applied


def refuse_somebodys(cluster: Cluster) -> None:
    """Refuse a cluster that was given where something of the stack is there and was not installed from here.

    Builds no image.

    Raises:
        NotOursError: with what it is; nothing has been changed.
    """
    if not cluster.given:
        return
    kubectl = Kubectl(cluster.kubeconfig())
    objects = _custom_resources()
    for component in COMPONENTS:
        # Of images only the names count here.
        objects += component.objects(kubectl, {name: name for name in component.images})
    refuse(cluster, kubectl.somebodys(objects))


def _custom_resources() -> list[Object]:
    return [*gateway.custom_resources(), *kserve.custom_resources()]


def load_images(cluster: Cluster, kubectl: Kubectl, names: Sequence[str]) -> dict[str, str]:
    """Build the images and give the nodes those they do not have; the reference of each name."""
    archives = {name: images.build(name) for name in dict.fromkeys(names)}
    present = _images_of_all_nodes(kubectl)
    for name, archive in archives.items():
        if archive.reference not in present:
            say(f"loading image {name} into {cluster.name}")
            cluster.load_image(archive.path)
    return {name: archive.reference for name, archive in archives.items()}


def _images_of_all_nodes(kubectl: Kubectl) -> set[str]:
    """What every node reports to have. A node reports 50 images at most; one more load does no harm."""
    per_node = [
        {name for image in node["status"].get("images", []) for name in image.get("names", [])}
        for node in kubectl.list_all("nodes", "")
    ]
    return set.intersection(*per_node) if per_node else set()


def _apply_and_wait(kubectl: Kubectl, objects: Sequence[Object]) -> list[Applied]:
    applied = kubectl.apply(objects)
    wait_ready(kubectl, objects, _DEADLINE_SECONDS)
    return applied


def status(cluster: Cluster) -> str:
    """One line for each workload of the stack: how many of its pods are ready."""
    kubectl = Kubectl(cluster.kubeconfig())
    lines = []
    for namespace in (gateway.NAMESPACE, monitoring.NAMESPACE, registry.NAMESPACE, kserve.NAMESPACE):
        for pod in kubectl.list_all("pods", namespace):
            ready = all(container["ready"] for container in pod["status"].get("containerStatuses", []))
            word = "ready" if ready else pod["status"]["phase"]
            lines.append(f"{namespace}/{pod['metadata']['name']}: {word}")
    return "\n".join(lines) or "nothing of the stack is installed"
