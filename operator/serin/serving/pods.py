"""What a pod says of itself: since when it is ready, or what keeps it from that.

The InferenceService tells little of it: an unschedulable pod is not reported there at all, and a failed load late
(kserve v0.20 inference_service_status.go). So the pods are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace
from datetime import datetime
from typing import Any

from serin.api.kinds import REVISION_LABEL
from serin.api.reasons import Reason
from serin.rollout.observed import Failure
from serin.rollout.observed import Health
from serin.serving.live import Live

# Reasons of a container's waiting state (kubelet: pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime).
CRASH_LOOP = "CrashLoopBackOff"
IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"}
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

MESSAGE_LENGTH = 300
# So many failed starts are enough: one may be a hiccup of the storage. CrashLoopBackOff is no better sign: the kubelet
# shows the ended container during most of the back-off, and the word only after minutes (seen with 1.36).
FAILED_STARTS = 2

_ERROR_LINE = re.compile(r"\b\w*(Error|Exception|Errno)\b|\bfailed\b|\bfatal\b|\bcannot\b", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"://[^/\s:@]+:[^/\s]+@"), "://***@"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{12,}\b"), "***"),
    # JSON Web Tokens.
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"), "***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (
        # As NAME=value, as name: value, and as a member of JSON or of a printed dict; of a signed URL its signature.
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|credential|signature)[\w-]*|sig)"
            r"""(["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s"',;&)}\]]+)"""
        ),
        r"\1\2***",
    ),
)


@dataclass(frozen=True, slots=True)
class Words:
    """Where the last words of a container that ended can be read."""

    pod: str
    container: str
    running: bool
    """True where the container was started again, so that they are in the log of the run before."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One pod of a revision."""

    revision: str
    name: str
    ready_since: datetime | None = None
    failure: Failure | None = None
    words: Words | None = None


def replica(body: Mapping[str, Any]) -> Replica | None:
    """The pod as decisions need it; None for one that is being deleted or belongs to no revision."""
    metadata, status = body["metadata"], body.get("status") or {}
    revision = (metadata.get("labels") or {}).get(REVISION_LABEL)
    if revision is None or "deletionTimestamp" in metadata:
        return None
    name = metadata["name"]
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    ready = conditions.get("Ready", {})
    ready_since = _time(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None
    found = _failures(name, status, conditions)
    failure, words = max(found, key=lambda one: _telling(one[0]), default=(None, None))
    return Replica(revision=revision, name=name, ready_since=ready_since, failure=failure, words=words)


def health(replicas: tuple[Replica, ...], workload: Live | None = None) -> Health:
    """One revision's replicas together, with those that its workload may not make; hopeless failures first."""
    failures = [one.failure for one in replicas if one.failure is not None]
    # A quota, a missing service account: there is no pod that could tell.
    refusals = workload.status.get("conditions", ()) if workload else ()
    failures += [_failure(Reason.POD_CREATION_FAILED, f"no pod can be made: {one['message']}") for one in refusals]
    return Health(
        ready_since=tuple(sorted(one.ready_since for one in replicas if one.ready_since is not None)),
        failures=tuple(sorted(failures, key=lambda failure: not failure.hopeless)),
        without_pods=not replicas,
    )


def _telling(failure: Failure) -> tuple[bool, bool, float]:
    """Of several containers' failures the hopeless one counts most, then what lasts, then the latest end of one."""
    return failure.hopeless, failure.at is None, 0.0 if failure.at is None else failure.at.timestamp()


def with_words(failure: Failure, log: str) -> Failure:
    """The failure with the line of the log that tells most."""
    line = last_words(log)
    return replace(failure, message=f"{failure.message}: {line}") if line else failure


def last_words(log: str) -> str:
    """The last line that names an error, or the last line; without credentials, at most 300 characters."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _ERROR_LINE.search(line)]
    line = (telling or lines or [""])[-1]
    return redact(line)[:MESSAGE_LENGTH]


def redact(text: str) -> str:
    """The text without what looks like a credential."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _failures(
    pod: str, status: Mapping[str, Any], conditions: Mapping[str, Any]
) -> Iterator[tuple[Failure, Words | None]]:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        yield _failure(Reason.UNSCHEDULABLE, f"pod {pod} cannot be scheduled: {scheduled.get('message', '')}"), None
    for container in status.get("initContainerStatuses") or []:
        yield from _container(pod, container, Reason.DOWNLOAD_FAILED)
    for container in status.get("containerStatuses") or []:
        yield from _container(pod, container, Reason.LOAD_FAILED)
    if status.get("phase") == "Failed":
        # Evicted, or refused by the kubelet: its ReplicaSet makes another one, which may do better.
        yield (
            _failure(Reason.CRASHED, f"pod {pod} failed: {status.get('reason', '')} {status.get('message', '')}"),
            None,
        )


def _failure(reason: Reason, message: str) -> Failure:
    return Failure(reason, redact(message)[:MESSAGE_LENGTH])


def _container(pod: str, status: Mapping[str, Any], reason: Reason) -> Iterator[tuple[Failure, Words | None]]:
    state = status.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    if waiting in IMAGE_REASONS or waiting in CONFIG_REASONS:
        kind = Reason.IMAGE_PULL_FAILED if waiting in IMAGE_REASONS else Reason.CONTAINER_CONFIG_ERROR
        yield (
            _failure(kind, f"pod {pod}, container {status['name']}: {waiting}: {state['waiting'].get('message', '')}"),
            None,
        )
        return
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated")
    failed_starts = status.get("restartCount", 0) + ("terminated" in state)
    # An init container that ended with 0 has done its work. A model server that ends has not, whatever its exit code:
    # MLServer exits with 0 when a model cannot be loaded (seen with MLServer 1.7.1).
    if ended is None or (reason is Reason.DOWNLOAD_FAILED and ended.get("exitCode") == 0):
        return
    if reason is Reason.DOWNLOAD_FAILED and (state.get("terminated") or {}).get("exitCode") == 0:
        return
    code = f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"
    own = last_words(ended.get("message", ""))
    message = f"pod {pod}, container {status['name']} ended ({code})" + (f": {own}" if own else "")
    failure = Failure(
        reason,
        message,
        at=_time(ended.get("finishedAt")),
        # One that is ready has overcome its failed starts, also those of a long life on many nodes' restarts.
        hopeless=waiting == CRASH_LOOP or (failed_starts >= FAILED_STARTS and not status.get("ready", False)),
    )
    words = None if own else Words(pod, status["name"], running="terminated" not in state)
    yield failure, words
