"""The RolloutPolicies of the operator's namespace, and how a rollout of a ModelDeployment goes by them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from serin.api.base import to_wire
from serin.api.kinds import ROLLOUT_POLICY
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.rollout import Rollout
from serin.api.rolloutpolicy import DEFAULT_POLICY
from serin.api.rolloutpolicy import RolloutPolicySpec
from serin.api.status import PolicyUse
from serin.cluster.client import Client
from serin.controller.cache import Parents
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.relist import relist
from serin.rollout.observed import Declared
from serin.rollout.observed import Problem

DIGEST_LENGTH = 12


class Policies:
    """All RolloutPolicies that count."""

    def __init__(self, namespace: str, queue: Queue, parents: Parents) -> None:
        self._namespace = namespace
        self._queue = queue
        self._parents = parents
        self._bodies = Parents()
        self._known: dict[str, Declared | Problem] = {}

    def take(self, event: str | None, body: dict[str, Any]) -> None:
        """A RolloutPolicy was seen. Only those of the operator's own namespace count."""
        metadata = body["metadata"]
        if metadata["namespace"] != self._namespace:
            return
        key = Key(self._namespace, metadata["name"])
        # kopf keeps the order of one object's events, not of those of two objects of the same name: the deletion of the
        # former one may come last (kopf 1.45 queueing.py worker). A list may be older than what a watch has told.
        changed = self._bodies.drop(key, metadata["uid"]) if event == "DELETED" else self._bodies.put(body)
        if not changed:
            return
        before = self._known.pop(key.name, None)
        if event != "DELETED":
            self._known[key.name] = _read(key.name, body.get("spec") or {})
        if self._known.get(key.name) != before:
            # Whoever names it, and whoever names none: it is rarely done, and a look at what is settled writes nothing.
            for one in self._parents.all():
                self._queue.add(one, fresh=False)

    async def refresh(self, client: Client) -> None:
        """Read them anew."""
        await relist(client, ROLLOUT_POLICY, self._bodies, self.take)

    def declared(self, spec: ModelDeploymentSpec) -> Declared | Problem:
        """How a rollout of this ModelDeployment would go if it started now."""
        chosen = spec.rollout
        if chosen is None:
            return self._known.get(DEFAULT_POLICY) or Declared()
        if chosen.policy is None:
            return Declared(Rollout.model_validate(chosen.model_dump(exclude={"policy"}, exclude_unset=True)))
        known = self._known.get(chosen.policy)
        if known is not None:
            return known
        names = ", ".join(sorted(self._known)) or "none"
        return Problem(
            Reason.POLICY_NOT_FOUND,
            f"there is no RolloutPolicy {chosen.policy} in namespace {self._namespace}, which has {names}: "
            "create it there, or name another in spec.rollout.policy",
        )


def _read(name: str, raw: dict[str, Any]) -> Declared | Problem:
    """The API server has checked it already; what fails here is newer than this operator."""
    try:
        spec = RolloutPolicySpec.model_validate(raw)
    except ValidationError as error:
        wrong = "; ".join(f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        return Problem(
            Reason.INVALID_POLICY,
            f"RolloutPolicy {name}: {wrong}: correct it, or upgrade the operator if the field is newer",
        )
    canonical = json.dumps(to_wire(spec), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:DIGEST_LENGTH]
    return Declared(spec, PolicyUse(name=name, digest=digest))
