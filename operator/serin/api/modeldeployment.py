"""ModelDeployment: one model that is served, by the version or the alias that people declare.

The root of what a change travels through: this spec is read by ``controller``, decided upon by ``rollout``
and rendered by ``serving``. The CRD in ``crds/`` is generated from it; descriptions are what ``kubectl explain`` says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated
from typing import Self

from pydantic import Field
from pydantic import model_validator

from serin.api.base import SpecModel
from serin.api.kinds import POD_LABELS
from serin.api.quantities import LONGEST
from serin.api.quantities import Duration
from serin.api.quantities import FreeObject
from serin.api.quantities import NamespaceName
from serin.api.quantities import ObjectName
from serin.api.quantities import Quantity
from serin.api.quantities import longer
from serin.api.quantities import seconds
from serin.api.rollout import RolloutOrPolicy

# A name is a label of the model's hostname and the first part of its revisions' names.
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX_LENGTH = 50

# Names that the operator sets itself, and PYTHONPATH, which KServe's webhook refuses on any container.
RESERVED_ENV = (
    "PYTHONPATH",
    "MLSERVER_MODEL_NAME",
    "MLSERVER_MODEL_URI",
    "MLSERVER_MODEL_IMPLEMENTATION",
    "MLSERVER_PARALLEL_WORKERS",
)

SHORTEST_STARTUP = "10s"
"""No pod is made, fetches a model and loads it in less: every candidate would be given up."""
# The status keeps env and overrides of three revisions beside those of the spec; etcd takes no request above 1.5 MiB.
STORED_BYTES = 262144
ENV_ONCE_RULE = "env must name each variable once: remove the other entry"
ENV_SIZE_RULE = (
    f"values of env must not be longer than {STORED_BYTES} characters together: the status keeps them of three "
    "revisions, and no object may be above 1.5 MB; put them into a ConfigMap and name its keys by valueFrom"
)
_BY_SERVING = "say it in spec.serving"
_BY_MODEL = "spec.model says what is served, and artifacts.rewrite of the ModelRegistry where it is"
# Members of KServe's predictor that no override may set, nor take away by null, and what says it instead. From another
# location something else would serve than the status says, past the ModelRegistry's artifacts.allowed; by another
# runtime it would be measured as what it is not; with a name (KServe 0.20) the route would lead to no Service; of
# replicas, scaling and shares KServe takes no notice (v0.20 deployment_reconciler.go, by the autoscaler class external;
# kserve#4074).
RESERVED_OVERRIDES: dict[tuple[str, ...], str] = {
    ("model", "storageUri"): _BY_MODEL,
    ("model", "storage"): _BY_MODEL,
    ("storageUris",): _BY_MODEL,
    ("model", "runtime"): "spec.serving.runtime says by which of those in the operator's settings",
    ("name",): "by its own name the route finds what serves",
    ("minReplicas",): _BY_SERVING,
    ("maxReplicas",): _BY_SERVING,
    ("scaleTarget",): _BY_SERVING,
    ("scaleMetric",): _BY_SERVING,
    ("scaleMetricType",): _BY_SERVING,
    ("autoScaling",): _BY_SERVING,
    ("canaryTrafficPercent",): "spec.rollout says how requests move",
    **{("labels", label): "by it the operator knows its pods" for label in POD_LABELS},
}


# As deep as anything in a pod's spec lies, and as deep again. Beyond a few hundred levels pydantic writes no JSON.
DEEPEST_OVERRIDES = 32

DNS_PATTERN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
SectionName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{DNS_PATTERN}$")]
"""Name of a listener, as the Gateway API takes it."""


class Backend(StrEnum):
    """What serves the model."""

    KSERVE = "KServe"


class Protocol(StrEnum):
    """The inference protocol that clients speak: KServe's v1, or v2 (the Open Inference Protocol)."""

    V1 = "v1"
    V2 = "v2"


class ScalingMetric(StrEnum):
    """What an autoscaler looks at. KServe's Standard mode scales by the pods' own resources."""

    CPU = "CPU"
    MEMORY = "Memory"


class Model(SpecModel):
    """Which model of which registry. Exactly one of version and alias."""

    registry: ObjectName = Field(default="default", description="Name of a ModelRegistry in the operator's namespace.")
    name: str = Field(
        min_length=1,
        max_length=250,
        pattern=r"^[^/:]+$",
        description="Registered model name, as MLflow allows it: anything but '/' and ':'.",
    )
    version: int | None = Field(
        default=None,
        ge=1,
        # MLflow keeps it in a 32-bit column; beyond, its server answers 500.
        le=2147483647,
        description="Version of the registered model. Exactly one of version and alias.",
    )
    alias: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        # As mlflow/utils/validation.py has it: letters and digits of any script.
        pattern=r"^[\p{L}\p{N}_-]+$",
        description=(
            "Alias of the registered model. It is followed: when it moves in the registry, a rollout of the version "
            "it points at starts. The version is pinned in status.resolved; a restart never changes it. "
            "Exactly one of version and alias."
        ),
    )

    @model_validator(mode="after")
    def _one_of_version_and_alias(self) -> Self:
        if (self.version is None) == (self.alias is None):
            raise ValueError("exactly one of version and alias must be set")
        return self


class Scaling(SpecModel):
    """When replicas are added between minReplicas and maxReplicas."""

    metric: ScalingMetric = Field(
        default=ScalingMetric.CPU, description="CPU or Memory, averaged over the revision's replicas."
    )
    target: int = Field(
        default=80,
        ge=1,
        le=100,
        description="Percent of the resource request at which the replicas are kept.",
    )


class Resources(SpecModel):
    """Compute resources of the model server's container."""

    requests: dict[str, Quantity] | None = Field(
        default=None, description="What the scheduler reserves, such as cpu and memory."
    )
    limits: dict[str, Quantity] | None = Field(
        default=None,
        description=(
            "What the container may use at most. Merged over the runtime's own: set a limit with a request that "
            "exceeds the runtime's limit (kserve-mlserver: cpu 1, memory 2Gi)."
        ),
    )


class KeySelector(SpecModel):
    """One key of a Secret or a ConfigMap in the ModelDeployment's namespace."""

    name: ObjectName = Field(description="Name of the object.")
    key: str = Field(min_length=1, max_length=253, description="Key in the object's data.")
    optional: bool = Field(default=False, description="Whether the container starts without it.")


class FieldSelector(SpecModel):
    """One field of the pod."""

    field_path: str = Field(min_length=1, max_length=253, description="Path in the pod, such as status.podIP.")


class EnvSource(SpecModel):
    """Where the value of a variable comes from. Exactly one member."""

    secret_key_ref: KeySelector | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(default=None, description="A key of a ConfigMap.")
    field_ref: FieldSelector | None = Field(default=None, description="A field of the pod.")


class EnvVar(SpecModel):
    """One environment variable of the model server."""

    name: str = Field(
        min_length=1,
        max_length=256,
        pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
        description="Name of the variable.",
    )
    value: str | None = Field(default=None, max_length=32768, description="Its value. Exactly one of value, valueFrom.")
    value_from: EnvSource | None = Field(default=None, description="The source of its value.")


def _check(variable: EnvVar) -> None:
    """As at admission. Raises ValueError."""
    source = variable.value_from
    if (variable.value is None) == (source is None):
        raise ValueError(f"exactly one of value and valueFrom must be set for {variable.name} of env")
    if source is not None and len([one for one in dict(source).values() if one is not None]) != 1:
        raise ValueError(
            f"exactly one of secretKeyRef, configMapKeyRef and fieldRef must be set in valueFrom of {variable.name}"
        )
    if variable.name in RESERVED_ENV:
        raise ValueError(
            f"env must not set {variable.name}: the operator sets it, or the backend refuses it; use workers for "
            "processes"
        )


def _deeper(value: object, levels: int) -> bool:
    """Whether more objects and lists than that lie in each other. Without recursion, which would break on them."""
    found = [value]
    for _ in range(levels):
        found = [inner for one in found for inner in _inside(one)]
    return any(isinstance(one, (dict, list)) for one in found)


def _inside(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


class Serving(SpecModel):
    """How the model is served. All but the replicas, their scaling and the deadline is part of the revision."""

    backend: Backend = Field(default=Backend.KSERVE, description="What serves the model.")
    runtime: ObjectName | None = Field(
        default=None,
        description=(
            "ServingRuntime or ClusterServingRuntime, by the name that it has in the operator's settings. By default "
            "the first one there that serves one of the model's flavors by the protocol."
        ),
    )
    protocol: Protocol = Field(default=Protocol.V2, description="Inference protocol that clients speak.")
    min_replicas: int = Field(default=1, ge=1, le=1000, description="Replicas at least.")
    max_replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Replicas at most. By default minReplicas: a fixed number."
    )
    scaling: Scaling | None = Field(
        default=None, description="When replicas are added. Only with maxReplicas above minReplicas."
    )
    resources: Resources | None = Field(default=None, description="Compute resources; by default the runtime's.")
    service_account_name: ObjectName | None = Field(
        default=None,
        description="ServiceAccount of the pods, in the same namespace: the right to read the artifacts.",
    )
    env: tuple[EnvVar, ...] = Field(default=(), max_length=64, description="Environment variables of the model server.")
    workers: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Processes in one replica that run the model. By default the runtime's.",
    )
    startup_deadline: Duration = Field(
        default="10m",
        description="How long a revision may take until its replicas are ready, at least 10s; then it is rolled back.",
    )
    overrides: FreeObject | None = Field(
        default=None,
        description=(
            "JSON merge patch (RFC 7386) over the backend's predictor, applied last: node selectors, tolerations, "
            "GPUs, anything but the model's location and runtime, a name, replicas and scaling, and the operator's "
            f"labels. At most {DEEPEST_OVERRIDES} levels deep."
        ),
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if self.most_replicas < self.min_replicas:
            raise ValueError("maxReplicas must not be below minReplicas (default 1)")
        if self.scaling is not None and self.most_replicas == self.min_replicas:
            raise ValueError("scaling needs maxReplicas above minReplicas")
        if not seconds(SHORTEST_STARTUP) <= seconds(self.startup_deadline) <= seconds(LONGEST):
            raise ValueError(f"startupDeadline must be at least {SHORTEST_STARTUP} and at most {LONGEST}")
        # The schema has no word for it. Not of the type: a status has one, too.
        if _deeper(self.overrides, DEEPEST_OVERRIDES):
            raise ValueError(
                f"overrides are nested deeper than {DEEPEST_OVERRIDES} levels, which nothing of a pod is: "
                "take out what lies deeper"
            )
        # Not of the variables themselves: a status has them too, and must be read whatever rule is new.
        for variable in self.env:
            _check(variable)
        if len({variable.name for variable in self.env}) < len(self.env):
            raise ValueError(ENV_ONCE_RULE)
        if sum(len(variable.value or "") for variable in self.env) > STORED_BYTES:
            raise ValueError(ENV_SIZE_RULE)
        return self

    @property
    def most_replicas(self) -> int:
        """Replicas at most: maxReplicas, or minReplicas where it is not set."""
        return self.min_replicas if self.max_replicas is None else self.max_replicas


class GatewayRef(SpecModel):
    """A Gateway of the Gateway API that carries the model's traffic."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: NamespaceName = Field(description="Namespace of the Gateway.")
    section_name: SectionName | None = Field(
        default=None, description="One listener of the Gateway. By default all that fit the hostnames."
    )


# GEP-2257 (gateway-api apis/v1/shared_types.go, Duration).
GATEWAY_DURATION_PATTERN = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
GATEWAY_DURATION_RULE = (
    "timeout must have at most four parts, each of at most five digits, because the Gateway API takes no other: "
    "write 2m in place of 120000ms"
)
GATEWAYS_RULE = (
    "gateways must name each Gateway once, or each time with a sectionName of its own: remove the other entry"
)


class Traffic(SpecModel):
    """By which names and gateways requests come in."""

    hostnames: tuple[
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=253,
                pattern=rf"^(\*\.)?{DNS_PATTERN}$",
            ),
        ],
        ...,
    ] = Field(
        default=(),
        max_length=16,
        description="Host names of the model. By default <name>.<namespace>.<domain of the operator's settings>.",
    )
    gateways: tuple[GatewayRef, ...] = Field(
        default=(),
        max_length=8,
        description="Gateways that carry the traffic. By default those of the settings.",
    )
    timeout: Duration = Field(
        default="30s",
        description="How long the gateway waits for an answer. A revision that lost its traffic drains for at least as "
        "long.",
    )

    @model_validator(mode="after")
    def _as_at_admission(self) -> Self:
        if seconds(self.timeout) == 0 or longer(self.timeout, than=LONGEST):
            raise ValueError(f"timeout must be above 0s and at most {LONGEST}")
        if not re.fullmatch(GATEWAY_DURATION_PATTERN, self.timeout):
            raise ValueError(GATEWAY_DURATION_RULE)
        for one, other in itertools.combinations(self.gateways, 2):
            sections = {one.section_name, other.section_name}
            if (one.name, one.namespace) == (other.name, other.namespace) and (None in sections or len(sections) == 1):
                raise ValueError(GATEWAYS_RULE)
        return self


class ModelDeploymentSpec(SpecModel):
    """What shall be served, and how a change of it reaches the users."""

    model: Model = Field(description="Which model of which registry.")
    serving: Serving = Field(default=Serving(), description="How the model is served.")
    traffic: Traffic = Field(default=Traffic(), description="By which names and gateways requests come in.")
    rollout: RolloutOrPolicy | None = Field(
        default=None,
        description=(
            "How a new revision takes over from the one in use. By default as the RolloutPolicy named default says; "
            "where there is none, it gets all traffic once it is ready."
        ),
    )
    suspend: bool = Field(default=False, description="True: change nothing, keep serving what serves.")
