"""The registries that ModelRegistry objects declare: their clients, who follows what, and their status.

It stands between the watches and the registry layer: it reads the Secrets, keeps one client and one follower a
registry, answers :class:`serin.controller.gather.Targets`, and puts those into the queue for whom something moved.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from serin.api.base import to_wire
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE
from serin.api.kinds import SECRET
from serin.api.modeldeployment import Model
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.quantities import format_time
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.cluster.client import Client
from serin.controller.cache import Parents
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.registry_status import registry_status
from serin.controller.telemetry import Telemetry
from serin.errors import ClusterError
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.follow import Follower
from serin.registry.mlflow import MlflowRegistry
from serin.registry.namespaces import selects
from serin.registry.resolve import Resolver
from serin.rollout.observed import Problem

log = structlog.get_logger(__name__)

# A reconcile does not wait longer for a registry: it comes back when the answer is there.
PATIENCE_SECONDS = 1.0
# How often a registry whose Secret is missing or whose login is refused looks at the Secret again.
SECRET_SECONDS = 30.0
REGISTRY_REASONS = frozenset({Reason.REGISTRY_UNAVAILABLE, Reason.REGISTRY_REFUSED})


@dataclass(frozen=True, slots=True)
class Use:
    """What one ModelDeployment asks of which registry."""

    registry: str
    model: str
    follows: bool


@dataclass(slots=True)
class Connection:
    """One declared registry: connected, or the reason why it cannot be."""

    spec: ModelRegistrySpec | None
    config: RegistryConfig | None = None
    problem: RegistryError | None = None
    client: MlflowRegistry | None = None
    follower: Follower | None = None
    resolver: Resolver | None = None
    polling: asyncio.Task[None] | None = None

    def close(self) -> None:
        """End the polling and let go of the connections."""
        if self.polling is not None:
            self.polling.cancel()
        if self.client is not None:
            self.client.close()


class Registries:
    """All declared registries."""

    def __init__(
        self, namespace: str, client: Client, queue: Queue, telemetry: Telemetry, clock: Callable[[], datetime]
    ) -> None:
        self._namespace = namespace
        self._client = client
        self._queue = queue
        self._telemetry = telemetry
        self._clock = clock
        self._declared = Parents()
        self._connections: dict[str, Connection] = {}
        self._connecting: dict[str, asyncio.Task[Connection | None]] = {}
        self._uses: dict[Key, Use] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def take(self, event: str | None, body: dict[str, Any]) -> None:
        """A ModelRegistry was seen. Only those of the operator's own namespace count."""
        metadata = body["metadata"]
        if metadata["namespace"] != self._namespace:
            return
        key = Key(self._namespace, metadata["name"])
        if event == "DELETED":
            if self._declared.drop(key, metadata["uid"]):
                self._changed.put_nowait(key.name)
        elif self._declared.put(body):
            self._changed.put_nowait(key.name)

    def take_namespace(self, event: str | None, body: dict[str, Any]) -> None:
        """A namespace was seen: its labels decide which registries it may name."""
        name = body["metadata"]["name"]
        labels = dict(body["metadata"].get("labels") or {})
        if event == "DELETED":
            self._labels.pop(name, None)
        elif self._labels.get(name) != labels:
            known = name in self._labels
            self._labels[name] = labels
            if known:
                self._wake(lambda key, _: key.namespace == name)

    def forget(self, key: Key) -> None:
        """A ModelDeployment is gone: it follows nothing any more."""
        use = self._uses.pop(key, None)
        if use is not None:
            self._follow(use.registry)

    async def run(self) -> None:
        """Connect what is declared and changed, and look again at Secrets that did not do."""
        while True:
            try:
                async with asyncio.timeout(SECRET_SECONDS):
                    name = await self._changed.get()
            except TimeoutError:
                for name, connection in list(self._connections.items()):
                    if _refused(connection):
                        await self._again(name)
                continue
            await self._again(name)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()

    async def target(
        self, key: Key, model: Model, pinned: Resolved | None
    ) -> tuple[Resolved | Problem, Problem | None]:
        """What the model reference stands for, and whether its registry is down although that is known."""
        mine = _mine(model, pinned)
        try:
            connection = await self._connection(model.registry)
        except ClusterError as error:
            return (mine, None) if mine else (Problem(Reason.RESOLVING, error.message), None)
        problem = await self._refusal(key, model, connection)
        if problem is not None or connection is None:
            return problem or Problem(Reason.RESOLVING, "the registry is being connected"), None
        self._use(key, model)
        if connection.problem is not None:
            return _unreachable(connection.problem, mine, None)
        assert connection.resolver is not None  # noqa: S101 (a connection has a problem or a resolver)
        failing = connection.follower.failing_since if connection.follower is not None else None
        if mine is not None and model.version is not None:
            return mine, _down(model, connection.follower.error if connection.follower is not None else None, failing)
        try:
            answer = await self._patiently(key, self._ask(connection, model, mine))
        except RegistryError as error:
            return _unreachable(error, mine, _down(model, error, failing))
        if answer is None:
            return mine or Problem(Reason.RESOLVING, f"asking the registry {model.registry} for {model.name}"), None
        return answer, None

    async def _ask(self, connection: Connection, model: Model, mine: Resolved | None) -> Resolved:
        """The resolution. An immutable version that is pinned already is not asked for again."""
        if connection.follower is None or connection.resolver is None or connection.spec is None:
            raise RegistryError(Reason.REGISTRY_UNAVAILABLE, "the registry is not connected", transient=True)
        if model.alias is not None and mine is not None:
            version = await connection.follower.alias(model.name, model.alias)
            if version == mine.version:
                return mine
        return await connection.resolver.resolve(model, connection.spec.artifacts)

    async def _patiently(self, key: Key, asking: Coroutine[Any, Any, Resolved]) -> Resolved | None:
        """The answer, or None if it takes long: the key comes back when it is there."""
        task = asyncio.ensure_future(asking)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if done:
            return task.result()

        def come_back(finished: asyncio.Task[Resolved]) -> None:
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
        task = self._connecting.get(name)
        if task is None:
            task = self._connecting[name] = asyncio.create_task(self._connect(name))
            task.add_done_callback(lambda _: self._connecting.pop(name, None))
        return await asyncio.shield(task)

    async def _connect(self, name: str) -> Connection | None:
        key = Key(self._namespace, name)
        body = self._declared.get(key)
        if body is None:
            # Absent from the cache is not absent.
            body = await self._client.get(MODEL_REGISTRY, self._namespace, name)
            if body is None:
                return None
            self._declared.put(body)
        connection = await self._open(body)
        self._connections[name] = connection
        self._follow(name)
        if connection.follower is not None:
            connection.polling = asyncio.create_task(connection.follower.run())
        await self._report(name)
        return connection

    async def _open(self, body: dict[str, Any]) -> Connection:
        name = body["metadata"]["name"]
        try:
            spec = ModelRegistrySpec.model_validate(body["spec"])
        except ValidationError as error:
            wrong = "; ".join(f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
            return Connection(None, problem=RegistryError(Reason.INVALID_SPEC, wrong, transient=False))
        try:
            config = await self._config(spec)
        except RegistryError as error:
            return Connection(spec, problem=error)
        client = MlflowRegistry(config)
        follower = Follower(
            client,
            interval=seconds(spec.poll_interval),
            on_change=lambda models: self._wake(lambda _, use: use.registry == name and use.model in models),
            on_health=lambda: self._health(name),
            now=self._clock,
        )
        return Connection(spec, config, None, client, follower, Resolver(client, follower))

    async def _config(self, spec: ModelRegistrySpec) -> RegistryConfig:
        credentials, ca_pem = None, None
        if spec.auth is not None:
            credentials = Credentials.from_secret(spec.auth.secret_name, await self._secret(spec.auth.secret_name))
        if spec.tls is not None:
            data = await self._secret(spec.tls.ca_secret_name)
            if "ca.crt" not in data:
                message = f"Secret {spec.tls.ca_secret_name} has no key ca.crt: put the CA's certificates in PEM there"
                raise RegistryError(Reason.INVALID_SECRET, message, transient=False)
            ca_pem = data["ca.crt"].decode(errors="replace")
        return RegistryConfig(url=spec.url, credentials=credentials, ca_pem=ca_pem)

    async def _secret(self, name: str) -> dict[str, bytes]:
        secret = await self._client.get(SECRET, self._namespace, name)
        if secret is None:
            message = f"there is no Secret {name} in namespace {self._namespace}: create it"
            raise RegistryError(Reason.SECRET_NOT_FOUND, message, transient=False)
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    async def _again(self, name: str) -> None:
        """Connect anew if the declaration or the Secrets are other ones than before; then tell."""
        body = self._declared.get(Key(self._namespace, name))
        before = self._connections.get(name)
        try:
            if body is None:
                self._connections.pop(name, None)
                if before is not None:
                    before.close()
                    self._telemetry.registry_gone(name)
                    self._wake(lambda _, use: use.registry == name)
                return
            after = await self._open(body)
            if before is not None and (before.spec, before.config) == (after.spec, after.config):
                after.close()
                before.problem = after.problem
                await self._report(name)
                return
            if before is not None:
                before.close()
            self._connections[name] = after
            self._follow(name)
            if after.follower is not None:
                after.polling = asyncio.create_task(after.follower.run())
            self._wake(lambda _, use: use.registry == name)
            await self._report(name)
        except ClusterError as error:
            log.warning("registry was not looked at", registry=name, error=error.message)
            asyncio.get_running_loop().call_later(5.0, self._changed.put_nowait, name)

    async def _refusal(self, key: Key, model: Model, connection: Connection | None) -> Problem | None:
        if connection is None:
            self._use(key, model)
            return Problem(
                Reason.REGISTRY_NOT_FOUND,
                f"there is no ModelRegistry {model.registry} in namespace {self._namespace}: create it there, "
                "or name another in spec.model.registry",
            )
        if connection.spec is None or connection.spec.allowed_namespaces is None:
            return None
        if key.namespace not in self._labels:
            namespace = await self._client.get(NAMESPACE, None, key.namespace)
            self._labels[key.namespace] = dict(((namespace or {}).get("metadata") or {}).get("labels") or {})
        if selects(connection.spec.allowed_namespaces, self._labels[key.namespace]):
            return None
        self._use(key, model)
        return Problem(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"ModelRegistry {model.registry} does not allow namespace {key.namespace}: its allowedNamespaces "
            "does not select the namespace's labels",
        )

    def _use(self, key: Key, model: Model) -> None:
        use = Use(model.registry, model.name, follows=model.alias is not None)
        before = self._uses.get(key)
        if before == use:
            return
        self._uses[key] = use
        if before is not None and before.registry != use.registry:
            self._follow(before.registry)
        self._follow(use.registry)

    def _follow(self, registry: str) -> None:
        connection = self._connections.get(registry)
        if connection is None or connection.follower is None:
            return
        names = frozenset(use.model for use in self._uses.values() if use.registry == registry and use.follows)
        if names != connection.follower.followed:
            connection.follower.watch(names)
            self._changed.put_nowait(registry)

    def _wake(self, concerns: Callable[[Key, Use], bool]) -> None:
        for key, use in self._uses.items():
            if concerns(key, use):
                self._queue.add(key)

    def _health(self, name: str) -> None:
        self._wake(lambda _, use: use.registry == name)
        self._changed.put_nowait(name)

    async def _report(self, name: str) -> None:
        """The status of the ModelRegistry, if it differs, and its metrics."""
        connection, body = self._connections.get(name), self._declared.get(Key(self._namespace, name))
        if connection is None or body is None:
            return
        follower = connection.follower
        error = connection.problem or (follower.error if follower is not None else None)
        followed = len(follower.followed) if follower is not None else 0
        last = follower.last_success if follower is not None else None
        self._telemetry.registry_polled(name, last, up=error is None and last is not None, followed=followed)
        status = registry_status(
            body, error, follower.server_version if follower is not None else None, followed, last, self._clock()
        )
        if status is None or to_wire(status) == body["status"]:
            return
        written = await self._client.apply_status(
            MODEL_REGISTRY, self._namespace, name, to_wire(status), version=body["metadata"]["resourceVersion"]
        )
        self._declared.put(written)


def _mine(model: Model, pinned: Resolved | None) -> Resolved | None:
    """The pinned resolution, if it is of this very reference."""
    if pinned is None or (pinned.registry, pinned.name) != (model.registry, model.name):
        return None
    if model.version is not None:
        return pinned.model_copy(update={"alias": None}) if pinned.version == model.version else None
    return pinned if pinned.alias == model.alias else None


def _unreachable(
    error: RegistryError, mine: Resolved | None, down: Problem | None
) -> tuple[Resolved | Problem, Problem | None]:
    """A registry that does not answer takes nothing from a version that is known; it only stops what moves."""
    reason = Reason(error.reason)
    if mine is not None and (reason in REGISTRY_REASONS or error.transient):
        return mine, down or Problem(reason, error.message)
    return Problem(reason, error.message), None


def _down(model: Model, error: RegistryError | None, since: datetime | None) -> Problem | None:
    if error is None or since is None:
        return None
    return Problem(
        Reason(error.reason),
        f"registry {model.registry} does not answer since {format_time(since.replace(microsecond=0))}: {error.message}",
    )


def _refused(connection: Connection) -> bool:
    error = connection.problem or (connection.follower.error if connection.follower is not None else None)
    return error is not None and error.reason in (
        Reason.SECRET_NOT_FOUND,
        Reason.INVALID_SECRET,
        Reason.REGISTRY_REFUSED,
    )
