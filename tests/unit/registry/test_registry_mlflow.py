"""The registry port against answers of MLflow that are rare or hard to bring about with a real server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry import mlflow
from serin.registry.config import RegistryConfig
from serin.registry.facts import VersionFacts
from serin.registry.mlflow import MlflowRegistry
from tests.unit.registry.fake import MISSING
from tests.unit.registry.fake import MLMODEL
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import Handler
from tests.unit.registry.fake import answer
from tests.unit.registry.fake import api
from tests.unit.registry.fake import error
from tests.unit.registry.fake import text

SEARCH = api("registered-models/search")
URI = api("model-versions/get-download-uri")
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]


@pytest_asyncio.fixture
async def registry(server: FakeMlflow) -> AsyncIterator[MlflowRegistry]:
    registry = MlflowRegistry(RegistryConfig(server.url, timeout=10))
    yield registry
    registry.close()


async def reason_of(registry: MlflowRegistry, name: str = "iris", version: int = 1) -> tuple[str, str]:
    with pytest.raises(RegistryError) as caught:
        await registry.version(name, version)
    assert len(caught.value.message) <= 300
    return caught.value.reason, caught.value.message


def logged(model_id: str, name: str, created: int = 0) -> Handler:
    uri = f"mlflow-artifacts:/1/models/{model_id}/artifacts"
    info = {"model_id": model_id, "name": name, "artifact_uri": uri, "creation_timestamp_ms": created}
    return answer({"model": {"info": info}})


async def test_the_facts_of_a_version(registry: MlflowRegistry) -> None:
    digest = hashlib.sha256(MLMODEL).hexdigest()
    expected = VersionFacts("r1", "m-1", "s3://models/1/m-1", digest, ("python_function", "sklearn"))
    assert await registry.version("iris", 1) == expected


async def test_a_version_of_mlflow_2_has_no_model_id(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[api("model-versions/get")] = answer({"model_version": {"run_id": "", "status": "READY"}})
    server.handlers["/model-versions/get-artifact"] = text("flavors: {sklearn: {}}")
    facts = await registry.version("iris", 1)
    assert (facts.run_id, facts.model_id) == (None, None)


async def test_a_missing_version_and_a_missing_model_differ(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[api("model-versions/get")] = MISSING
    reason, message = await reason_of(registry)
    assert reason == Reason.VERSION_NOT_FOUND
    assert "v1 of model 'iris'" in message
    server.handlers[api("registered-models/get")] = MISSING
    assert (await reason_of(registry))[0] == Reason.MODEL_NOT_FOUND


async def test_a_prompt_is_refused(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[api("model-versions/get")] = answer({"model_version": {"tags": PROMPT}})
    assert (await reason_of(registry))[0] == Reason.NOT_A_MODEL
    server.handlers[api("registered-models/get")] = answer({"registered_model": {"name": "iris", "tags": PROMPT}})
    assert (await registry.missing("iris")).reason == Reason.NOT_A_MODEL


async def test_a_prompt_that_a_listing_shows_is_no_model(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[SEARCH] = answer({"registered_models": [{"name": "iris", "tags": PROMPT}]})
    assert await registry.listing(["iris"]) == {}


async def test_a_name_in_another_case_is_not_the_model(server: FakeMlflow, registry: MlflowRegistry) -> None:
    error = await registry.missing("Iris")
    assert (error.reason, error.transient) == (Reason.MODEL_NOT_FOUND, False)
    assert "'iris'" in error.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("flavors: [", "not plain YAML"),
        ("- a", "no flavors"),
        ("flavors: {}", "no flavors"),
        ("flavors: {1: {}}", "no flavors"),
        (f"flavors: {{{', '.join(f'f{number}: {{}}' for number in range(65))}}}", "more than 64"),
        (f"flavors: {{{'f' * 65}: {{}}}}", "more than 64"),
        ("flavors: {a: 2026-99-99}", "not plain YAML"),
        ("[" * 100_000, "not plain YAML"),
        (f"flavors: {{sklearn: {{}}}}\na: [{'a,' * 500_000}]", "not plain YAML"),
        ("flavors: !!python/object/apply:os.system ['true']", "not plain YAML"),
        ("a: &a {x: 1}\nb: {<<: [*a, *a]}\nflavors: {sklearn: {}}", "not plain YAML"),
        ("<b>not a mapping</b>", "no flavors"),
    ],
)
async def test_an_mlmodel_that_is_none(server: FakeMlflow, registry: MlflowRegistry, body: str, says: str) -> None:
    server.handlers["/model-versions/get-artifact"] = text(body)
    reason, message = await reason_of(registry)
    assert reason == Reason.ARTIFACT_NOT_FOUND
    assert says in message


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (MISSING, Reason.ARTIFACT_NOT_FOUND),
        (text("<h1>Not Found</h1>", status=404), Reason.REGISTRY_UNAVAILABLE),
        (text("\n<!DOCTYPE html>\n<title>Sign in</title>"), Reason.REGISTRY_UNAVAILABLE),
        (text("<html>login</html>"), Reason.REGISTRY_UNAVAILABLE),
        (text("<h1>500</h1>", status=500), Reason.REGISTRY_UNAVAILABLE),
        (text("only presigned", status=403), Reason.REGISTRY_REFUSED),
        (text("x" * (2 << 20)), Reason.REGISTRY_UNAVAILABLE),
    ],
)
async def test_an_mlmodel_that_is_not_given(
    server: FakeMlflow, registry: MlflowRegistry, handler: Handler, reason: Reason
) -> None:
    server.handlers["/model-versions/get-artifact"] = handler
    assert (await reason_of(registry))[0] == reason


@pytest.mark.parametrize(("status", "transient"), [("PENDING_REGISTRATION", True), ("FAILED_REGISTRATION", False)])
async def test_a_version_that_is_not_ready(
    server: FakeMlflow, registry: MlflowRegistry, status: str, transient: bool
) -> None:
    server.handlers[api("model-versions/get")] = answer({"model_version": {"status": status}})
    with pytest.raises(RegistryError) as caught:
        await registry.version("iris", 1)
    assert (caught.value.reason, caught.value.transient) == (Reason.ARTIFACT_NOT_FOUND, transient)


async def test_runs_of_mlflow_2_end_at_the_run(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[URI] = answer({"artifact_uri": "runs:/r1/model/sub"})
    server.handlers[api("runs/get")] = answer({"run": {"info": {"artifact_uri": "s3://b/2/r1/artifacts/"}}})
    server.handlers["/get-artifact"] = text(MLMODEL.decode())
    assert (await registry.version("iris", 1)).artifact_uri == "s3://b/2/r1/artifacts/model/sub"
    assert server.requests[-1].query == {"run_id": "r1", "path": "model/sub/MLmodel"}


async def test_runs_of_mlflow_3_end_at_the_newest_logged_model_of_that_name(
    server: FakeMlflow, registry: MlflowRegistry
) -> None:
    outputs = [{"model_id": model} for model in ("m-new", "m-old", "m-other")]
    server.handlers[URI] = answer({"artifact_uri": "runs:/r1/model"})
    server.handlers[api("runs/get")] = answer({"run": {"info": {}, "outputs": {"model_outputs": outputs}}})
    server.handlers[api("logged-models/m-new")] = logged("m-new", "model", 20)
    server.handlers[api("logged-models/m-old")] = logged("m-old", "model", 10)
    server.handlers[api("logged-models/m-other")] = logged("m-other", "other", 30)
    server.handlers["/ajax-api/2.0/mlflow/logged-models/m-new/artifacts/files"] = text(MLMODEL.decode())
    assert (await registry.version("iris", 1)).artifact_uri == "mlflow-artifacts:/1/models/m-new/artifacts"


@pytest.mark.parametrize("reference", ["models:/m-7", "models:///m-7/"])
async def test_logged_models_are_looked_up(server: FakeMlflow, registry: MlflowRegistry, reference: str) -> None:
    server.handlers[URI] = answer({"artifact_uri": reference})
    server.handlers[api("logged-models/m-7")] = logged("m-7", "model")
    server.handlers["/ajax-api/2.0/mlflow/logged-models/m-7/artifacts/files"] = text(MLMODEL.decode())
    assert (await registry.version("iris", 1)).artifact_uri == "mlflow-artifacts:/1/models/m-7/artifacts"


async def test_a_version_of_a_version(server: FakeMlflow, registry: MlflowRegistry) -> None:
    async def chain(request: web.Request) -> web.Response:
        other = request.query["name"] == "m-other"
        return web.json_response({"artifact_uri": "s3://b/x" if other else "models:/m-other/3"})

    server.handlers[URI] = chain
    assert (await registry.version("iris", 1)).artifact_uri == "s3://b/x"
    assert server.requests[-1].query["name"] == "m-other"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("models:/iris/1", "circle"),
        ("models:/iris@champion", "may move"),
        ("models:/iris/Production", "may move"),
        ("runs:/gone/model", "does not exist"),
        ("models:/m-gone", "does not exist"),
        ("", "nothing"),
    ],
)
async def test_references_that_lead_nowhere(server: FakeMlflow, registry: MlflowRegistry, uri: str, says: str) -> None:
    server.handlers[URI] = answer({"artifact_uri": uri})
    server.handlers[api("runs/get")] = server.handlers[api("logged-models/m-gone")] = MISSING
    reason, message = await reason_of(registry)
    assert reason == Reason.ARTIFACT_NOT_FOUND
    assert says in message


async def test_a_long_name_leaves_room_for_the_remedy(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[api("registered-models/get")] = MISSING
    assert "check spec.model.name" in (await registry.missing("n" * 250)).message


async def test_a_listing_is_one_request_with_a_filter(server: FakeMlflow, registry: MlflowRegistry) -> None:
    assert await registry.listing(["iris", "it's"]) == {"iris": {"champion": 1}}
    assert [request.query for request in server.requests] == [
        {"max_results": "1000", "filter": """name IN ('iris', "it's")"""}
    ]


@pytest.mark.parametrize("names", [["back\\slash"], ["both ' and \""], [f"model-{i:05}" for i in range(1000)]])
async def test_a_filter_that_is_long_or_unsafe_is_left_out(
    server: FakeMlflow, registry: MlflowRegistry, names: list[str]
) -> None:
    await registry.listing(names)
    assert [request.query for request in server.requests] == [{"max_results": "1000"}]


async def test_a_refused_filter_is_remembered_until_the_server_is_another(
    server: FakeMlflow, registry: MlflowRegistry
) -> None:
    good = server.handlers[SEARCH]

    async def no_in(request: web.Request) -> web.StreamResponse:
        bad = error(400, "INVALID_PARAMETER_VALUE", "Invalid clause(s) in filter string")
        return await (bad if "filter" in request.query else good)(request)

    server.handlers[SEARCH] = no_in
    for _ in range(2):
        assert await registry.listing(["iris"]) == {"iris": {"champion": 1}}
    assert ["filter" in request.query for request in server.requests] == [True, False, False]
    await registry.server_version()
    await registry.listing(["iris"])
    assert "filter" in server.requests[-2].query


async def test_a_firewall_that_takes_the_filter_for_an_injection_is_asked_without(
    server: FakeMlflow, registry: MlflowRegistry
) -> None:
    good = server.handlers[SEARCH]

    async def firewall(request: web.Request) -> web.StreamResponse:
        return await (text("<h1>Forbidden</h1>", status=403) if "filter" in request.query else good)(request)

    server.handlers[SEARCH] = firewall
    for _ in range(2):
        assert await registry.listing(["iris"]) == {"iris": {"champion": 1}}
    assert ["filter" in request.query for request in server.requests] == [True, False, False]
    # What refuses either does not speak of the filter: it is tried again once somebody lets the operator in.
    server.handlers[SEARCH] = text("<h1>Forbidden</h1>", status=403)
    await registry.server_version()
    with pytest.raises(RegistryError, match="403"):
        await registry.listing(["iris"])
    server.handlers[SEARCH] = good
    await registry.listing(["iris"])
    assert "filter" in server.requests[-1].query


@pytest.mark.parametrize(
    "refused", [error(403, "PERMISSION_DENIED", "Permission denied"), text("Invalid Host header", status=403)]
)
async def test_what_mlflow_itself_forbids_is_asked_once(
    server: FakeMlflow, registry: MlflowRegistry, refused: Handler
) -> None:
    server.handlers[SEARCH] = refused
    with pytest.raises(RegistryError, match="403"):
        await registry.listing(["iris"])
    assert len(server.requests) == 1


async def test_a_page_that_is_too_long_is_asked_for_in_smaller_ones(
    server: FakeMlflow, registry: MlflowRegistry
) -> None:
    """The descriptions and tags of other people's models, by a server that is asked without a filter."""

    async def wordy(request: web.Request) -> web.Response:
        size, start = int(request.query["max_results"]), int(request.query.get("page_token", "0"))
        if size == 1000:
            return web.Response(body=b" " * (17 << 20), content_type="application/json")
        models = [{"name": f"m{i}", "aliases": [{"alias": "a", "version": "1"}]} for i in range(start, start + size)]
        token = str(start + size) if start + size < 300 else ""
        return web.json_response({"registered_models": models, "next_page_token": token})

    server.handlers[SEARCH] = wordy
    names = ["m0", "m250", "no filter\\"]
    assert await registry.listing(names) == {"m0": {"a": 1}, "m250": {"a": 1}}
    assert [request.query["max_results"] for request in server.requests] == ["1000", "100", "100", "100"]
    await registry.listing(names)
    assert [request.query["max_results"] for request in server.requests[4:]] == ["100"] * 3


async def test_a_small_page_that_is_too_long_is_an_error(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[SEARCH] = text(" " * (17 << 20))
    with pytest.raises(RegistryError, match="more than 16384 KiB"):
        await registry.listing(["iris"])
    assert len(server.requests) == 2


async def test_pages_are_followed_until_everything_is_found(server: FakeMlflow, registry: MlflowRegistry) -> None:
    async def pages(request: web.Request) -> web.Response:
        number = int(request.query.get("page_token", "0"))
        models = [{"name": f"m{number}", "aliases": [{"alias": "a", "version": str(number + 1)}]}]
        return web.json_response({"registered_models": models, "next_page_token": str(number + 1)})

    server.handlers[SEARCH] = pages
    assert await registry.listing(["m0", "m2"]) == {"m0": {"a": 1}, "m2": {"a": 3}}
    assert len(server.requests) == 3


async def test_pages_without_an_end_are_an_error(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[SEARCH] = answer({"next_page_token": "same"})
    with pytest.raises(RegistryError, match="without an end"):
        await registry.listing(["iris"])


async def test_nor_are_ever_new_pages_followed_for_ever(
    server: FakeMlflow, registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pages(request: web.Request) -> web.Response:
        return web.json_response({"next_page_token": str(int(request.query.get("page_token", "0")) + 1)})

    monkeypatch.setattr(mlflow, "PAGES", 20)
    server.handlers[SEARCH] = pages
    with pytest.raises(RegistryError, match="without an end") as caught:
        await registry.listing(["iris"])
    assert caught.value.reason == Reason.REGISTRY_UNAVAILABLE
    assert len(server.requests) == 21


async def test_a_listing_of_nothing_is_a_cheap_check(server: FakeMlflow, registry: MlflowRegistry) -> None:
    assert await registry.listing(()) == {}
    assert [request.query for request in server.requests] == [{"max_results": "1"}]


async def test_the_version_of_the_server(server: FakeMlflow, registry: MlflowRegistry) -> None:
    assert await registry.server_version() == "3.17.2"
    server.handlers["/version"] = text("<html>login</html>")
    with pytest.raises(RegistryError, match="/version"):
        await registry.server_version()
