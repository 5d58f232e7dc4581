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

# Of containers that nobody saw end: containerd lost them when their node was started anew (with exit code 255:
# internal/cri/server/restart.go), or the kubelet did (pkg/kubelet/container/runtime.go). It says nothing of what ran in
# them.
LOST = frozenset({"Unknown", "ContainerStatusUnknown"})

# The model server, and what fetches the artifacts before it starts, KServe's or ours (kserve pkg/constants).
MODEL_SERVER = "kserve-container"
DOWNLOADER = "storage-initializer"

MESSAGE_LENGTH = 300
# So many failed starts are enough: one may be a hiccup of the node. CrashLoopBackOff is no better sign: the kubelet
# shows the ended container during most of the back-off, and the word only after minutes (seen with 1.36).
FAILED_STARTS = 2
# A store may be away for a while, and nothing is wrong with a version whose artifacts cannot be fetched meanwhile. The
# kubelet tries again at once, and then after 10, 20, 40 and 80 s (kuberuntime_manager.go doBackOff): so many downloads
# fail in two and a half minutes.
FAILED_DOWNLOADS = 6

_ERROR_LINE = re.compile(r"\b\w*(Error|Exception|Errno)\b|\bfailed\b|\bfatal\b|\bcannot\b", re.IGNORECASE)
# What is not there, is not for this account, or has a scheme that nobody knows is so at the next download, too. Most of
# these are KServe's words for what a store answered (python/storage storage_errors.py).
_FINAL = re.compile(
    r"NoSuch(Key|Bucket)|NothingFoundError|No model found in|resource( '[^']*')? not found|access ?denied|"
    r"\((403|404)\) when calling|Cannot recognize storage type",
    re.IGNORECASE,
)
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
    over: bool = False
    """True for one that its node evicted, say: it stays as it ended, and its ReplicaSet has made another."""

    @property
    def past(self) -> bool:
        """Whether its failure is none of now."""
        return self.over or self.ready_since is not None


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
    over = status.get("phase") == "Failed"
    return Replica(revision=revision, name=name, ready_since=ready_since, failure=failure, words=words, over=over)


def health(replicas: tuple[Replica, ...], workload: Live | None = None, refusal: Failure | None = None) -> Health:
    """One revision's replicas together, with those that its workload may not make; hopeless failures first, and those
    that are past last.

    ``refusal``: why there is no workload, as far as the backend says; with pods it is of the past.
    """
    failures = [one.failure for one in replicas if one.failure is not None and not one.past]
    # A quota, a missing service account: there is no pod that could tell.
    refusals = workload.status.get("conditions", ()) if workload else ()
    failures += [_failure(Reason.POD_CREATION_FAILED, f"no pod can be made: {one['message']}") for one in refusals]
    if refusal is not None and not replicas:
        failures.append(refusal)
    failures += [one.failure for one in replicas if one.failure is not None and one.past]
    return Health(
        ready_since=tuple(sorted(one.ready_since for one in replicas if one.ready_since is not None)),
        failures=tuple(sorted(failures, key=lambda failure: not failure.hopeless)),
        without_pods=not replicas,
    )


def _telling(failure: Failure) -> tuple[bool, bool, bool, float]:
    """Of several containers' failures the hopeless one counts most, then what lasts, then the model server's, which a
    container beside it must not hide, then the latest end of one."""
    beside = failure.reason is Reason.CRASHED
    return failure.hopeless, failure.at is None, not beside, 0.0 if failure.at is None else failure.at.timestamp()


def with_words(failure: Failure, log: str) -> Failure:
    """The failure with the line of the log that tells most."""
    line = last_words(log)
    return replace(failure, message=f"{failure.message}: {line}") if line else failure


def last_words(log: str) -> str:
    """The last line that names an error, or the last line; without credentials, at most 300 characters."""
    return redact(_last_line(log))[:MESSAGE_LENGTH]


def _last_line(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if _ERROR_LINE.search(line)]
    return (telling or lines or [""])[-1]


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
    if status.get("phase") == "Failed":
        # Evicted, or refused by the kubelet: its ReplicaSet makes another one, which may do better. How its containers
        # ended is part of that.
        told = f"pod {pod} failed: {status.get('reason', '')} {status.get('message', '')}"
        yield _failure(Reason.CRASHED, told), None
        return
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        yield _failure(Reason.UNSCHEDULABLE, f"pod {pod} cannot be scheduled: {scheduled.get('message', '')}"), None
    for container in status.get("initContainerStatuses") or []:
        # An init container that ended with 0 has done its work. A model server that ends has not, whatever its exit
        # code: MLServer exits with 0 when a model cannot be loaded (seen with MLServer 1.7.1).
        if (_end(container) or {}).get("exitCode") != 0:
            yield from _container(pod, container)
    for container in status.get("containerStatuses") or []:
        yield from _container(pod, container)


def _failure(reason: Reason, message: str) -> Failure:
    return Failure(reason, redact(message)[:MESSAGE_LENGTH])


def _end(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended last, if it did."""
    ended: Mapping[str, Any] | None = None
    for state in (container.get("state"), container.get("lastState")):
        ended = ended or (state or {}).get("terminated")
    return ended


def _container(pod: str, status: Mapping[str, Any]) -> Iterator[tuple[Failure, Words | None]]:
    name, state = status["name"], status.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    if waiting in IMAGE_REASONS or waiting in CONFIG_REASONS:
        kind = Reason.IMAGE_PULL_FAILED if waiting in IMAGE_REASONS else Reason.CONTAINER_CONFIG_ERROR
        yield _failure(kind, f"pod {pod}, container {name}: {waiting}: {state['waiting'].get('message', '')}"), None
        return
    ended = _end(status)
    if ended is None or ended.get("reason") in LOST:
        return
    if name != MODEL_SERVER and status.get("ready", False):
        # A proxy, an agent: none that answers requests. It counts as long as it keeps the pod from being ready.
        return
    line = _last_line(ended.get("message", ""))
    own = last_words(line)
    code = f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"
    failure = Failure(
        {MODEL_SERVER: Reason.LOAD_FAILED, DOWNLOADER: Reason.DOWNLOAD_FAILED}.get(name, Reason.CRASHED),
        f"pod {pod}, container {name} ended ({code})" + (f": {own}" if own else ""),
        at=_time(ended.get("finishedAt")),
        hopeless=_hopeless(status, waiting, line),
    )
    words = None if own else Words(pod, name, running="terminated" not in state)
    yield failure, words


def _hopeless(status: Mapping[str, Any], waiting: str, line: str) -> bool:
    """Whether the container fails however often it is started. What runs beside the model server is not the version's
    own, and has until the startup deadline."""
    failed = status.get("restartCount", 0) + ("terminated" in (status.get("state") or {}))
    if status["name"] == DOWNLOADER:
        return bool(failed >= (FAILED_STARTS if _FINAL.search(line) else FAILED_DOWNLOADS))
    # One that is ready has overcome its failed starts, also those of a long life on many nodes' restarts.
    loads = waiting == CRASH_LOOP or (failed >= FAILED_STARTS and not status.get("ready", False))
    return status["name"] == MODEL_SERVER and loads
