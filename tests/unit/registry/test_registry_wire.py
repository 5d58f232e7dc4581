"""What a registry may answer, over real HTTP: every trap becomes a reason and one or two sentences."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.mlflow import MlflowRegistry
from tests.unit.registry.fake import FakeMlflow
from tests.unit.registry.fake import Handler
from tests.unit.registry.fake import answer
from tests.unit.registry.fake import api
from tests.unit.registry.fake import drip
from tests.unit.registry.fake import error
from tests.unit.registry.fake import never
from tests.unit.registry.fake import text

SEARCH = api("registered-models/search")
SECRET = "s3cr3t-canary/token"
HOST_CHECK = "Invalid Host header - possible DNS rebinding attack detected"


@pytest_asyncio.fixture
async def registry(server: FakeMlflow) -> AsyncIterator[MlflowRegistry]:
    registry = MlflowRegistry(RegistryConfig(server.url, Credentials(token=SECRET), timeout=10))
    yield registry
    registry.close()


async def refused(registry: MlflowRegistry, *names: str) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        await registry.listing(names)
    assert len(caught.value.message) <= 300
    assert "Traceback" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("handler", "reason", "says", "transient"),
    [
        (text("<h1>oops</h1>", status=500, content_type="text/html"), Reason.REGISTRY_UNAVAILABLE, "500", True),
        (text("<h1>bad gateway</h1>", status=502), Reason.REGISTRY_UNAVAILABLE, "502", True),
        (error(429, "REQUEST_LIMIT_EXCEEDED", "slow down"), Reason.REGISTRY_UNAVAILABLE, "429", True),
        (text(HOST_CHECK, status=403), Reason.REGISTRY_REFUSED, "--allowed-hosts", False),
        (error(403, "PERMISSION_DENIED", "Permission denied"), Reason.REGISTRY_REFUSED, "READ permission", False),
        (text("You are not authenticated", status=401), Reason.REGISTRY_REFUSED, "auth.secretName", False),
        (text("<html>login</html>", content_type="text/html"), Reason.REGISTRY_UNAVAILABLE, "login page", True),
        (text(""), Reason.REGISTRY_UNAVAILABLE, "not MLflow's API", True),
        (text("[1, 2]"), Reason.REGISTRY_UNAVAILABLE, "not MLflow's API", True),
        (answer({"registered_models": [{"name": 7}]}), Reason.REGISTRY_UNAVAILABLE, "not MLflow's API", True),
        (text("x", status=404), Reason.REGISTRY_UNAVAILABLE, "check url", True),
        (
            error(400, "BAD", "first line\nTraceback (most recent call last)"),
            Reason.REGISTRY_UNAVAILABLE,
            "first",
            True,
        ),
        (
            text("", status=302, headers={"Location": "https://u:p@sso/in?code=1"}),
            Reason.REGISTRY_UNAVAILABLE,
            "https://sso/in (",
            True,
        ),
        (
            text("", status=302, headers={"Location": "http://[bad/"}),
            Reason.REGISTRY_UNAVAILABLE,
            "a redirect to what is no URL",
            True,
        ),
    ],
)
async def test_each_refusal_has_its_reason_and_remedy(
    server: FakeMlflow, registry: MlflowRegistry, handler: Handler, reason: Reason, says: str, transient: bool
) -> None:
    server.handlers[SEARCH] = handler
    caught = await refused(registry)
    assert (caught.reason, caught.transient) == (reason, transient)
    assert says in caught.message
    assert server.url.removeprefix("http://") in caught.message


async def test_an_address_without_a_login_is_told_to_set_one(server: FakeMlflow) -> None:
    registry = MlflowRegistry(RegistryConfig(server.url, timeout=10))
    server.handlers[SEARCH] = text("no", status=401)
    assert "set auth.secretName" in (await refused(registry)).message
    registry.close()


async def test_a_redirect_is_not_followed(server: FakeMlflow, registry: MlflowRegistry) -> None:
    server.handlers[SEARCH] = text("", status=307, headers={"Location": "/elsewhere"})
    await refused(registry)
    assert server.paths() == [SEARCH]


@pytest.mark.parametrize("handler", [never, drip])
async def test_a_slow_answer_ends_at_the_deadline(server: FakeMlflow, handler: Handler) -> None:
    registry = MlflowRegistry(RegistryConfig(server.url, timeout=0.1))
    server.handlers[SEARCH] = handler
    started = time.monotonic()
    caught = await refused(registry)
    assert time.monotonic() - started < 5
    assert (caught.reason, caught.transient) == (Reason.REGISTRY_UNAVAILABLE, True)
    assert "did not answer within 0.1 s" in caught.message
    registry.close()


async def test_a_hanging_registry_does_not_starve_another(server: FakeMlflow) -> None:
    stuck = FakeMlflow()
    await stuck.start()
    stuck.handlers[SEARCH] = never
    hanging = MlflowRegistry(RegistryConfig(stuck.url, timeout=20))
    other = MlflowRegistry(RegistryConfig(server.url, timeout=10))
    waiting = [asyncio.create_task(hanging.listing(["iris"])) for _ in range(40)]
    async with asyncio.timeout(15):
        while not stuck.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await other.listing(["iris"]) == {"iris": {"champion": 1}}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hanging.close()
    other.close()
    await stuck.stop()


async def test_a_poll_waits_behind_nothing_else(server: FakeMlflow, registry: MlflowRegistry) -> None:
    """The wait would count as the server's, and its registry as down."""
    server.handlers[api("registered-models/get")] = never
    waiting = [asyncio.create_task(registry.missing(f"m{number}")) for number in range(40)]
    async with asyncio.timeout(5):
        while not server.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await registry.listing(["iris"]) == {"iris": {"champion": 1}}
        assert await registry.server_version() == "3.17.2"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_refused_connection_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        registry = MlflowRegistry(RegistryConfig(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=30))
        started = time.monotonic()
        assert "refused the connection" in (await refused(registry)).message
        assert time.monotonic() - started < 5
        registry.close()


async def test_a_name_without_an_address() -> None:
    registry = MlflowRegistry(RegistryConfig("http://mlflow.invalid:5000", timeout=5))
    caught = await refused(registry)
    assert caught.reason == Reason.REGISTRY_UNAVAILABLE
    assert caught.message.startswith("MLflow at mlflow.invalid:5000 ")
    registry.close()


async def test_plain_http_where_tls_is_expected(server: FakeMlflow) -> None:
    registry = MlflowRegistry(RegistryConfig(server.url.replace("http:", "https:"), timeout=2))
    assert "check the scheme and port of url" in (await refused(registry)).message
    registry.close()


async def test_an_answer_without_an_end_is_cut_off(server: FakeMlflow, registry: MlflowRegistry) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 20))

    server.handlers[SEARCH] = endless
    assert "KiB" in (await refused(registry)).message


async def test_the_secret_is_in_no_message_and_no_repr(server: FakeMlflow) -> None:
    login = Credentials(username="canary-user", password="p4ss/w0rd canary")
    config = RegistryConfig(server.url, login, ca_pem=None, timeout=10)
    registry = MlflowRegistry(config)
    echoes: list[str] = []

    async def echo(request: web.Request) -> web.Response:
        echoes.append(request.headers["Authorization"])
        return web.json_response(
            {
                "error_code": "BAD",
                "message": f"{request.headers['Authorization']} p4ss/w0rd canary p4ss%2Fw0rd%20canary",
            },
            status=400,
        )

    server.handlers[SEARCH] = echo
    caught = await refused(registry)
    encoded = echoes[0].removeprefix("Basic ")
    for text_of_it in (caught.message, repr(caught), repr(config), str(config), repr(login)):
        assert "p4ss" not in text_of_it
        assert encoded not in text_of_it
    registry.close()


async def test_each_registry_has_its_own_login_and_no_cookies(
    server: FakeMlflow, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password stranger\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "stranger")
    first = MlflowRegistry(RegistryConfig(server.url, Credentials(token="first"), timeout=10))
    second = MlflowRegistry(RegistryConfig(server.url, timeout=10))
    server.handlers[SEARCH] = text("{}", headers={"Set-Cookie": "session=first"})
    await first.listing(())
    await second.listing(())
    assert [request.headers.get("Authorization") for request in server.requests] == ["Bearer first", None]
    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]
    first.close()
    second.close()


async def test_a_kept_alive_connection_that_died_is_no_failure(server: FakeMlflow, registry: MlflowRegistry) -> None:
    good = server.handlers[SEARCH]

    async def drop_once(request: web.Request) -> web.StreamResponse:
        server.handlers[SEARCH] = good
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.handlers[SEARCH] = drop_once
    assert await registry.listing(["iris"]) == {"iris": {"champion": 1}}
    assert server.paths() == [SEARCH, SEARCH]


async def test_a_closed_registry_says_so(registry: MlflowRegistry) -> None:
    registry.close()
    caught = await refused(registry)
    assert (caught.reason, caught.transient) == (Reason.REGISTRY_UNAVAILABLE, True)


async def test_a_registry_that_is_closed_under_an_answer_says_so(server: FakeMlflow, registry: MlflowRegistry) -> None:
    """Its Secret was rotated, say, while the MLmodel file was on its way."""
    good = server.handlers["/model-versions/get-artifact"]

    async def meanwhile(request: web.Request) -> web.StreamResponse:
        registry.close()
        return await good(request)

    server.handlers["/model-versions/get-artifact"] = meanwhile
    with pytest.raises(RegistryError) as caught:
        await registry.version("iris", 1)
    assert (caught.value.reason, caught.value.transient) == (Reason.REGISTRY_UNAVAILABLE, True)


async def test_a_process_that_may_start_no_thread_says_so(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cgroup has a limit of processes."""

    def cannot(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    caught = await refused(registry)
    assert (caught.reason, caught.transient) == (Reason.REGISTRY_UNAVAILABLE, True)
    assert "can't start new thread" in caught.message
