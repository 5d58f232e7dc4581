"""The registries that ModelRegistry objects declare: their connections, who follows what, and their status.

It stands between the watches and the registry layer: it keeps one connection a registry, answers
:class:`serin.controller.gather.Targets`, and puts those into the queue for whom something moved.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from collections.abc import Coroutine
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any
from typing import TypeVar

import structlog

from serin.analysis.gates import Record
from serin.api.base import to_wire
from serin.api.kinds import MODEL_REGISTRY
from serin.api.modeldeployment import Model
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.cluster.client import Client
from serin.controller import answers
from serin.controller.answers import Answer
from serin.controller.cache import Parents
from serin.controller.connection import Connection
from serin.controller.connection import Declarations
from serin.controller.namespaces import Namespaces
from serin.controller.pins import Pins
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.records import read_records
from serin.controller.registry_status import registry_status
from serin.controller.relist import relist
from serin.controller.telemetry import Telemetry
from serin.controller.uses import Uses
from serin.errors import ClusterError
from serin.errors import RegistryError
from serin.rollout.doubt import Doubt
from serin.rollout.observed import Problem
from serin.rollout.records import Origin
from serin.rollout.records import Question
from serin.rollout.records import Records

T = TypeVar("T")

log = structlog.get_logger(__name__)

# A reconcile does not wait longer for a registry: it comes back when the answer is there.
PATIENCE_SECONDS = 1.0
# Changes of what is followed are gathered this long before they are told to the follower and in the status.
GATHER_SECONDS = 0.5
# How often a registry whose Secret is missing, whose login is refused or whose CA may be wrong looks at Secrets again.
SECRET_SECONDS = 30.0
# After a request of ours failed.
AGAIN_SECONDS = 5.0


class Registries:
    """All declared registries."""

    def __init__(
        self,
        namespace: str,
        client: Client,
        queue: Queue,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        *,
        through_mlflow: bool = False,
    ) -> None:
        """``through_mlflow``: pods can fetch artifacts through a registry's tracking server."""
        self._namespace = namespace
        self._client = client
        self._queue = queue
        self._telemetry = telemetry
        self._clock = clock
        self._through_mlflow = through_mlflow
        self._declarations = Declarations(namespace, client)
        self._declared = Parents()
        self._connections: dict[str, Connection] = {}
        self._connecting = asyncio.Lock()
        self._uses = Uses()
        self._pins = Pins(self._uses)
        self._namespaces = Namespaces(client)
        self._troubles: dict[str, tuple[datetime | None, str | None]] = {}
        self._changed: set[str] = set()
        self._wakeup = asyncio.Event()

    def take(self, event: str | None, body: dict[str, Any]) -> None:
        """A ModelRegistry was seen. Only those of the operator's own namespace count."""
        metadata = body["metadata"]
        if metadata["namespace"] != self._namespace:
            return
        key = Key(self._namespace, metadata["name"])
        changed = self._declared.drop(key, metadata["uid"]) if event == "DELETED" else self._declared.put(body)
        if changed:
            self._look_at(key.name)

    async def refresh(self) -> None:
        """Read them anew."""
        await relist(self._client, MODEL_REGISTRY, self._declared, self.take)

    def take_namespace(self, event: str | None, body: dict[str, Any]) -> None:
        """A namespace was seen: its labels decide which registries it may name."""
        name = body["metadata"]["name"]
        if event == "DELETED":
            self._telemetry.namespace_gone(name)
        if self._namespaces.take(event, body):
            self._wake(self._uses.within(name))

    def leaving(self, namespace: str) -> bool:
        """Whether the namespace is being deleted: nothing can be created in it any more."""
        return self._namespaces.leaving(namespace)

    def note(self, key: Key, spec: dict[str, Any]) -> None:
        """A ModelDeployment was seen: what it follows is asked for with the next listing."""
        for registry in self._uses.note(key, spec):
            self._look_at(registry)

    def forget(self, key: Key) -> None:
        """A ModelDeployment is gone: it follows nothing any more."""
        self._pins.forget(key)
        for registry in self._uses.forget(key):
            self._look_at(registry)

    async def run(self) -> None:
        """Keep connections as they are declared, and look again at Secrets that did not do."""
        loop = asyncio.get_running_loop()
        secrets_at = loop.time() + SECRET_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(secrets_at):
                    await self._wakeup.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            if loop.time() >= secrets_at:
                secrets_at = loop.time() + SECRET_SECONDS
                self._changed |= {name for name, one in self._connections.items() if one.wants_secret}
            self._wakeup.clear()
            changed, self._changed = self._changed, set()
            for name in sorted(changed):
                await self._renew(name)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()

    async def target(self, key: Key, model: Model, pinned: Resolved | None, doubt: Doubt | None = None) -> Answer:
        """What the model reference stands for, and whether its registry is down although that is known. ``doubt``: why
        what is pinned may be something else by now, by what was told of it."""
        mine = answers.mine(model, pinned)
        try:
            connection = await self._connection(model.registry)
            problem = await self._refusal(key, model, connection)
        except ClusterError as error:
            return mine or Problem(Reason.RESOLVING, error.message), None
        if problem is not None or connection is None:
            return problem or answers.unknown(model, self._namespace), None
        wrong = connection.declaration.problem
        if wrong is not None:
            return answers.without_registry(wrong, mine, Problem(Reason(wrong.reason), wrong.message))
        doubt = self._pins.doubt(key, model, mine, connection, doubt)
        if mine is not None and model.version is not None and doubt is None:
            self._pins.read(key, model)
            return mine, answers.down(model, connection.error, connection.failing_since)
        known = mine if doubt is None or not doubt.strict else None
        try:
            answer = await self._patiently(key, self._pins.ask(connection, model, mine, doubt))
        except RegistryError as error:
            # No event tells of a version that is registered at last, or of artifacts that are there again.
            self._come_back(key, connection)
            now = asyncio.get_running_loop().time()
            return self._pins.without(key, model, known, connection, error, doubt, now)
        # An alias is answered by the last good poll, however long ago that was.
        down = answers.down(model, connection.error, connection.failing_since)
        if answer is None:
            return self._pins.meanwhile(key, model, known), down
        self._pins.read(key, model)
        if self._connections.get(model.registry) is connection:
            self._pins.sure(key, answer, connection, anew=answer is not mine)
        return answer, down

    async def records(self, key: Key, question: Question) -> Records | Problem | None:
        """What the gates of a rollout look at; None where it takes long: the key comes back when it is there."""
        return await self._patiently(key, read_records(question, partial(self._record, key)))

    async def _record(self, key: Key, origin: Origin, question: Question) -> Record:
        model = Model(registry=origin.registry, name=origin.model, version=origin.version)
        try:
            connection = await self._connection(model.registry)
            problem = await self._refusal(key, model, connection)
        except ClusterError as error:
            raise RegistryError(Reason.REGISTRY_UNAVAILABLE, error.message, transient=True) from error
        if problem is None and connection is None:
            problem = answers.unknown(model, self._namespace)
        if problem is not None or connection is None or connection.recorder is None:
            wrong = problem or (connection.declaration.problem if connection is not None else None)
            known = wrong or Problem(Reason.REGISTRY_UNAVAILABLE, "the registry is not connected")
            raise RegistryError(known.reason, known.message, transient=False)
        return await connection.recorder.record(
            origin.model, origin.version, origin.digest, metrics=question.metrics, fresh=question.fresh
        )

    def _come_back(self, key: Key, connection: Connection) -> None:
        """Ask again with the next poll."""
        spec = connection.declaration.spec
        if spec is not None:
            self._queue.add_at(key, asyncio.get_running_loop().time() + seconds(spec.poll_interval))

    async def _patiently(self, key: Key, asking: Coroutine[Any, Any, T]) -> T | None:
        """The answer, or None if it takes long: the key comes back when it is there."""
        task = asyncio.ensure_future(asking)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if done:
            return task.result()

        def come_back(finished: asyncio.Task[T]) -> None:
            if not finished.cancelled():
                finished.exception()
                self._queue.add(key)

        task.add_done_callback(come_back)
        return None

    async def _connection(self, name: str) -> Connection | None:
        """The registry's connection; None where no such ModelRegistry is declared."""
        known = self._connections.get(name)
        if known is not None:
            return known
        async with self._connecting:
            if name in self._connections:
                return self._connections[name]
            key = Key(self._namespace, name)
            body = self._declared.get(key)
            if body is None:
                # Absent from the cache is not absent.
                body = await self._client.get(MODEL_REGISTRY, self._namespace, name)
                if body is None:
                    return None
                self._declared.put(body)
            return await self._connect(name, body)

    async def _connect(self, name: str, body: dict[str, Any]) -> Connection:
        """Replace the connection if the declaration or its Secrets are other ones than before."""
        before = self._connections.get(name)
        declaration = await self._declarations.read(body)
        if before is not None and before.declaration == declaration:
            return before
        connection = Connection(
            declaration,
            on_change=lambda models: self._wake(self._uses.keys(name, models)),
            on_health=lambda: self._health(name),
            clock=self._clock,
            through_mlflow=self._through_mlflow,
        )
        if before is not None:
            before.close()
            self._wake(self._uses.keys(name))
        self._connections[name] = connection
        self._pins.declared(name, declaration.spec, body)
        if connection.follower is not None:
            connection.follower.watch(self._uses.followed(name))
        connection.start()
        self._look_at(name)
        return connection

    async def _renew(self, name: str) -> None:
        """Bring one registry up to date: connection, what it follows, status."""
        try:
            async with self._connecting:
                body = self._declared.get(Key(self._namespace, name))
                if body is None:
                    self._disconnect(name)
                    return
                connection = await self._connect(name, body)
            if connection.follower is not None:
                followed = self._uses.followed(name)
                if followed != connection.follower.followed:
                    connection.follower.watch(followed)
            await self._report(name, connection)
        except ClusterError as error:
            log.warning("registry was not looked at", registry=name, error=error.message)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._look_at, name)
        except Exception:  # a bug that one declaration wakes must not end the others; it is told
            log.exception("registry was not looked at (this is a bug, please report it)", registry=name)
            asyncio.get_running_loop().call_later(SECRET_SECONDS, self._look_at, name)

    def _disconnect(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.close()
            self._telemetry.registry_gone(name)
            self._troubles.pop(name, None)
            self._wake(self._uses.keys(name))

    async def _refusal(self, key: Key, model: Model, connection: Connection | None) -> Problem | None:
        spec = connection.declaration.spec if connection is not None else None
        return await self._namespaces.refusal(key, model, spec)

    def _look_at(self, name: str) -> None:
        self._changed.add(name)
        self._wakeup.set()

    def _wake(self, keys: Iterable[Key]) -> None:
        """Many at once, perhaps: the steps of rollouts that are due meanwhile do not wait behind them."""
        for key in keys:
            self._queue.add(key, fresh=False)

    def _health(self, name: str) -> None:
        """Other words for the same trouble are for the registry's own status: a server that fails in two ways in turn
        would have the status of all who use it written with every poll. They get them when they are looked at."""
        connection = self._connections.get(name)
        error = connection.error if connection is not None else None
        trouble = (connection.failing_since if connection is not None else None, error.reason if error else None)
        if self._troubles.get(name, ()) != trouble:
            self._troubles[name] = trouble
            self._wake(self._uses.keys(name))
        self._look_at(name)

    async def _report(self, name: str, connection: Connection) -> None:
        """The status of the ModelRegistry, if it differs, and its metrics."""
        body = self._declared.get(Key(self._namespace, name))
        if body is None:
            return
        follower = connection.follower
        followed = len(follower.followed) if follower is not None else 0
        last = follower.last_success if follower is not None else None
        self._telemetry.registry_polled(name, up=connection.error is None and last is not None, followed=followed)
        status = registry_status(
            body,
            connection.error,
            follower.server_version if follower is not None else None,
            followed,
            last,
            self._clock(),
            hiccup=connection.hiccup,
        )
        if status is None or to_wire(status) == body["status"]:
            return
        written = await self._client.apply_status(
            MODEL_REGISTRY, self._namespace, name, to_wire(status), version=body["metadata"]["resourceVersion"]
        )
        self._declared.put(written)

    def polled(self) -> dict[str, datetime]:
        """When each registry was last polled with success, for the metrics."""
        return {
            name: connection.follower.last_success
            for name, connection in self._connections.items()
            if connection.follower is not None and connection.follower.last_success is not None
        }
