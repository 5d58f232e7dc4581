"""All reads of one reconcile, put together into an Observed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from typing import Protocol

from pydantic import ValidationError

from serin.api.modeldeployment import Model
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Resolved
from serin.cluster.client import Client
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.queue import Key
from serin.errors import ClusterError
from serin.rollout.observed import Failure
from serin.rollout.observed import Observed
from serin.rollout.observed import Platform
from serin.rollout.observed import Problem
from serin.serving.backend import Backend
from serin.serving.backend import LiveObjects
from serin.serving.pods import Replica
from serin.serving.pods import with_words

# A log is read once for each container that ended; a crash loop must not make it a stream of requests.
LOGS_REMEMBERED = 2048


class Targets(Protocol):
    """Where versions come from."""

    async def target(
        self, key: Key, model: Model, pinned: Resolved | None
    ) -> tuple[Resolved | Problem, Problem | None]:
        """What the model reference stands for, and whether its registry is down although that is known."""
        ...


class Gatherer:
    """Reads everything that bears on one ModelDeployment."""

    def __init__(
        self,
        parents: Parents,
        children: Children,
        targets: Targets,
        backend: Backend,
        client: Client,
        platform: Platform,
    ) -> None:
        self._parents = parents
        self._children = children
        self._targets = targets
        self._backend = backend
        self._logs = Logs(client)
        self._platform = platform

    async def gather(self, key: Key) -> tuple[Observed, dict[str, Any]] | None:
        """The ModelDeployment and its raw object as cached; None where it does not exist."""
        body = self._parents.get(key)
        if body is None:
            return None
        metadata = body["metadata"]
        spec = _spec(body["spec"])
        status = _status(body["status"])
        target: Resolved | Problem = Problem(Reason.INVALID_SPEC, "the spec cannot be read")
        down = None
        deleting = "deletionTimestamp" in metadata
        if isinstance(spec, ModelDeploymentSpec) and not deleting:
            target, down = await self._targets.target(key, spec.model, status.resolved)
        live = self._children.of(key)
        live = await self._logs.add_words(key.namespace, live)
        observed = Observed(
            name=key.name,
            namespace=key.namespace,
            uid=metadata["uid"],
            generation=metadata["generation"],
            spec=spec,
            status=status,
            deleting=deleting,
            target=target,
            registry_down=down,
            serving=self._backend.observe(metadata["uid"], live),
            platform=self._platform,
        )
        return observed, body


def _spec(raw: dict[str, Any]) -> ModelDeploymentSpec | Problem:
    """The API server has checked it already; what fails here is newer than this operator."""
    try:
        return ModelDeploymentSpec.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        return Problem(Reason.INVALID_SPEC, f"{wrong}: correct it, or upgrade the operator if the field is newer")


def _status(raw: dict[str, Any]) -> ModelDeploymentStatus:
    """What was written before. A status that somebody broke by hand is begun anew."""
    try:
        return ModelDeploymentStatus.model_validate(raw)
    except ValidationError:
        return ModelDeploymentStatus()


class Logs:
    """The last words of containers that ended, each read once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str, str, str], str] = {}

    async def add_words(self, namespace: str, live: LiveObjects) -> LiveObjects:
        """The same objects; failures that wait for words of a log have them."""
        if not any(one.words is not None for one in live.replicas):
            return live
        replicas = await asyncio.gather(*(self._with_words(namespace, one) for one in live.replicas))
        return replace(live, replicas=tuple(replicas))

    async def _with_words(self, namespace: str, one: Replica) -> Replica:
        words, failure = one.words, one.failure
        if words is None or failure is None:
            return one
        ended = (namespace, words.pod, words.container, str(failure.at))
        if ended not in self._known:
            try:
                text = await self._client.log(namespace, words.pod, words.container, previous=words.running)
            except ClusterError:
                # Without the log the failure still has the pod's own reason.
                return one
            while len(self._known) >= LOGS_REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[ended] = _only_words(failure, text)
        return replace(one, failure=replace(failure, message=self._known[ended]))


def _only_words(failure: Failure, text: str) -> str:
    return with_words(failure, text).message
