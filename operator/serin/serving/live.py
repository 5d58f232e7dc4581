"""Live objects, cut down to what decisions need: the form in which the cache keeps them.

An object of the API carries kilobytes that nobody here reads, managedFields first. What is kept is its identity, who
owns it, its spec, a few lines of its status, and which fields of its spec somebody else has set.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MANAGER
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind

Json = dict[str, Any]

# What KServe calls the mode in which our InferenceServices are made, from 0.16 on and before (pkg/constants).
MODES = frozenset({"Standard", "RawDeployment"})
# No field of a spec lies deeper. managedFields may, for they can be written by hand.
DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Live:
    """One object of the cluster."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    owner: str | None
    """uid of the controlling owner."""
    labels: Mapping[str, str]
    spec: Json
    status: Json
    foreign: tuple[tuple[str, ...], ...] = field(default=())
    """Paths of spec fields that another manager than us has set."""
    deleting: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those by which the backend is steered."""


def live(kind: Kind, body: Mapping[str, Any]) -> Live:
    """The object as the cache keeps it."""
    metadata = body["metadata"]
    return Live(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        owner=_controller(metadata),
        labels=dict(metadata.get("labels") or {}),
        spec=_spec(kind, body.get("spec") or {}),
        status=_status(kind, body.get("status") or {}),
        foreign=() if kind is WORKLOAD else tuple(_foreign(metadata.get("managedFields") or ())),
        deleting="deletionTimestamp" in metadata,
        annotations=_annotations(kind, metadata.get("annotations") or {}),
    )


def _annotations(kind: Kind, annotations: Mapping[str, str]) -> dict[str, str]:
    """Not those of others: they make no difference, and kubectl keeps the whole object in one."""
    group = f"{INFERENCE_SERVICE.group}/"
    return {name: text for name, text in annotations.items() if kind is INFERENCE_SERVICE and name.startswith(group)}


def _spec(kind: Kind, spec: Json) -> Json:
    """All of it for objects that are ours; of the backend's workload only the size."""
    return {"replicas": spec.get("replicas", 1)} if kind is WORKLOAD else dict(spec)


def _status(kind: Kind, status: Json) -> Json:
    """A route's answers from its gateways, and why something gets no pods; the rest is told better by the pods."""
    if kind is WORKLOAD:
        refused = [one for one in status.get("conditions") or [] if _is_refusal(one)]
        told = [{"type": one["type"], "message": one.get("message", "")} for one in refused]
        return {"conditions": told} if told else {}
    if kind is INFERENCE_SERVICE:
        return _trouble(status)
    if kind is not HTTP_ROUTE:
        return {}
    kept = ("type", "status", "reason", "message", "observedGeneration", "lastTransitionTime")
    return {
        "parents": [
            {
                "parentRef": parent.get("parentRef") or {},
                "controllerName": parent.get("controllerName"),
                "conditions": [
                    {key: condition[key] for key in kept if key in condition}
                    for condition in parent.get("conditions") or []
                ],
            }
            for parent in status.get("parents") or []
        ]
    }


def _trouble(status: Json) -> Json:
    """Why KServe makes nothing of an InferenceService, and the mode of one that it did not make as it was told.

    Its status changes with every pod; this is empty all the while. The words of an earlier failure stay in it for ever
    (kserve v0.20 inference_service_status.go), so they count only while it says that the spec is invalid.
    """
    model = status.get("modelStatus") or {}
    told = model.get("lastFailureInfo") or {} if model.get("transitionStatus") == "InvalidSpec" else None
    for one in status.get("conditions") or []:
        if (one["type"], one["status"], one.get("reason")) == ("PredictorReady", "False", "ReconcileFailed"):
            told = told or one
    mode = status.get("deploymentMode") or "Standard"
    kept: Json = {} if mode in MODES else {"deploymentMode": mode}
    if told is not None:
        kept["refusal"] = {"reason": told.get("reason", "InvalidSpec"), "message": told.get("message", "")}
    return kept


def _is_refusal(condition: Json) -> bool:
    return bool(condition["type"] == "ReplicaFailure" and condition["status"] == "True")


def _controller(metadata: Mapping[str, Any]) -> str | None:
    owners = metadata.get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _foreign(entries: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    """Paths under spec that entries of other managers own.

    What an admission webhook adds to a write of ours is recorded as ours, so it is not foreign: KServe's defaults
    stay, and an edit by hand is told from them without a list of what any version of KServe may add.
    """
    for entry in entries:
        if entry.get("manager") == MANAGER or entry.get("subresource"):
            continue
        owned = (entry.get("fieldsV1") or {}).get("f:spec")
        if owned:
            yield from _paths(owned)


def _paths(fields: Json) -> Iterator[tuple[str, ...]]:
    """Leaves of a FieldsV1 tree, down to lists: a list is put back as a whole."""
    left: list[tuple[tuple[str, ...], Json]] = [((), fields)]
    while left:
        path, under = left.pop()
        inner = [key for key in under if key.startswith("f:")]
        if not inner or len(path) == DEEPEST:
            yield path
        else:
            left += [((*path, key.removeprefix("f:")), under[key]) for key in reversed(inner)]
