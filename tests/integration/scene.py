"""What one test works in: a namespace, a model registry of its own, and ModelDeployments."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE as NAMESPACE_KIND
from serin.api.kinds import POD
from serin.api.kinds import Kind
from tests.integration.backstage import Backstage
from tests.integration.kube import Kube
from tests.integration.model_registry import ModelRegistry
from tests.integration.operator_process import NAMESPACE
from tests.integration.operator_process import Operator
from tests.integration.played import Played
from tests.integration.waiting import eventually

Json = dict[str, Any]

WAIT_SECONDS = 60.0
MODEL = "fraud-detector"
STEPS = ({"weight": 10, "hold": "1s"}, {"weight": 50, "hold": "1s"})
_NUMBERS = itertools.count(1)


class Deployed:
    """One ModelDeployment, as everybody can see it."""

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene = scene
        self.name = name

    @property
    def body(self) -> Json:
        """The object, read live."""
        found = self.scene.kube.get(MODEL_DEPLOYMENT, self.scene.namespace, self.name)
        assert found is not None, f"ModelDeployment {self.name} is gone"
        return found

    @property
    def status(self) -> Json:
        """Its status."""
        status: Json = self.body.get("status") or {}
        return status

    def condition(self, kind: str) -> Json:
        """One condition; {} where it is absent."""
        return next((one for one in self.status.get("conditions") or [] if one["type"] == kind), {})

    def patch(self, spec: Json) -> Json:
        """Change the spec by a merge patch."""
        return self.scene.kube.patch(MODEL_DEPLOYMENT, self.scene.namespace, self.name, {"spec": spec})

    def declare(self, version: int) -> None:
        """Declare another version."""
        self.patch({"model": {"version": version, "alias": None}})

    def until(self, true: Callable[[Json], object], what: str, seconds: float = WAIT_SECONDS) -> Json:
        """Wait until it is true of the status, for the present generation; gives that status."""
        last: Json = {}

        def look() -> Json | None:
            body = self.body
            last.clear()
            last.update(body.get("status") or {})
            current = last.get("observedGeneration") == body["metadata"]["generation"]
            return dict(last) if current and true(last) else None

        try:
            return eventually(look, what, seconds)
        except AssertionError as error:
            told = {key: last.get(key) for key in ("phase", "message", "rollout", "traffic", "observedGeneration")}
            raise AssertionError(f"{self.name}: {error}\nlast status: {told}") from None

    def phase(self, phase: str, seconds: float = WAIT_SECONDS) -> Json:
        """Wait for a phase of the present generation."""
        return self.until(lambda status: status.get("phase") == phase, f"phase {phase}", seconds)

    def healthy(self, version: int, seconds: float = WAIT_SECONDS) -> Json:
        """Wait until that version has all traffic and nothing is under way."""
        named = f"v{version}"
        return self.until(
            lambda status: status.get("phase") == "Healthy" and status["stable"]["version"] == named,
            f"Healthy with {named}",
            seconds,
        )

    def reason(self, reason: str, seconds: float = WAIT_SECONDS) -> Json:
        """Wait until condition Ready is False for that reason; gives the condition."""

        def told(status: Json) -> object:
            ready = _condition(status, "Ready")
            return ready.get("status") == "False" and ready.get("reason") == reason

        return _condition(self.until(told, f"Ready=False, reason {reason}", seconds), "Ready")

    def weights(self) -> dict[str, int]:
        """Percent by Service, of those that get any by the route as it is now; {} without a route."""
        route = self.scene.kube.get(HTTP_ROUTE, self.scene.namespace, self.name)
        if route is None:
            return {}
        return {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"] if ref["weight"] > 0}


class Scene:
    """A namespace with a model registry; versions 1, 2 and 3 of a model are registered."""

    def __init__(self, kube: Kube, stage: Played, backstage: Backstage, operator: Operator, suite: str) -> None:
        self.kube = kube
        self.stage = stage
        self.operator = operator
        self._backstage = backstage
        self.namespace = f"{suite}-{next(_NUMBERS)}"[-20:].lstrip("-")
        self.models = ModelRegistry()
        for version in (1, 2, 3):
            self.models.add(MODEL, version)

    def open(self, *, registry: bool = True, **spec: Any) -> None:
        """Make the namespace and, unless told otherwise, declare the registry."""
        self._backstage.run(self.models.start())
        self.kube.create(NAMESPACE_KIND, None, {"metadata": {"name": self.namespace}})
        if registry:
            self.declare_registry(**spec)

    def close(self) -> None:
        """Delete what was made. The garbage collector does the rest beside the next test."""
        for kind, namespace, name in (
            (MODEL_REGISTRY, NAMESPACE, self.namespace),
            (NAMESPACE_KIND, None, self.namespace),
        ):
            if self.kube.get(kind, namespace, name) is not None:
                self.kube.delete(kind, namespace, name)
        self._backstage.run(self.models.stop())

    def declare_registry(self, **spec: Any) -> None:
        """The ModelRegistry, under the namespace's name."""
        whole = {"url": self.models.url, "pollInterval": "1s", **spec}
        self.kube.create(MODEL_REGISTRY, NAMESPACE, {"metadata": {"name": self.namespace}, "spec": whole})

    def manifest(self, name: str, *, version: int | None = None, alias: str | None = None, **spec: Json) -> Json:
        """A ModelDeployment with steps, and with times that suit a test."""
        model = {"registry": self.namespace, "name": MODEL, "version": version, "alias": alias}
        rollout = {"steps": list(STEPS), "readiness": {"stableFor": "0s"}, "keepPrevious": "1s"}
        whole: Json = {
            "model": {key: value for key, value in model.items() if value is not None} | spec.pop("model", {}),
            "traffic": {"gateways": [{"name": "public", "namespace": "gateways"}], "timeout": "1s"},
            "rollout": rollout | spec.pop("rollout", {}),
            **spec,
        }
        return {"metadata": {"name": name, "namespace": self.namespace}, "spec": whole}

    def deploy(
        self, name: str = "fraud", *, version: int | None = None, alias: str | None = None, **spec: Json
    ) -> Deployed:
        """Create a ModelDeployment."""
        self.kube.create(MODEL_DEPLOYMENT, self.namespace, self.manifest(name, version=version, alias=alias, **spec))
        return Deployed(self, name)

    def healthy(self, name: str = "fraud", **spec: Any) -> Deployed:
        """Create a ModelDeployment of version 1, or as told, and wait until it serves."""
        deployed = self.deploy(name, **({"version": 1} | spec if "alias" not in spec else spec))
        deployed.phase("Healthy")
        return deployed

    def names(self, kind: Kind) -> list[str]:
        """Names of all objects of a kind in the namespace."""
        return sorted(one["metadata"]["name"] for one in self.kube.list(kind, self.namespace))

    def revisions(self) -> list[str]:
        """Names of the InferenceServices that are not going."""
        return sorted(
            one["metadata"]["name"]
            for one in self.kube.list(INFERENCE_SERVICE, self.namespace)
            if "deletionTimestamp" not in one["metadata"]
        )

    def ready_pods(self) -> int:
        """Number of ready pods."""
        return sum(
            any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or [])
            for pod in self.kube.list(POD, self.namespace)
        )


def _condition(status: Json, kind: str) -> Json:
    return next((one for one in status.get("conditions") or [] if one["type"] == kind), {})
