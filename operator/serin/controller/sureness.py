"""Which pinned resolutions are known to be what is declared: what is not known is asked for once. Pure."""

from __future__ import annotations

from typing import Any

from serin.api.modelregistry import Artifacts
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.status import Resolved
from serin.controller.queue import Key
from serin.rollout.doubt import Doubt

_Identity = tuple[str, int, str | None, str]
"""Of which model which version, with its run and its digest."""
_Place = tuple[str, str, Artifacts]
"""Where its artifacts are, by which url and which settings."""


class Sureness:
    """The doubts of all ModelDeployments. With the operator ends what is known here; the rest stands in the status.

    What was read may come to nothing, where the status cannot be written: so it counts only of the very resolution that
    is pinned then.
    """

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._servers: dict[str, int] = {}
        self._known: dict[Key, tuple[_Identity, int]] = {}
        self._placed: dict[Key, tuple[_Identity, _Place]] = {}
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

    def doubt(self, key: Key, pinned: Resolved, spec: ModelRegistrySpec, told: Doubt | None) -> Doubt | None:
        """The doubt in what is pinned. ``told``: what the status and people say of it now, perhaps never again."""
        if told is Doubt.RETRIED or (told is Doubt.GONE and key not in self._open):
            self._open[key] = told
        if key in self._open:
            return self._open[key]
        unplaced = self._placed.get(key) != (_identity(pinned), _place(pinned, spec))
        if told is Doubt.UNSERVED and unplaced:
            # Which takes everything anew, whatever the server.
            return Doubt.UNSERVED
        identity, server = self._known.get(key, (None, 0))
        moved = self._servers.get(pinned.registry, 0) > (server if identity == _identity(pinned) else 0)
        return Doubt.MOVED if moved else None

    def retries(self, key: Key) -> bool:
        """Whether its retry waits for an answer already."""
        return self._open.get(key) is Doubt.RETRIED

    def sure(self, key: Key, found: Resolved, spec: ModelRegistrySpec, *, placed: bool) -> None:
        """What is declared is known. ``placed``: its location, too, is as these settings say."""
        self._open.pop(key, None)
        server = self._servers.get(found.registry, 0)
        if server:
            self._known[key] = _identity(found), server
        if placed:
            self._placed[key] = _identity(found), _place(found, spec)

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        for known in (self._known, self._placed, self._open):
            known.pop(key, None)


def _identity(resolved: Resolved) -> _Identity:
    return f"{resolved.registry}/{resolved.name}", resolved.version, resolved.run_id, resolved.digest


def _place(resolved: Resolved, spec: ModelRegistrySpec) -> _Place:
    return resolved.artifact_uri, spec.url, spec.artifacts
