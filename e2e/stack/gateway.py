"""The gateway of the platform: Gateway API, Contour, Envoy, and one Gateway `public` that every namespace may use.

Contour's own example manifests, with our images and in our namespace, so that it is what users of Contour run.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

from e2e import tools
from e2e.stack.component import Component
from e2e.stack.component import containers
from e2e.stack.component import namespace
from e2e.stack.component import own_manifest
from e2e.stack.component import read_manifests
from e2e.stack.component import set_images
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

NAMESPACE = "gateway-system"
GATEWAY = "public"
HTTP_PORT = 8080
"""On every node, by hostPort."""

# Upstream asks for nothing, which on a node that is busy is what it gets: while four model servers started on two cores
# Envoy answered 14 requests in seven seconds, of some 40 a second, and four ended with 504 (seen).
_ENVOY_REQUESTS = {"cpu": "100m", "memory": "128Mi"}
_CONTOUR_REQUESTS = {"cpu": "20m", "memory": "64Mi"}

_CONTOUR = "ghcr.io/projectcontour/contour:v1.33.8"
_ENVOY = "docker.io/envoyproxy/envoy:distroless-v1.38.9"


def custom_resources() -> list[Object]:
    """The CRDs of Gateway API and Contour.

    Experimental channel, because Contour watches TCPRoute; v1.3, because the CRDs of v1.5 and newer bring a
    ValidatingAdmissionPolicy that refuses older ones from then on.
    """
    gateway_api = tools.module_folder("gateway-api", "sigs.k8s.io/gateway-api") / "config/crd/experimental"
    contour = _examples() / "01-crds.yaml"
    found = read_manifests(*sorted(gateway_api.glob("gateway.networking*.yaml")), contour)
    return [one for one in found if one["kind"] == "CustomResourceDefinition"]


def _examples() -> Path:
    return tools.module_folder("contour", "github.com/projectcontour/contour") / "examples/contour"


def _objects(_: Kubectl, references: Mapping[str, str]) -> list[Object]:
    names = ["00-common", "02-job-certgen", "02-rbac", "02-role-contour", "02-service-contour", "02-service-envoy"]
    upstream = read_manifests(*(_examples() / f"{name}.yaml" for name in [*names, "03-contour", "03-envoy"]))
    objects = [found for found in upstream if found["kind"] != "Namespace"]
    set_images(objects, {_CONTOUR: references["contour"], _ENVOY: references["envoy"]})
    for found in objects:
        _move(found)
        adjust = _ADJUSTMENTS.get((found["kind"], found["metadata"]["name"]))
        if adjust:
            adjust(found)
    # The Gateway last: it is programmed by what comes before.
    return [namespace(NAMESPACE), *objects, *own_manifest("gateway")]


def _move(found: Object) -> None:
    """From Contour's namespace into ours."""
    if "namespace" in found["metadata"]:
        found["metadata"]["namespace"] = NAMESPACE
    for subject in found.get("subjects", []):
        subject["namespace"] = NAMESPACE


def _adjust_certgen(job: Object) -> None:
    # A Job's template cannot change, so another image is another Job.
    image = next(containers(job))["image"]
    job["metadata"]["name"] = f"contour-certgen-{image.rpartition(':')[2]}"


def _adjust_contour(deployment: Object) -> None:
    deployment["spec"]["replicas"] = 1
    (contour,) = containers(deployment)
    contour["resources"] = {"requests": _CONTOUR_REQUESTS}
    # A health check that may take one second restarts Contour wherever two cores do everything at once.
    contour["livenessProbe"] |= {"timeoutSeconds": 10, "failureThreshold": 6}


def _adjust_envoy(daemon_set: Object) -> None:
    pod = daemon_set["spec"]["template"]["spec"]
    envoy = next(container for container in pod["containers"] if container["name"] == "envoy")
    envoy["resources"] = {"requests": _ENVOY_REQUESTS}
    # Hot restart needs shared memory that a second Envoy on the same machine would fight over.
    envoy["args"].append("--disable-hot-restart")
    envoy["readinessProbe"]["timeoutSeconds"] = 5
    envoy["ports"] = [
        {"name": "http", "containerPort": 8080, "hostPort": HTTP_PORT, "protocol": "TCP"},
        {"name": "metrics", "containerPort": 8002, "protocol": "TCP"},
    ]
    # Long enough for requests in flight; upstream's five minutes would hold up every `down`.
    pod["terminationGracePeriodSeconds"] = 60


def _adjust_envoy_service(service: Object) -> None:
    # No load balancer where there is no cloud: the Service would wait for its address for ever.
    service["spec"]["type"] = "ClusterIP"
    service["spec"].pop("externalTrafficPolicy")
    service["metadata"].pop("annotations")


_ADJUSTMENTS = {
    ("Job", "contour-certgen-v1-33-8"): _adjust_certgen,
    ("Deployment", "contour"): _adjust_contour,
    ("DaemonSet", "envoy"): _adjust_envoy,
    ("Service", "envoy"): _adjust_envoy_service,
}


@contextmanager
def without_controller(kubectl: Kubectl) -> Iterator[None]:
    """Nobody reads routes while the block runs. Envoy goes on with what it was told last."""
    scale = ["scale", "deployment/contour", "-n", NAMESPACE]
    kubectl.run(*scale, "--replicas=0")
    try:
        kubectl.run("wait", "--for=delete", "pods", "-l", "app=contour", "-n", NAMESPACE, "--timeout=60s")
        yield
    finally:
        kubectl.run(*scale, "--replicas=1")
        kubectl.run("rollout", "status", "deployment/contour", "-n", NAMESPACE, "--timeout=90s")


COMPONENT = Component("gateway", ("contour", "envoy"), _objects)
