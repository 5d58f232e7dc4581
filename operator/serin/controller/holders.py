"""Who has the name of an object that shall be made: what the API server has of it, where the cache does not."""

from __future__ import annotations

from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import POD
from serin.api.kinds import Kind
from serin.cluster.client import CONFLICT
from serin.cluster.client import Client
from serin.cluster.client import Json
from serin.controller.cache import Children
from serin.controller.cache import parent_of
from serin.controller.queue import Key
from serin.controller.refusals import Blocked
from serin.controller.refusals import conflict
from serin.controller.refusals import going
from serin.controller.refusals import left
from serin.controller.refusals import whose
from serin.errors import ClusterError
from serin.rollout.decision import ServingPlan
from serin.serving.backend import Manifest


class Holders:
    """Looks live, and has the cache know what it finds."""

    def __init__(self, client: Client, children: Children) -> None:
        self._client = client
        self._children = children

    async def of(self, plan: ServingPlan, manifest: Manifest, known: str | None = None) -> Blocked | None:
        """An object of the name may exist that the cache does not have, or has with the uid ``known`` as not ours: look
        whose it is. What is in the way for a while, if something is.

        Raises Blocked for what is in the way for good, and ClusterError where it is ours: the cache has it from now on,
        and no watch tells of it again.
        """
        kind, name = manifest.kind, manifest.name
        present = await self.read(kind, plan.namespace, name, known)
        if present is None:
            return None
        metadata = present["metadata"]
        owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
        if owner is not None and owner["uid"] == plan.uid:
            if parent_of(present) != Key(plan.namespace, plan.name):
                # Its label was changed by hand, so that no watch shows it to us any more.
                labels = {"metadata": {"labels": manifest.body["metadata"]["labels"]}}
                version = metadata["resourceVersion"]
                written = await self._client.patch(kind, plan.namespace, name, labels, version=version)
                self._children.put(kind, written)
            raise ClusterError(CONFLICT, f"{kind.kind} {name} is there already")
        if "deletionTimestamp" in metadata:
            return going(kind, name)
        if owner is not None and (owner.get("kind"), owner.get("name")) == (MODEL_DEPLOYMENT.kind, plan.name):
            # The garbage collector is about to take it.
            return left(kind, name, f"that of a deleted {MODEL_DEPLOYMENT.kind} {plan.name}")
        raise Blocked(conflict(kind, name, whose(metadata, owner)))

    async def former(self, plan: ServingPlan, manifest: Manifest, kind: Kind, name: str) -> Blocked:
        """What is in the way of the object: something of its former self, read live, because a watch that is silent
        does not tell that it went. Raises ClusterError where it did."""
        uid = dict(self._children.mine(kind, Key(plan.namespace, plan.name))).get(Key(plan.namespace, name))
        body = await self.read(kind, plan.namespace, name, known=uid)
        stays = body is not None and body["metadata"]["uid"] == uid
        # A pod that is being deleted counts no more; what else is has its name until it is gone.
        if body is None or not stays or (kind is POD and "deletionTimestamp" in body["metadata"]):
            raise ClusterError(CONFLICT, f"{kind.kind} {name} is gone")
        return left(manifest.kind, manifest.name, f"{kind.kind} {name} of a former one")

    async def read(self, kind: Kind, namespace: str, name: str, known: str | None = None) -> Json | None:
        """Read live what the cache may have wrong. ``known``: uid of the object that the cache has."""
        body = await self._client.get(kind, namespace, name)
        if known is not None and (body is None or body["metadata"]["uid"] != known):
            self._children.forget(kind, Key(namespace, name), known)
        if body is not None:
            self._children.put(kind, body)
        return body
