"""Who asks what of which registry: told by the watch of ModelDeployments, asked by the registries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

from serin.controller.queue import Key


class Use(NamedTuple):
    """What one ModelDeployment asks for."""

    registry: str
    model: str
    follows: bool
    """True where it follows an alias."""


class Uses:
    """All uses, found by registry and model."""

    def __init__(self) -> None:
        self._of: dict[Key, Use] = {}
        self._keys: dict[str, dict[str, set[Key]]] = {}
        self._followed: dict[str, Counter[str]] = {}

    def note(self, key: Key, spec: dict[str, Any]) -> set[str]:
        """A ModelDeployment has this spec. The registries that are used otherwise than before."""
        model = spec.get("model") or {}
        use = Use(model.get("registry", "default"), model.get("name", ""), "alias" in model)
        if self._of.get(key) == use:
            return set()
        changed = self.forget(key) | {use.registry}
        self._of[key] = use
        self._keys.setdefault(use.registry, {}).setdefault(use.model, set()).add(key)
        if use.follows:
            self._followed.setdefault(use.registry, Counter())[use.model] += 1
        return changed

    def forget(self, key: Key) -> set[str]:
        """A ModelDeployment is gone. The registry that it used, if it used one."""
        use = self._of.pop(key, None)
        if use is None:
            return set()
        models = self._keys[use.registry]
        models[use.model].discard(key)
        if not models[use.model]:
            del models[use.model]
        if use.follows:
            counts = self._followed[use.registry]
            counts[use.model] -= 1
            if not counts[use.model]:
                del counts[use.model]
        return {use.registry}

    def followed(self, registry: str) -> frozenset[str]:
        """Models of a registry whose aliases are followed."""
        return frozenset(self._followed.get(registry, ()))

    def keys(self, registry: str, models: Iterable[str] | None = None) -> set[Key]:
        """Who uses a registry, or these models of it."""
        known = self._keys.get(registry, {})
        chosen = known if models is None else models
        return {key for model in chosen for key in known.get(model, ())}

    def within(self, namespace: str) -> set[Key]:
        """Who uses a registry from a namespace."""
        return {key for key in self._of if key.namespace == namespace}
