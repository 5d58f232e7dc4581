"""ModelRegistry: an MLflow registry that the platform team allows ModelDeployments to name.

It lives in the operator's namespace, where only the platform team writes; so do the Secrets it names.
"""

from __future__ import annotations

from typing import Annotated
from typing import Literal

from pydantic import Field

from serin.api.base import SpecModel
from serin.api.base import StatusModel
from serin.api.quantities import Duration
from serin.api.quantities import ObjectName
from serin.api.quantities import Time
from serin.api.reasons import Reason

UriPrefix = Annotated[str, Field(min_length=1, max_length=1024)]


class Auth(SpecModel):
    """How the operator logs in."""

    secret_name: ObjectName = Field(
        description="Secret in the operator's namespace with the keys username and password, or token."
    )


class Tls(SpecModel):
    """How the registry's certificate is checked."""

    ca_secret_name: ObjectName = Field(
        description="Secret in the operator's namespace whose key ca.crt holds the CA's certificates in PEM."
    )


class SelectorRequirement(SpecModel):
    """One expression over a namespace's labels."""

    key: str = Field(min_length=1, max_length=317, description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is compared.")
    values: tuple[str, ...] = Field(default=(), max_length=64, description="Values for In and NotIn.")


class NamespaceSelector(SpecModel):
    """Selects namespaces by their labels. Both members must hold; an empty selector selects all."""

    match_labels: dict[str, str] = Field(default={}, description="Labels that a namespace must have.")
    match_expressions: tuple[SelectorRequirement, ...] = Field(
        default=(),
        max_length=16,
        description="Expressions over a namespace's labels, all of which must hold.",
    )


class Rewrite(SpecModel):
    """Replaces one prefix of an artifact location by another."""

    from_: UriPrefix = Field(alias="from", description="Prefix as MLflow gives it, such as mlflow-artifacts:/.")
    to: UriPrefix = Field(description="Prefix as the pods can fetch it, such as s3://models/mlflow/.")


class Artifacts(SpecModel):
    """Where models may come from. The first rewrite that matches is applied, then the prefixes are checked."""

    allowed: tuple[UriPrefix, ...] = Field(
        default=(),
        max_length=64,
        description=(
            "Prefixes of allowed locations. By default s3://, gs://, https:// of Azure Blob Storage, and "
            "mlflow-artifacts:/, which is the tracking server's own store. A prefix ends "
            "at a whole name, one that ends in '-' or '_' in the middle of one: s3://models allows s3://models/a and "
            "not s3://models-b, gs://ml- allows gs://ml-a."
        ),
    )
    rewrite: tuple[Rewrite, ...] = Field(
        default=(), max_length=64, description="Prefixes to replace before the location is checked and used."
    )


class ModelRegistrySpec(SpecModel):
    """An MLflow tracking server with its model registry."""

    url: str = Field(
        max_length=2048, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", description="URL of the MLflow server."
    )
    auth: Auth | None = Field(default=None, description="How the operator logs in. Absent: without credentials.")
    tls: Tls | None = Field(default=None, description="How the certificate is checked. Absent: by the system's CAs.")
    poll_interval: Duration = Field(
        default="30s",
        description="How often the registry is asked for moved aliases, with one request for all.",
    )
    allowed_namespaces: NamespaceSelector | None = Field(
        default=None, description="Namespaces whose ModelDeployments may name this registry. Absent: all."
    )
    artifacts: Artifacts = Field(default=Artifacts(), description="Where models may come from.")


class RegistryCondition(StatusModel):
    """metav1.Condition."""

    type: Literal["Ready"] = Field(description="Ready: the last poll succeeded.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: Reason = Field(description="One word of the closed set of reasons.")
    message: str = Field(default="", max_length=32768, description="What a person needs to know.")
    observed_generation: int = Field(description="metadata.generation that the condition speaks of.")
    last_transition_time: Time = Field(description="When the status of the condition changed last.")


class ModelRegistryStatus(StatusModel):
    """Whether the registry answers, and who follows it."""

    observed_generation: int = Field(default=-1, description="metadata.generation that this status speaks of.")
    conditions: tuple[RegistryCondition, ...] = Field(
        default=(),
        description="The state, for machines.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    server_version: str | None = Field(default=None, description="Version of the MLflow server.")
    models_followed: int = Field(default=0, description="Registered models whose aliases are followed.")
    last_successful_poll: Time | None = Field(
        default=None,
        description=(
            "The last poll that succeeded, as of the last change of this status: time that passes is no change. "
            "The metric serin_registry_last_success_timestamp_seconds has it at every moment."
        ),
    )
