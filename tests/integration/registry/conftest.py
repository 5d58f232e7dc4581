from __future__ import annotations

import json
from collections.abc import AsyncIterator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from serin.registry.config import RegistryConfig
from serin.registry.mlflow import MlflowRegistry
from tests.integration.registry.server import MlflowServer
from tests.integration.registry.server import running

SCRIPT = Path(__file__).parent / "log_model.py"


@dataclass(frozen=True)
class Logged:
    """The one model that was logged, and the server that has it."""

    server: MlflowServer
    run_id: str
    model_id: str

    def register(self, name: str) -> int:
        """One more version of a model, from the logged one."""
        answer = self.server.post(
            "model-versions/create", name=name, source=f"models:/{self.model_id}", model_id=self.model_id
        )
        version = answer["model_version"]
        assert isinstance(version, dict)
        return int(version["version"])


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    with running(MlflowServer(tmp_path_factory.mktemp("mlflow"))) as server:
        yield Logged(server, **json.loads(server.run(SCRIPT)))


@pytest_asyncio.fixture
async def registry(logged: Logged) -> AsyncIterator[MlflowRegistry]:
    registry = MlflowRegistry(RegistryConfig(logged.server.url))
    yield registry
    registry.close()
