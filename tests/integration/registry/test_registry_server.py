"""The registry layer against a real MLflow server: what the wire tests assume, seen."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import shutil
from collections.abc import AsyncIterator
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serin.analysis.gates import Record
from serin.analysis.gates import outcome_of
from serin.analysis.signature import Field
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.analysis.signature import Tensor
from serin.api.gates import Gates
from serin.api.gates import QualityGate
from serin.api.modeldeployment import Model
from serin.api.modelregistry import Artifacts
from serin.api.modelregistry import Rewrite
from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.follow import Follower
from serin.registry.mlflow import MlflowRegistry
from serin.registry.resolve import Resolver
from serin.registry.signature import unpack
from tests.integration.registry.conftest import SCRIPT
from tests.integration.registry.conftest import Logged
from tests.integration.registry.server import ADMIN
from tests.integration.registry.server import PASSWORD
from tests.integration.registry.server import MlflowServer
from tests.integration.registry.server import furnish
from tests.integration.registry.server import running
from tests.integration.registry.server import with_logins

# The server takes 4 s to start on an idle machine, and minutes on one that builds clusters beside it.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

GATED = SCRIPT.with_name("log_gated.py")
NAMES = ["it's", 'say "hi"', "both ' and \"", "модель №1", "with space", "back\\slash", "a) OR (name", "-- c", "tick`"]
NAMES += ["per%cent; DROP", "new\nline", "x' OR 'y"]


async def refusal(registry: MlflowRegistry, name: str, version: int) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        await registry.version(name, version)
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(registry: MlflowRegistry, name: str, changes: list[frozenset[str]]) -> AsyncIterator[Follower]:
    follower = Follower(registry, interval=0.1, on_change=changes.append, on_health=lambda: None)
    follower.watch([name])
    task = asyncio.create_task(follower.run())
    yield follower
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_version_of_the_server(registry: MlflowRegistry) -> None:
    assert await registry.server_version() == "3.17.2"


async def test_the_facts_of_a_version(logged: Logged, registry: MlflowRegistry) -> None:
    facts = await registry.version("iris", 1)
    assert (facts.run_id, facts.model_id) == (logged.run_id, logged.model_id)
    assert facts.flavors == ("python_function", "sklearn")
    assert facts.artifact_uri.startswith("mlflow-artifacts:/")
    path = logged.server.artifacts / facts.artifact_uri.removeprefix("mlflow-artifacts:/") / "MLmodel"
    assert facts.digest == hashlib.sha256(path.read_bytes()).hexdigest()


async def test_names_of_every_kind(logged: Logged, registry: MlflowRegistry) -> None:
    for name in NAMES:
        logged.server.post("registered-models/create", name=name)
        logged.register(name)
        logged.server.post("registered-models/alias", name=name, alias="champion", version="1")
    assert await registry.listing(NAMES) == {name: {"champion": 1} for name in NAMES}
    for name in NAMES:
        assert await registry.listing([name]) == {name: {"champion": 1}}
        assert (await registry.version(name, 1)).model_id == logged.model_id
    assert not registry._filter_refused


async def test_signatures_and_metrics(logged: Logged, registry: MlflowRegistry) -> None:
    ids = json.loads(logged.server.run(GATED))
    records = []
    for version, (run_id, model_id) in enumerate(ids, start=1):
        facts = await registry.version("gated", version)
        assert (facts.run_id, facts.model_id) == (run_id, model_id)
        metrics = await registry.metrics(run_id, model_id)
        records.append(Record(f"v{version}", unpack(facts.signature), metrics))
    first, second = records
    assert first.signature == Signature(
        Schema((Field("a", Scalar("double")), Field("b", Scalar("long")))),
        Schema((Field("0", Tensor("float64", (-1,))),), named=False),
        (Field("depth", Scalar("long")),),
    )
    assert isinstance(first.metrics, tuple)
    values = {(one.name, one.dataset): one.value for one in first.metrics}
    assert math.isnan(values.pop(("loss", None)))
    assert values == {("f1", None): 0.8, ("acc", "train"): 0.99, ("acc", "holdout"): 0.7}

    gates = Gates.model_validate(
        {
            "quality": [
                {"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "0%"},
                {"metric": "acc", "dataset": "holdout", "atLeast": 0.7},
                {"metric": "fairness", "atLeast": 0.9},
            ]
        }
    )
    found = outcome_of(gates, second, first)
    assert found.signature == "the signature breaks clients of v1: input 'c' (long) is required and new"
    assert found.quality == ""
    stricter = gates.model_copy(update={"quality": (QualityGate(metric="loss", at_most=1),)})
    assert outcome_of(stricter, second, first).quality == "loss of v2 is not a number"


async def test_what_does_not_exist(registry: MlflowRegistry) -> None:
    assert (await refusal(registry, "iris", 99)).reason == Reason.VERSION_NOT_FOUND
    assert (await refusal(registry, "nope", 1)).reason == Reason.MODEL_NOT_FOUND
    assert (await registry.missing("nope")).reason == Reason.MODEL_NOT_FOUND


async def test_a_prompt_is_no_model(registry: MlflowRegistry) -> None:
    assert (await refusal(registry, "greeting", 1)).reason == Reason.NOT_A_MODEL
    assert await registry.listing(["greeting"]) == {}
    assert (await registry.missing("greeting")).reason == Reason.NOT_A_MODEL


async def test_runs_references_are_followed(logged: Logged, registry: MlflowRegistry) -> None:
    logged.server.post("registered-models/create", name="by-run")
    source = f"runs:/{logged.run_id}/model"
    logged.server.post("model-versions/create", name="by-run", source=source, run_id=logged.run_id)
    assert await registry.version("by-run", 1) == await registry.version("iris", 1)


async def test_artifacts_that_the_server_cannot_read(logged: Logged, registry: MlflowRegistry) -> None:
    logged.server.post("registered-models/create", name="elsewhere")
    for source in ("s3://no-such-bucket/x", "hf://org/model"):
        logged.server.post("model-versions/create", name="elsewhere", source=source)
    for version in (1, 2):
        error = await refusal(registry, "elsewhere", version)
        assert (error.reason, error.transient) == (Reason.REGISTRY_UNAVAILABLE, True)
        assert "artifact store" in error.message


async def test_artifacts_that_are_gone(logged: Logged, tmp_path: Path) -> None:
    furnish(tmp_path, logged.server)
    with running(MlflowServer(tmp_path)) as server:
        registry = MlflowRegistry(RegistryConfig(server.url))
        assert (await registry.version("iris", 1)).flavors
        shutil.rmtree(server.artifacts)
        error = await refusal(registry, "iris", 1)
        assert (error.reason, error.transient) == (Reason.ARTIFACT_NOT_FOUND, False)
        await _outage(server, registry)
        registry.close()


async def _outage(server: MlflowServer, registry: MlflowRegistry) -> None:
    changes: list[frozenset[str]] = []
    server.post("registered-models/alias", name="iris", alias="champion", version="1")
    async with following(registry, "iris", changes) as follower:
        await until(lambda: follower.last_success is not None)
        server.stop()
        await until(lambda: follower.failing_since is not None)
        assert await follower.alias("iris", "champion") == 1
        assert (await refusal(registry, "iris", 1)).reason == Reason.REGISTRY_UNAVAILABLE
        server.start()
        await until(lambda: follower.failing_since is None)
        assert changes == []


async def test_an_alias_that_moves_and_goes(logged: Logged, registry: MlflowRegistry) -> None:
    changes: list[frozenset[str]] = []
    server = logged.server
    server.post("registered-models/create", name="moving")
    for _ in range(2):
        logged.register("moving")
    server.post("registered-models/alias", name="moving", alias="champion", version="1")
    async with following(registry, "moving", changes) as follower:
        resolver = Resolver(registry, follower)
        model = Model(name="moving", alias="champion")
        place = Artifacts(rewrite=(Rewrite(from_="mlflow-artifacts:/", to="s3://models/mlflow"),))
        resolved = await resolver.resolve(model, place)
        assert (resolved.version, resolved.model_id) == (1, logged.model_id)
        assert resolved.artifact_uri.startswith("s3://models/mlflow/")

        server.post("registered-models/alias", name="moving", alias="champion", version="2")
        await until(lambda: len(changes) == 1)
        assert (await resolver.resolve(model, place)).version == 2

        # The alias goes with its version, which no webhook would have told.
        server.delete("model-versions/delete", name="moving", version="2")
        await until(lambda: len(changes) == 2)
        with pytest.raises(RegistryError) as caught:
            await resolver.resolve(model, place)
        assert caught.value.reason == Reason.ALIAS_NOT_FOUND
        assert (await refusal(registry, "moving", 2)).reason == Reason.VERSION_NOT_FOUND

        server.post("registered-models/rename", name="moving", new_name="moved")
        await until(lambda: len(changes) == 3)
        with pytest.raises(RegistryError) as caught:
            await resolver.resolve(model, place)
        assert caught.value.reason == Reason.MODEL_NOT_FOUND
        assert set(changes) == {frozenset({"moving"})}


async def test_a_host_name_that_the_server_does_not_know(logged: Logged, tmp_path: Path) -> None:
    furnish(tmp_path, logged.server)
    with running(MlflowServer(tmp_path, "--allowed-hosts", "mlflow.example.com")) as server:
        registry = MlflowRegistry(RegistryConfig(server.url))
        with pytest.raises(RegistryError) as caught:
            await registry.listing(())
        assert (caught.value.reason, caught.value.transient) == (Reason.REGISTRY_REFUSED, False)
        assert f'--allowed-hosts "127.0.0.1:{server.port}"' in caught.value.message
        assert await registry.server_version() == "3.17.2"
        registry.close()


async def test_a_server_with_logins_and_without_an_artifact_proxy(tmp_path: Path) -> None:
    login = Credentials(username=ADMIN, password=PASSWORD)
    server = with_logins(tmp_path, "--no-serve-artifacts", "--default-artifact-root", str(tmp_path / "root"))
    with running(server):
        server.run(SCRIPT)
        server.post("users/create", username="operator", password="p4ss-canary-operator")
        await _with_login(server, login)
        await _without_permission(server, Credentials(username="operator", password="p4ss-canary-operator"))
        await _refused(server, None, "set auth.secretName")
        await _refused(server, Credentials(username="admin", password="p4ss-canary-wrong"), "check the Secret")


async def _with_login(server: MlflowServer, login: Credentials) -> None:
    registry = MlflowRegistry(RegistryConfig(server.url, login))
    facts = await registry.version("iris", 1)
    # A bare path, as MLflow gives it without the proxy: pods have no use for it, and `place` refuses it.
    assert facts.artifact_uri.startswith(str(server.folder / "root"))
    assert facts.flavors == ("python_function", "sklearn")
    assert await registry.listing(["iris"]) == {"iris": {}}
    registry.close()


async def _without_permission(server: MlflowServer, login: Credentials) -> None:
    """MLflow leaves out of a search what one may not read; only asking for it says why."""
    registry = MlflowRegistry(RegistryConfig(server.url, login))
    assert await registry.listing(["iris"]) == {}
    with pytest.raises(RegistryError, match="READ permission") as caught:
        raise await registry.missing("iris")
    assert caught.value.reason == Reason.REGISTRY_REFUSED
    registry.close()


async def _refused(server: MlflowServer, login: Credentials | None, says: str) -> None:
    registry = MlflowRegistry(RegistryConfig(server.url, login))
    with pytest.raises(RegistryError, match=says) as caught:
        await registry.listing(["iris"])
    assert (caught.value.reason, caught.value.transient) == (Reason.REGISTRY_REFUSED, False)
    assert "canary" not in caught.value.message
    registry.close()
