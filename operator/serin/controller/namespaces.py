"""Namespaces as far as they matter: which registries each may use, and which of them are on their way out."""

from __future__ import annotations

from typing import Any

from serin.api.kinds import NAMESPACE
from serin.api.modeldeployment import Model
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.reasons import Reason
from serin.cluster.client import Client
from serin.controller.queue import Key
from serin.registry.namespaces import selects
from serin.rollout.observed import Problem


class Namespaces:
    """All namespaces that were seen or asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._labels: dict[str, dict[str, str]] = {}
        self._leaving: set[str] = set()

    def take(self, event: str | None, body: dict[str, Any]) -> bool:
        """One was seen. Whether its labels are other ones than were known."""
        name = body["metadata"]["name"]
        labels = dict(body["metadata"].get("labels") or {})
        if event != "DELETED" and "deletionTimestamp" in body["metadata"]:
            self._leaving.add(name)
        else:
            self._leaving.discard(name)
        if event == "DELETED":
            self._labels.pop(name, None)
            return False
        before = self._labels.get(name)
        self._labels[name] = labels
        return before is not None and before != labels

    def leaving(self, name: str) -> bool:
        """Whether it is being deleted: nothing can be created in it any more."""
        return name in self._leaving

    async def refusal(self, key: Key, model: Model, spec: ModelRegistrySpec | None) -> Problem | None:
        """Why a ModelDeployment may not use the registry of this spec from where it is, if it may not. Raises
        ClusterError."""
        if spec is None or spec.allowed_namespaces is None:
            return None
        if key.namespace not in self._labels:
            namespace = await self._client.get(NAMESPACE, None, key.namespace)
            self._labels[key.namespace] = dict(((namespace or {}).get("metadata") or {}).get("labels") or {})
        if selects(spec.allowed_namespaces, self._labels[key.namespace]):
            return None
        return Problem(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"ModelRegistry {model.registry} does not allow namespace {key.namespace}: its allowedNamespaces "
            "does not select the namespace's labels",
        )
