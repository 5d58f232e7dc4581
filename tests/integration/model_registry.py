"""A model registry with knobs: models, versions and aliases in memory, answered as MLflow answers.

The real MLflow has tests of its own (tests/integration/registry); here it must go down, hang, lie and count.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from aiohttp import web

from tests.unit.registry.fake import MISSING
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import api

Mood = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROMPT_TAG = {"key": "mlflow.prompt.is_prompt", "value": "true"}
SEARCH = api("registered-models/search")


@dataclass
class Version:
    """One version of a model."""

    source: str
    flavors: tuple[str, ...] = ("python_function", "sklearn")
    signature: dict[str, str] | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class RegisteredModel:
    """One registered model."""

    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    prompt: bool = False


class ModelRegistry(FakeMlflow):
    """Answers by what is in ``models``, unless ``mood`` is set. Both may be changed from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, RegisteredModel] = {}
        self.mood: Mood | None = None
        self.user: str | None = None
        """The only user who is let in; None: everybody."""
        self.handlers |= {
            SEARCH: self._search,
            api("registered-models/get"): self._model,
            api("model-versions/get"): self._version,
            api("model-versions/get-download-uri"): self._download_uri,
            "/model-versions/get-artifact": self._artifact,
            api("runs/get"): self._run,
        }

    def add(
        self, name: str, version: int, *, source: str | None = None, flavors: tuple[str, ...] | None = None
    ) -> None:
        """Register a version."""
        made = Version(source or f"s3://models/{name}/{version}")
        if flavors is not None:
            made.flavors = flavors
        self.models.setdefault(name, RegisteredModel()).versions[version] = made

    def point(self, name: str, alias: str, version: int) -> None:
        """Let an alias point at a version."""
        self.models[name].aliases[alias] = version

    @property
    def polls(self) -> int:
        """How often it was asked for all aliases."""
        return self.paths().count(SEARCH)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        if self.mood is not None:
            self.requests.append(request)
            return await self.mood(request)
        if self.user is not None and not self._knows(request):
            self.requests.append(request)
            return web.Response(status=401, text="You are not authenticated.")
        return await super()._dispatch(request)

    async def _search(self, _: web.Request) -> web.StreamResponse:
        models = [self._wire(name, model) for name, model in sorted(self.models.items()) if not model.prompt]
        return web.json_response({"registered_models": models})

    async def _model(self, request: web.Request) -> web.StreamResponse:
        name = request.query["name"]
        if name not in self.models:
            return await MISSING(request)
        return web.json_response({"registered_model": self._wire(name, self.models[name])})

    async def _version(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if found is None:
            return await MISSING(request)
        name, number = request.query["name"], request.query["version"]
        tags = [PROMPT_TAG] if self.models[name].prompt else []
        version = {"run_id": f"run-{name}-{number}", "model_id": f"m-{name}-{number}", "status": "READY", "tags": tags}
        return web.json_response({"model_version": version})

    async def _download_uri(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        return await MISSING(request) if found is None else web.json_response({"artifact_uri": found.source})

    async def _artifact(self, request: web.Request) -> web.StreamResponse:
        found = self._find(request)
        if found is None:
            return await MISSING(request)
        name, number = request.query["name"], request.query["version"]
        mlmodel = {"flavors": {flavor: {} for flavor in found.flavors}, "model_id": f"m-{name}-{number}"}
        return web.Response(text=json.dumps({**mlmodel, "signature": found.signature}))

    async def _run(self, request: web.Request) -> web.StreamResponse:
        # Its logged models have no metrics of their own, as of a server before MLflow 3.
        name, _, number = request.query["run_id"].removeprefix("run-").rpartition("-")
        logged = self.models[name].versions[int(number)].metrics
        metrics = [{"key": key, "value": value} for key, value in logged.items()]
        return web.json_response({"run": {"data": {"metrics": metrics}}})

    def _knows(self, request: web.Request) -> bool:
        scheme, _, login = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Basic" and base64.b64decode(login).decode().partition(":")[0] == self.user

    def _find(self, request: web.Request) -> Version | None:
        model = self.models.get(request.query["name"])
        return model.versions.get(int(request.query["version"])) if model is not None else None

    @staticmethod
    def _wire(name: str, model: RegisteredModel) -> dict[str, Any]:
        aliases = [{"alias": alias, "version": str(version)} for alias, version in model.aliases.items()]
        return {"name": name, "aliases": aliases, "tags": [PROMPT_TAG] if model.prompt else []}


async def down(request: web.Request) -> web.StreamResponse:
    """The connection breaks, as it does while a server is restarted."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")
