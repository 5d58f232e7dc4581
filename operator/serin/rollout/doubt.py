"""Whether what is pinned is to be asked for again before it counts as what is declared. Pure.

A version never changes, so what is pinned is asked for once. But its number may have become another one's, and where
its artifacts are is the registry's to say: pods of what serves keep the location that they have, as a registry whose
settings are edited begins no rollout; what does not serve has nothing to lose by another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.rollout.memory import LOOKED_AT_ANEW
from serin.rollout.memory import Memory
from serin.rollout.orders import Verb
from serin.rollout.orders import ordered
from serin.rollout.revision import revision_name

# What was told before it is found again. Resolving: nobody came to know yet.
_WAS_GONE = frozenset(
    {
        Reason.REGISTRY_NOT_FOUND,
        Reason.MODEL_NOT_FOUND,
        Reason.NOT_A_MODEL,
        Reason.VERSION_NOT_FOUND,
        Reason.ALIAS_NOT_FOUND,
        Reason.RESOLVING,
    }
)


class Doubt(Enum):
    """Why a pinned resolution is asked for again."""

    RETRIED = "it was rejected, and somebody asks for it to be tried again, or did"
    GONE = "it was gone from its registry, where a model that is made again counts its versions from 1 again"
    MOVED = "its registry is another server, of which the same numbers may be other versions"
    UNSERVED = "it has never served, and the registry's settings may be other ones"

    @property
    def strict(self) -> bool:
        """Whether it stands for nothing until there is an answer."""
        return self in (Doubt.RETRIED, Doubt.GONE)

    @property
    def of_place(self) -> bool:
        """Whether the location of its artifacts is taken anew, too."""
        return self in (Doubt.RETRIED, Doubt.UNSERVED)


def doubt_of(
    name: str,
    namespace: str,
    spec: ModelDeploymentSpec,
    status: ModelDeploymentStatus,
    orders: Mapping[str, str],
) -> Doubt | None:
    """The doubt in what the status has pinned, by what the status and people say. The registry may know of another."""
    pinned, stable = status.resolved, status.stable
    if pinned is None or spec.suspend:
        return None
    gone = any(one.type is ConditionType.MODEL_RESOLVED and one.reason in _WAS_GONE for one in status.conditions)
    if status.rejected or gone:
        revision = revision_name(name, namespace, pinned, spec.serving)
        # What a gate refused was never deployed, and is judged anew at every look.
        rejected = [one.reason for one in status.rejected if one.revision == revision]
        failed = any(reason not in LOOKED_AT_ANEW for reason in rejected)
        if isinstance(revision, str) and failed and ordered(Verb.RETRY, revision, orders, status.handled):
            return Doubt.RETRIED
        if gone:
            # In no role, and forgiven: its retry was ordered and waits for the registry, also for another operator.
            waits = not rejected and all(role.revision != revision for role in Memory.of(status).revisions())
            return Doubt.RETRIED if waits else Doubt.GONE
    return Doubt.UNSERVED if stable is None and not status.traffic else None
