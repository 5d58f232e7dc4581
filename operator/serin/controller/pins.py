"""From what is pinned to what is declared: whether a registry has to be asked for it again, and what is told if it has
no answer.

It knows nothing of queues and connections' lives: :mod:`serin.controller.registries` says when.
"""

from __future__ import annotations

from typing import Any

from serin.api.modeldeployment import Model
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.controller import answers
from serin.controller.answers import Answer
from serin.controller.connection import Connection
from serin.controller.queue import Key
from serin.controller.sureness import Sureness
from serin.controller.unread import Unread
from serin.controller.uses import Uses
from serin.errors import RegistryError
from serin.rollout.doubt import Doubt
from serin.rollout.observed import Problem


class Pins:
    """What is known of the pinned resolutions of all ModelDeployments."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._unread = Unread()
        self._sureness = Sureness()

    def declared(self, registry: str, spec: ModelRegistrySpec | None, body: dict[str, Any]) -> None:
        """A ModelRegistry is declared like this, perhaps as another server."""
        self._sureness.connect(registry, spec, body)

    def forget(self, key: Key) -> None:
        """A ModelDeployment is gone."""
        self._unread.forget(key)
        self._sureness.forget(key)

    def doubt(
        self, key: Key, model: Model, mine: Resolved | None, connection: Connection, told: Doubt | None
    ) -> Doubt | None:
        """The doubt in what is pinned. ``told``: what the status and people say of it."""
        spec, resolver = connection.declaration.spec, connection.resolver
        if mine is None or spec is None:
            return None
        if told is Doubt.RETRIED and resolver is not None and not self._sureness.retries(key):
            # Whoever asks for it may have mended just what is kept of it.
            resolver.forget([model.name])
        return self._sureness.doubt(key, mine, spec, told)

    async def ask(self, connection: Connection, model: Model, mine: Resolved | None, doubt: Doubt | None) -> Resolved:
        """The resolution. An immutable version that is pinned already is not asked for again without a doubt in it.
        Raises RegistryError."""
        follower, resolver, spec = connection.follower, connection.resolver, connection.declaration.spec
        if follower is None or resolver is None or spec is None:
            raise RegistryError(Reason.REGISTRY_UNAVAILABLE, "the registry is not connected", transient=True)
        version = model.version
        if model.alias is not None:
            if model.name not in follower.followed:
                # All that is wanted by now, so that many new ones cost one listing.
                follower.watch(self._uses.followed(model.registry) | {model.name})
            version = await follower.alias(model.name, model.alias)
        if mine is not None and version == mine.version:
            if doubt is None:
                return mine
            if not doubt.of_place and answers.same(mine, await resolver.facts(model.name, mine.version)):
                return mine
        return await resolver.resolve(model, spec.artifacts)

    def read(self, key: Key, model: Model) -> None:
        """What is declared was read, or nothing more has to be."""
        self._unread.read(key, model)

    def sure(self, key: Key, found: Resolved, connection: Connection, *, anew: bool) -> None:
        """The answer stands for what is declared. ``anew``: its location, too, was just told."""
        if connection.declaration.spec is not None:
            self._sureness.sure(key, found, connection.declaration.spec, placed=anew)

    def meanwhile(self, key: Key, model: Model, known: Resolved | None) -> Resolved | Problem:
        """What is told while an answer takes long."""
        asking = Problem(Reason.RESOLVING, f"asking the registry {model.registry} for {model.name}")
        return self._unread.told(key, model) or known or asking

    def without(
        self,
        key: Key,
        model: Model,
        known: Resolved | None,
        connection: Connection,
        error: RegistryError,
        doubt: Doubt | None,
        now: float,
    ) -> Answer:
        """What is told where there is no answer; ``now`` in monotonic seconds. A pinned version stands for what is
        declared no longer than the registry says so: what it says otherwise is named, also where what it says cannot be
        read."""
        follower, spec = connection.follower, connection.declaration.spec
        down = answers.down(model, error, connection.failing_since)
        if known is None or follower is None or spec is None:
            return answers.without_registry(error, known, down)
        alias = model.alias
        otherwise = alias is not None and follower.says_otherwise(model.name, alias, known.version)
        # A server that does not answer at all says nothing of what it has.
        if not otherwise and (doubt is not Doubt.MOVED or connection.error is not None):
            return answers.without_registry(error, known, down)
        if not answers.passes(error):
            return Problem(Reason(error.reason), error.message), None
        version = follower.aliases.get(model.name, {}).get(alias) if alias is not None else None
        problem = answers.unread(model, version, error)
        # What is refused is a verdict, and no hiccup.
        patience = seconds(spec.poll_interval) if error.transient else 0.0
        told = self._unread.failed(key, model, problem, now, patience)
        return told or known, None if told is not None else down
