"""What a revision is, and its name: the immutable identity of a set of pods.

Replicas, scaling and the startup deadline are not part of it and change in place.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from serin.api.modeldeployment import RESERVED_OVERRIDES
from serin.api.modeldeployment import STORED_BYTES
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.modeldeployment import Serving
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.api.status import Template
from serin.rollout.observed import Platform
from serin.rollout.observed import Problem
from serin.rollout.observed import Runtime

HASH_LENGTH = 8
# KServe renders a host name <isvc>-predictor-<namespace> as one DNS label of at most 63 characters
# (kserve v0.20 raw_kube_reconciler.go createRawURL, domain.go), and fails the whole reconcile beyond it.
DNS_LABEL_LENGTH = 63
KSERVE_NAME_OVERHEAD = 12
# Its pods have the label app: isvc.<isvc>-predictor, of at most 63 characters as well (deployment_reconciler.go).
KSERVE_NAME_LENGTH = 48

_NAMED = re.compile(rf"-(v\d+)-[0-9a-f]{{{HASH_LENGTH}}}$")

_MODEL_FIELDS = ("registry", "name", "version", "run_id", "artifact_uri", "digest")
_POD_FIELDS = {
    "backend",
    "runtime",
    "protocol",
    "resources",
    "service_account_name",
    "env",
    "workers",
    "overrides",
}
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def version_label(version: int) -> str:
    """How a version is shown: v12."""
    return f"v{version}"


def version_in(name: str) -> str:
    """The version in a revision's name, v12; "?" for a name of another form."""
    found = _NAMED.search(name)
    return found[1] if found is not None else "?"


def revision_name(name: str, namespace: str, resolved: Resolved, serving: Serving) -> str | Problem:
    """``<name>-v<version>-<hash>``, shortened in its first part so that KServe can derive its own names from it.

    The hash is over the whole name, the resolved version and every field of serving that changes a pod. The
    runtime is hashed as declared, not as chosen, so that new settings of the operator restart nothing.
    """
    identity = {
        "name": name,
        "model": {field: getattr(resolved, field) for field in _MODEL_FIELDS},
        "serving": serving.model_dump(mode="json", include=_POD_FIELDS, exclude_defaults=True),
    }
    digest = hashlib.sha256(_canonical(identity).encode()).hexdigest()
    suffix = f"-{version_label(resolved.version)}-{digest[:HASH_LENGTH]}"
    room = min(DNS_LABEL_LENGTH - KSERVE_NAME_OVERHEAD - len(namespace), KSERVE_NAME_LENGTH) - len(suffix)
    if room < 1:
        return Problem(
            Reason.NAME_TOO_LONG,
            f"the namespace's name has {len(namespace)} characters; with version {resolved.version} at most "
            f"{len(namespace) - 1 + room} leave room for KServe's names: use a namespace with a shorter name",
        )
    return name[:room].rstrip("-") + suffix


def template_for(spec: ModelDeploymentSpec, resolved: Resolved, platform: Platform) -> Template | Problem:
    """Everything that makes the revision's pods what they are, with the runtime chosen."""
    serving = spec.serving
    refused = _reserved(serving.overrides or {}) or _too_large(serving)
    if refused is not None:
        return refused
    runtime = _runtime(serving, resolved, platform.runtimes)
    if isinstance(runtime, Problem):
        return runtime
    return Template(
        backend=serving.backend,
        runtime=runtime.name,
        model_format=runtime.model_format,
        server=runtime.server,
        protocol=serving.protocol,
        artifact_uri=resolved.artifact_uri,
        digest=resolved.digest,
        run_id=resolved.run_id,
        resources=serving.resources,
        service_account_name=serving.service_account_name,
        env=serving.env,
        workers=serving.workers,
        overrides=serving.overrides,
    )


def _too_large(serving: Serving) -> Problem | None:
    """What makes the pods, where a status with three of it could not be written."""
    if not (serving.env or serving.overrides or serving.resources):
        return None
    made = serving.model_dump(mode="json", by_alias=True, include=_POD_FIELDS, exclude_none=True)
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    # As the API server stores it: Go writes these as \u003c and the like.
    size = len(text.encode(errors="replace")) + 5 * sum(map(text.count, "<>&"))
    if size <= STORED_BYTES:
        return None
    return Problem(
        Reason.INVALID_SPEC,
        f"spec.serving has {size} bytes of env, overrides and resources, above {STORED_BYTES}: the status keeps them "
        "of three revisions, and no object may be above 1.5 MB; put long values into a ConfigMap and name its keys by "
        "valueFrom",
    )


def _reserved(overrides: dict[str, Any]) -> Problem | None:
    if not overrides:
        return None
    for path, instead in RESERVED_OVERRIDES.items():
        if _sets(overrides, path):
            return Problem(Reason.INVALID_SPEC, f"spec.serving.overrides must not set {'.'.join(path)}: {instead}")
    if not isinstance(overrides.get("model", {}), dict):
        return Problem(
            Reason.INVALID_SPEC,
            "spec.serving.overrides must not take model away: spec.model says what is served; set members of it, or "
            "leave it out",
        )
    return None


def _sets(overrides: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether the member is there. A null takes away what the operator wrote, which is no less."""
    found: Any = overrides
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def _runtime(serving: Serving, resolved: Resolved, runtimes: tuple[Runtime, ...]) -> Runtime | Problem:
    offered = [
        runtime
        for runtime in runtimes
        if runtime.protocol == serving.protocol and (serving.runtime in (None, runtime.name))
    ]
    for runtime in offered:
        if set(runtime.flavors) & set(resolved.flavors):
            return runtime
    wanted = f"runtime {serving.runtime}" if serving.runtime else "a runtime"
    known = ", ".join(f"{runtime.name} ({runtime.protocol}: {', '.join(runtime.flavors)})" for runtime in runtimes)
    return Problem(
        Reason.NO_RUNTIME,
        f"{resolved.name} version {resolved.version} has the flavors {', '.join(resolved.flavors) or 'none'}; "
        f"{wanted} that serves one of them by protocol {serving.protocol} is not among the operator's settings, "
        f"which offer {known or 'none'}: log the model with one of these flavors, or add a runtime to the settings",
    )
