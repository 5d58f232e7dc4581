"""Requests as the API server gets them."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.config_exception import ConfigException

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.cluster.client import Client
from serin.cluster.client import connect
from serin.cluster.limiter import TokenBucket
from serin.controller.app import STUCK_SECONDS
from serin.errors import ClusterError
from serin.errors import SettingsError
from tests.unit.registry.certificate import certificate


class Asked:
    """An API server that says yes, or the ``refusal``, and what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.tokens: list[str | None] = []
        self.refusal: tuple[int, dict[str, str]] | None = None

    async def __call__(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path, dict(request.query)))
        self.tokens.append(request.headers.get("Authorization"))
        if self.refusal is not None:
            status, headers = self.refusal
            return web.json_response({"message": "no"}, status=status, headers=headers)
        return web.json_response({})


@pytest.fixture(autouse=True)
def _nobodys_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients without a certificate authority of their own read the machine's, which takes longer than a test."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest_asyncio.fixture
async def client(asked: Asked) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", asked)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    client = Client(ApiClient(configuration), TokenBucket(100, 100, lambda: 0.0), lambda *_: None, lambda: 0.0)
    yield client
    await client.close()
    await runner.cleanup()


async def test_what_the_cluster_does_not_know_is_to_be_refused_not_dropped(client: Client, asked: Asked) -> None:
    route = "/apis/gateway.networking.k8s.io/v1/namespaces/n/httproutes"
    await client.create(HTTP_ROUTE, "n", {})
    await client.patch(HTTP_ROUTE, "n", "a", {}, version="1")
    await client.scale("n", "a", 2, version="1")
    strict = {"fieldManager": "serin", "fieldValidation": "Strict"}
    assert asked.requests == [
        ("POST", route, strict),
        ("PATCH", f"{route}/a", strict),
        ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a/scale", strict),
    ]


async def test_a_status_may_have_fields_that_an_older_cluster_drops(client: Client, asked: Asked) -> None:
    """Between the upgrades of the operator and of its custom resources it is told without them."""
    await client.apply_status(MODEL_DEPLOYMENT, "n", "a", {}, version="1")
    [(_, _, query)] = asked.requests
    assert query == {"fieldManager": "serin", "force": "true"}


@asynccontextmanager
async def in_pod(
    asked: Asked, tls: ssl.SSLContext, token: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """The client of a pod whose service account has these files, and its API server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", asked)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(runner.addresses[0][1]))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(bundle))
    client = Client(await connect(None), TokenBucket(100, 100, lambda: 0.0), lambda *_: None, lambda: 0.0)
    yield client
    await client.close()
    await runner.cleanup()


async def test_a_ca_that_is_replaced_in_the_pod_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    """The kubelet writes the bundle anew when the CA is rotated; a process that runs would refuse the new server."""
    (tmp_path / "old").mkdir()
    old, _ = certificate(tmp_path / "old", "old")
    new, tls = certificate(tmp_path, "new")
    token, bundle = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("secret")
    bundle.write_text(old)
    async with in_pod(asked, tls, token, bundle, monkeypatch) as client:
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(HTTP_ROUTE, "n", "a")
        bundle.write_text("-----BEGIN CERTIFICATE-----")
        with pytest.raises(ClusterError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(HTTP_ROUTE, "n", "a")
        bundle.write_text(old + new)
        assert await client.get(HTTP_ROUTE, "n", "a") == {}


@pytest_asyncio.fixture
async def pod(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Client, Path]]:
    """The client of a pod, and the file with its token."""
    text, tls = certificate(tmp_path, "old")
    token, bundle = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("first\n")
    bundle.write_text(text)
    async with in_pod(asked, tls, token, bundle, monkeypatch) as client:
        yield client, token


async def test_a_token_that_is_renewed_counts_whatever_the_clock_says(pod: tuple[Client, Path], asked: Asked) -> None:
    client, token = pod
    await client.get(HTTP_ROUTE, "n", "a")
    token.write_text("second")
    await client.get(HTTP_ROUTE, "n", "a")
    token.write_text("")
    await client.get(HTTP_ROUTE, "n", "a")
    token.unlink()
    await client.get(HTTP_ROUTE, "n", "a")
    assert asked.tokens == ["Bearer first", *["Bearer second"] * 3]


async def test_a_token_that_is_refused_is_read_again(pod: tuple[Client, Path], asked: Asked) -> None:
    client, token = pod
    await client.get(HTTP_ROUTE, "n", "a")
    before = token.stat()
    token.write_text("other\n")
    os.utime(token, ns=(before.st_atime_ns, before.st_mtime_ns))
    asked.refusal = 401, {}
    with pytest.raises(ClusterError):
        await client.get(HTTP_ROUTE, "n", "a")
    asked.refusal = None
    await client.get(HTTP_ROUTE, "n", "a")
    assert asked.tokens == ["Bearer first", "Bearer first", "Bearer other"]


@pytest.mark.parametrize("error", [OSError("no space left"), ConfigException("no exec plugin")])
async def test_credentials_that_cannot_be_read_are_an_error_of_the_request(client: Client, error: Exception) -> None:
    def hook(_: Configuration) -> None:
        raise error

    client._api.configuration.api_key["BearerToken"] = "Bearer first"
    client._api.configuration.refresh_api_key_hook = hook
    with pytest.raises(ClusterError, match=f"credentials cannot be read: {error}") as raised:
        await client.get(HTTP_ROUTE, "n", "a")
    assert raised.value.status == 0


@pytest.mark.parametrize(
    ("said", "wait"),
    [("7", 7), ("86400", 120), ("9" * 400, 120), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("²", None)],
)
async def test_nobody_is_told_to_wait_for_hours(client: Client, asked: Asked, said: str, wait: float | None) -> None:
    asked.refusal = 429, {"Retry-After": said}
    with pytest.raises(ClusterError) as raised:
        await client.get(HTTP_ROUTE, "n", "a")
    assert raised.value.retry_after == wait


def test_the_api_server_has_the_time_to_name_the_webhook_that_hangs(client: Client) -> None:
    """It gives up a write after 34 seconds, the longest webhook after 30."""
    assert client._timeout.total is not None
    assert client._timeout.total > 34
    assert client._timeout.total < STUCK_SECONDS / 10


@pytest.mark.parametrize("text", [None, "", "kind: Config", "users: ["], ids=["pod", "empty", "no cluster", "no YAML"])
async def test_who_has_no_cluster_is_told_how_to_name_one(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "kubeconfig"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="set SERIN_KUBECONFIG to a kubeconfig"):
        await connect(None if text is None else str(file))
