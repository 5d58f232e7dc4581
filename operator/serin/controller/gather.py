"""All reads of one reconcile, put together into an Observed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Protocol

from pydantic import ValidationError

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import POD
from serin.api.modeldeployment import Model
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Resolved
from serin.cluster.client import TOO_MANY_REQUESTS
from serin.cluster.client import Client
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.measure import Measurer
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.errors import ClusterError
from serin.rollout.doubt import Doubt
from serin.rollout.doubt import doubt_of
from serin.rollout.gates import question_of
from serin.rollout.memory import Memory
from serin.rollout.observed import Declared
from serin.rollout.observed import Failure
from serin.rollout.observed import Observed
from serin.rollout.observed import Platform
from serin.rollout.observed import Problem
from serin.rollout.orders import annotated
from serin.rollout.records import Question
from serin.rollout.records import Records
from serin.serving.backend import Backend
from serin.serving.backend import LiveObjects
from serin.serving.pods import Replica
from serin.serving.pods import Words
from serin.serving.pods import with_words

# A log is read once for each container that ended; a crash loop must not make it a stream of requests.
LOGS_REMEMBERED = 2048
# What fails loses its requests only after its log was read: the wait must be short.
LOG_SECONDS = 2.0
BUSY_SECONDS = 0.1
LONGEST_BUSY_SECONDS = 1.0
# Fields of the status that only tell.
TOLD = frozenset({"phase", "message", "conditions", "history"})
UNREADABLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a decision is made upon, and what it was made of."""

    observed: Observed
    body: dict[str, Any]
    """The ModelDeployment as it was cached."""
    live: LiveObjects
    """Its children as they were cached."""


class Targets(Protocol):
    """Where versions come from."""

    async def target(
        self, key: Key, model: Model, pinned: Resolved | None, doubt: Doubt | None = None
    ) -> tuple[Resolved | Problem, Problem | None]:
        """What the model reference stands for, and whether its registry is down although that is known. ``doubt``: why
        what is pinned may be something else by now."""
        ...

    async def records(self, key: Key, question: Question) -> Records | Problem | None:
        """What the gates of a rollout look at, or why that is not known; None while it is being asked for."""
        ...

    def leaving(self, namespace: str) -> bool:
        """Whether the namespace is being deleted: nothing can be created in it any more."""
        ...


class Gatherer:
    """Reads everything that bears on one ModelDeployment."""

    def __init__(
        self,
        parents: Parents,
        children: Children,
        targets: Targets,
        policies: Policies,
        measurer: Measurer,
        backend: Backend,
        client: Client,
        platform: Platform,
    ) -> None:
        self._parents = parents
        self._children = children
        self._targets = targets
        self._policies = policies
        self._measurer = measurer
        self._backend = backend
        self._client = client
        self._logs = Logs(client)
        self._platform = platform

    async def gather(self, key: Key) -> Gathered | None:
        """Everything about the ModelDeployment; None where it does not exist."""
        body = self._parents.get(key)
        if body is None:
            return None
        metadata = body["metadata"]
        spec = _spec(body["spec"])
        status = _status(body["status"])
        target: Resolved | Problem = Problem(Reason.INVALID_SPEC, "the spec cannot be read")
        down = None
        orders = annotated(metadata.get("annotations") or {})
        declared: Declared | Problem = Declared()
        deleting = "deletionTimestamp" in metadata or self._targets.leaving(key.namespace)
        if isinstance(spec, ModelDeploymentSpec) and not deleting:
            doubt = doubt_of(key.name, key.namespace, spec, status, orders)
            target, down = await self._targets.target(key, spec.model, status.resolved, doubt)
            declared = self._policies.declared(spec)
        live = self._children.of(key)
        told = await self._logs.add_words(key.namespace, live)
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
            rollout=declared,
            look=None if deleting else self._measurer.look(key, status),
            orders=orders,
            serving=self._backend.observe(key.name, metadata["uid"], told),
            platform=self._platform,
        )
        question = None if deleting else question_of(observed, Memory.of(status))
        if question is not None:
            observed = replace(observed, records=await self._targets.records(key, question))
        return Gathered(observed, body, live)

    async def reread_pods(self, key: Key, seen: LiveObjects) -> bool:
        """Read the pods live. Whether they are other ones, or other, than was seen."""
        present = set()
        async for page in self._client.pages(POD, namespace=key.namespace, selector=f"{DEPLOYMENT_LABEL}={key.name}"):
            for body in page:
                self._children.put(POD, body)
                present.add(body["metadata"]["uid"])
        for pod, uid in self._children.mine(POD, key):
            # Absent from a list is a reason to look, not a proof: it may be younger than the list.
            if uid not in present and not _is(await self._client.get(POD, pod.namespace, pod.name), uid):
                self._children.forget(POD, pod, uid)
        return self._children.of(key).replicas != seen.replicas


def _is(body: dict[str, Any] | None, uid: str) -> bool:
    return body is not None and body["metadata"]["uid"] == uid


def _spec(raw: dict[str, Any]) -> ModelDeploymentSpec | Problem:
    """The API server has checked it already; what fails here is newer than this operator."""
    try:
        return ModelDeploymentSpec.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        return Problem(Reason.INVALID_SPEC, f"{wrong}: correct it, or upgrade the operator if the field is newer")


def _status(raw: dict[str, Any]) -> ModelDeploymentStatus:
    """What was written before, by this operator, by a newer one, or by hand.

    A word that this operator does not know is left out where it only tells. Where it would have to be acted upon,
    nothing is done: begun anew, the memory would take the candidate for a first version and give it everything.
    """
    try:
        return ModelDeploymentStatus.model_validate(raw)
    except ValidationError:
        acted_upon = {name: value for name, value in raw.items() if name not in TOLD}
        acted_upon["rejected"] = [_rejection(one) for one in raw.get("rejected") or []]
    try:
        return ModelDeploymentStatus.model_validate(acted_upon)
    except ValidationError as error:
        wrong = "; ".join(f"status.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise ClusterError(
            0,
            f"{wrong}: nothing is changed; upgrade the operator if the status is a newer one's, otherwise mend it",
            retry_after=UNREADABLE_SECONDS,
        ) from error


def _rejection(one: dict[str, Any]) -> dict[str, Any]:
    """What was rejected stays rejected, whatever the word for it."""
    return one if one.get("reason") in set(Reason) else {**one, "reason": Reason.ROLLED_BACK}


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
            text = await self._log(namespace, words)
            if text is None:
                # Without the log the failure still has the pod's own reason.
                return one
            while len(self._known) >= LOGS_REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[ended] = _only_words(failure, text)
        return replace(one, failure=replace(failure, message=self._known[ended]))

    async def _log(self, namespace: str, words: Words) -> str | None:
        """The log; none for good where its node does not answer: the API server would wait for half a minute, at every
        look (client-go transport/cache.go)."""
        try:
            async with asyncio.timeout(LOG_SECONDS):
                return await self._insist(namespace, words)
        except TimeoutError:
            return ""

    async def _insist(self, namespace: str, words: Words) -> str | None:
        """Asked for once more where the API server was only busy: a rejection tells its reason for good."""
        try:
            return await self._client.log(namespace, words.pod, words.container, previous=words.running)
        except ClusterError as error:
            if error.status < TOO_MANY_REQUESTS:
                return None
            await asyncio.sleep(min(error.retry_after or BUSY_SECONDS, LONGEST_BUSY_SECONDS))
        try:
            return await self._client.log(namespace, words.pod, words.container, previous=words.running)
        except ClusterError:
            return None


def _only_words(failure: Failure, text: str) -> str:
    return with_words(failure, text).message
