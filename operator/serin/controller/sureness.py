"""Which pinned resolutions are known to be what is declared: what is not known is asked for once. Pure."""

from __future__ import annotations

from typing import Any

from serin.api.modelregistry import Artifacts
from serin.api.modelregistry import ModelRegistrySpec
from serin.controller.queue import Key
from serin.rollout.doubt import Doubt

_Server = tuple[str, int]
"""A registry, and how often it has become another server."""
_Settings = tuple[str, int, str, Artifacts]
"""Of which registry which version was resolved, by its url and by what it says of artifacts."""


class Sureness:
    """The doubts of all ModelDeployments. With the operator ends what is known here; the rest stands in the status."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._servers: dict[str, int] = {}
        self._known: dict[Key, _Server] = {}
        self._placed: dict[Key, _Settings] = {}
        self._open: dict[Key, Doubt] = {}

    def connect(self, registry: str, spec: ModelRegistrySpec | None, body: dict[str, Any]) -> None:
        """The ModelRegistry is declared like this: as another server, perhaps, than those that use it know."""
        if spec is None:
            return
        before = self._urls.get(registry)
        # Edited while no operator ran: nobody knows how.
        looked_at = int(body.get("status", {}).get("observedGeneration") or 0)
        unseen = before is None and 0 < looked_at != body["metadata"]["generation"]
        if unseen or (before is not None and before != spec.url):
            self._servers[registry] = self._servers.get(registry, 0) + 1
        self._urls[registry] = spec.url

    def doubt(self, key: Key, registry: str, spec: ModelRegistrySpec, version: int, told: Doubt | None) -> Doubt | None:
        """The doubt in what is pinned. ``told``: what the status and people say of it now, perhaps never again."""
        if told is Doubt.RETRIED or (told is Doubt.GONE and key not in self._open):
            self._open[key] = told
        if key in self._open:
            return self._open[key]
        name, server = self._known.get(key, (registry, 0))
        if self._servers.get(registry, 0) > (server if name == registry else 0):
            return Doubt.MOVED
        unplaced = self._placed.get(key) != (registry, version, spec.url, spec.artifacts)
        return Doubt.UNSERVED if told is Doubt.UNSERVED and unplaced else None

    def sure(self, key: Key, registry: str, spec: ModelRegistrySpec, version: int, *, placed: bool) -> None:
        """What is declared is known. ``placed``: its location, too, is as these settings say."""
        self._open.pop(key, None)
        self._known[key] = registry, self._servers.get(registry, 0)
        if placed:
            self._placed[key] = registry, version, spec.url, spec.artifacts

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        for known in (self._known, self._placed, self._open):
            known.pop(key, None)
