"""A declared registry, connected: its client, its follower, its resolver, made with the Secrets it names."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from serin.api.kinds import SECRET
from serin.api.modelregistry import ModelRegistrySpec
from serin.api.quantities import seconds
from serin.api.reasons import Reason
from serin.cluster.client import FORBIDDEN
from serin.cluster.client import Client
from serin.errors import ClusterError
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.follow import Follower
from serin.registry.mlflow import MlflowRegistry
from serin.registry.records import Recorder
from serin.registry.resolve import Resolver


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a ModelRegistry and its Secrets say, or what is wrong with them."""

    spec: ModelRegistrySpec | None
    config: RegistryConfig | None = None
    wrong: tuple[str, str] | None = None
    """Reason and message."""

    @property
    def problem(self) -> RegistryError | None:
        """What is wrong, as an error."""
        return None if self.wrong is None else RegistryError(*self.wrong, transient=False)


class Connection:
    """One declared registry. Follower, resolver and recorder are None where the declaration is wrong."""

    def __init__(
        self,
        declaration: Declaration,
        on_change: Callable[[frozenset[str]], None],
        on_health: Callable[[], None],
        clock: Callable[[], datetime],
        *,
        through_mlflow: bool,
    ) -> None:
        """``through_mlflow``: pods can fetch artifacts through the tracking server."""
        self.declaration = declaration
        self.follower: Follower | None = None
        self.resolver: Resolver | None = None
        self.recorder: Recorder | None = None
        self._on_change = on_change
        self._client: MlflowRegistry | None = None
        self._polling: asyncio.Task[None] | None = None
        spec, config = declaration.spec, declaration.config
        if spec is not None and config is not None:
            self._client = MlflowRegistry(config)
            self.follower = Follower(
                self._client,
                interval=seconds(spec.poll_interval),
                on_change=self._moved,
                on_health=on_health,
                now=clock,
            )
            self.resolver = Resolver(self._client, self.follower, server=spec.url if through_mlflow else None)
            self.recorder = Recorder(self._client, self.resolver)

    @property
    def error(self) -> RegistryError | None:
        """Why it cannot be used, or why the last poll failed."""
        return self.declaration.problem or (self.follower.error if self.follower is not None else None)

    @property
    def failing_since(self) -> datetime | None:
        """Since when polls fail; None while they succeed or failed but once."""
        return self.follower.failing_since if self.follower is not None else None

    @property
    def hiccup(self) -> bool:
        """Whether one poll failed, after others that did not, for what may pass."""
        error, follower = self.error, self.follower
        answered = follower is not None and follower.last_success is not None
        return answered and error is not None and error.transient and self.failing_since is None

    @property
    def wants_secret(self) -> bool:
        """Whether another look at its Secrets may help: they are not watched, and somebody may have mended one.

        Whatever the error: a CA that is not the server's is told as no connection, and a login that has expired may be
        answered by a redirect to a login page.
        """
        spec = self.declaration.spec
        return self.error is not None and spec is not None and (spec.auth is not None or spec.tls is not None)

    def _moved(self, models: frozenset[str]) -> None:
        # A model that was deleted and made again counts its versions from 1 again.
        if self.resolver is not None:
            self.resolver.forget(models)
        self._on_change(models)

    def start(self) -> None:
        """Begin to poll."""
        if self.follower is not None:
            self._polling = asyncio.create_task(self.follower.run())

    def close(self) -> None:
        """End the polling and let go of the connections."""
        if self._polling is not None:
            self._polling.cancel()
        if self._client is not None:
            self._client.close()


class Declarations:
    """Reads declarations. Secrets are read from the operator's own namespace, by name, when they are needed."""

    def __init__(self, namespace: str, client: Client) -> None:
        self._namespace = namespace
        self._client = client

    async def read(self, body: dict[str, Any]) -> Declaration:
        """What a ModelRegistry declares. Raises ClusterError where a Secret cannot be read now."""
        try:
            spec = ModelRegistrySpec.model_validate(body["spec"])
        except ValidationError as error:
            wrong = "; ".join(f"spec.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
            return Declaration(None, wrong=(Reason.INVALID_SPEC, wrong))
        try:
            return Declaration(spec, await self._config(spec))
        except RegistryError as error:
            return Declaration(spec, wrong=(error.reason, error.message))

    async def _config(self, spec: ModelRegistrySpec) -> RegistryConfig:
        credentials, ca_pem = None, None
        if spec.auth is not None:
            credentials = Credentials.from_secret(spec.auth.secret_name, await self._secret(spec.auth.secret_name))
        if spec.tls is not None:
            data = await self._secret(spec.tls.ca_secret_name)
            if "ca.crt" not in data:
                message = f"Secret {spec.tls.ca_secret_name} has no key ca.crt: put the CA's certificates in PEM there"
                raise RegistryError(Reason.INVALID_SECRET, message, transient=False)
            # PEM is ASCII; comments between certificates may be in any language.
            ca_pem = data["ca.crt"].decode("ascii", errors="ignore")
        return RegistryConfig(url=spec.url, credentials=credentials, ca_pem=ca_pem)

    async def _secret(self, name: str) -> dict[str, bytes]:
        try:
            secret = await self._client.get(SECRET, self._namespace, name)
        except ClusterError as error:
            if error.status != FORBIDDEN:
                raise
            message = (
                f"the operator may not read Secret {name} in namespace {self._namespace}: name it in the chart's "
                f"rbac.secretNames, or let the operator's service account get it: {error.message}"
            )
            raise RegistryError(Reason.FORBIDDEN, message, transient=False) from error
        if secret is None:
            message = f"there is no Secret {name} in namespace {self._namespace}: create it"
            raise RegistryError(Reason.SECRET_NOT_FOUND, message, transient=False)
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}
