"""The kinds that Serin reads and writes, with the labels and annotations it knows: each fact about an upstream once."""

from __future__ import annotations

from dataclasses import dataclass

from serin.api.group import GROUP
from serin.api.group import VERSION

MANAGER = "serin"
"""Field manager of every write, and the value of :data:`MANAGED_BY`."""

# Labels of our children. Constant for the life of a revision: KServe copies the metadata of an InferenceService into
# its pod template, where any change restarts the pods (kserve#3710, kserve#1885).
MANAGED_BY = "app.kubernetes.io/managed-by"
DEPLOYMENT_LABEL = f"{GROUP}/modeldeployment"
REVISION_LABEL = f"{GROUP}/revision"
VERSION_LABEL = f"{GROUP}/version"
POD_LABELS = (DEPLOYMENT_LABEL, REVISION_LABEL, VERSION_LABEL)


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the Kubernetes API."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The apiVersion of manifests, such as apps/v1."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, an object of it, or a subresource. Names are DNS names: nothing to quote."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part is not None]
        return "/".join(parts)


MODEL_DEPLOYMENT = Kind(GROUP, VERSION, "ModelDeployment", "modeldeployments")
MODEL_REGISTRY = Kind(GROUP, VERSION, "ModelRegistry", "modelregistries")
ROLLOUT_POLICY = Kind(GROUP, VERSION, "RolloutPolicy", "rolloutpolicies")
INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
WORKLOAD = Kind("apps", "v1", "Deployment", "deployments")
POD = Kind("", "v1", "Pod", "pods")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
EVENT = Kind("events.k8s.io", "v1", "Event", "events")
