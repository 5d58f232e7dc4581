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
from serin.cluster.client import NOT_FOUND
from serin.cluster.client import Client
from serin.controller.cache import Parents
from serin.controller.queue import Queue
from serin.errors import ClusterError
from serin.rollout.observed import Declared
from serin.rollout.observed import Problem

DIGEST_LENGTH = 12


class Policies:
    """All RolloutPolicies that count."""

    def __init__(self, namespace: str, queue: Queue, parents: Parents) -> None:
        self._namespace = namespace
        self._queue = queue
        self._parents = parents
        self._known: dict[str, Declared | Problem] = {}

    def take(self, event: str | None, body: dict[str, Any]) -> None:
        """A RolloutPolicy was seen. Only those of the operator's own namespace count."""
        metadata = body["metadata"]
        if metadata["namespace"] != self._namespace:
            return
        name = metadata["name"]
        before = self._known.get(name)
        if event == "DELETED":
            self._known.pop(name, None)
        else:
            self._known[name] = _read(name, body.get("spec") or {})
        if self._known.get(name) != before:
            # Whoever names it, and whoever names none: it is rarely done, and a look at what is settled writes nothing.
            for key in self._parents.all():
                self._queue.add(key, fresh=False)

    async def refresh(self, client: Client) -> None:
        """Read them anew: before the first decision, and for what a watch missed."""
        known = list(self._known)
        present: set[tuple[str, str]] = set()
        try:
            async for page in client.pages(ROLLOUT_POLICY):
                for body in page:
                    self.take(None, body)
                    present.add((body["metadata"]["namespace"], body["metadata"]["name"]))
        except ClusterError as error:
            # The custom resources are older than this operator.
            if error.status != NOT_FOUND:
                raise
        for name in known:
            if (self._namespace, name) not in present:
                self.take("DELETED", {"metadata": {"namespace": self._namespace, "name": name}})

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
