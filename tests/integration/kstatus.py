"""kstatus: what Flux and Helm 4 make of a status (sigs.k8s.io/cli-utils pkg/kstatus, generic.go, status.go)."""

from __future__ import annotations

from typing import Any
from typing import Literal

Verdict = Literal["Terminating", "InProgress", "Failed", "Current"]


def evaluate(body: dict[str, Any]) -> Verdict:
    """The object's state by its own words, in the order in which kstatus looks at them."""
    metadata, status = body["metadata"], body.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None:
        if not isinstance(observed, int):
            raise TypeError(f"observedGeneration is {observed!r}, expected int64: Helm waits for it until its timeout")
        if observed != metadata["generation"]:
            return "InProgress"
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if "Ready" in conditions:
        return "Current" if conditions["Ready"] == "True" else "InProgress"
    return "Current"
