"""Logins and certificates: what is accepted, and that a bad one is told without being quoted."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import Credentials
from serin.registry.config import RegistryConfig
from serin.registry.mlflow import MlflowRegistry
from tests.unit.registry.certificate import certificate


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"token": b"abc\n"}, Credentials(token="abc")),
        ({"username": b"ann\r\n", "password": b"p w\n"}, Credentials(username="ann", password="p w")),
        ({"username": "анна".encode(), "password": "пароль".encode(), "more": b"x"}, Credentials("анна", "пароль")),
    ],
)
def test_secrets_are_read(data: dict[str, bytes], expected: Credentials) -> None:
    assert Credentials.from_secret("login", data) == expected


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"username": b"ann"},
        {"password": b"canary"},
        {"token": b"canary", "username": b"ann", "password": b"canary"},
        {"token": b"canary", "username": b"ann"},
        {"token": b"\n"},
        {"token": b"canary\r\nX-Injected: 1"},
        {"token": "canary-ключ".encode()},
        {"token": b"\xff\xfe"},
        {"username": b"", "password": b"canary"},
    ],
)
def test_secrets_that_cannot_be_used_are_named_and_not_quoted(data: dict[str, bytes]) -> None:
    with pytest.raises(RegistryError, match="'login'") as caught:
        Credentials.from_secret("login", data)
    assert (caught.value.reason, caught.value.transient) == (Reason.INVALID_SECRET, False)
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_is_none(pem: str) -> None:
    with pytest.raises(RegistryError, match=r"ca\.crt") as caught:
        RegistryConfig("https://mlflow", ca_pem=pem)
    assert caught.value.reason == Reason.INVALID_SECRET


async def test_a_certificate_is_checked_by_the_ca_of_its_own_registry(tmp_path: Path) -> None:
    pem, context = certificate(tmp_path)
    app = web.Application()

    async def models(_: web.Request) -> web.Response:
        return web.json_response({})

    app.router.add_get("/prefix/api/2.0/mlflow/registered-models/search", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/prefix/"
    trusting = MlflowRegistry(RegistryConfig(url, ca_pem=pem, timeout=10))
    stranger = MlflowRegistry(RegistryConfig(url, timeout=10))
    assert await trusting.listing(()) == {}
    with pytest.raises(RegistryError, match=r"tls\.caSecretName"):
        await stranger.listing(())
    trusting.close()
    stranger.close()
    await runner.cleanup()
