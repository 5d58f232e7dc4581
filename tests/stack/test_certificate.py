"""The webhook certificate is kept while it is good, and only then."""

import base64
import datetime
from typing import Any

import pytest

from e2e.stack import certificate

HOST = "webhook.kserve.svc"
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(name="secret")
def _secret() -> dict[str, Any]:
    return certificate.ensure(None, HOST, NOW).secret("cert", "kserve")


def test_a_good_certificate_is_kept(secret: dict[str, Any]) -> None:
    assert certificate.ensure(secret, HOST, NOW + 300 * DAY).secret("cert", "kserve") == secret


@pytest.mark.parametrize("later", [340 * DAY, 400 * DAY], ids=["nearly over", "over"])
def test_an_old_certificate_is_replaced(secret: dict[str, Any], later: datetime.timedelta) -> None:
    assert certificate.ensure(secret, HOST, NOW + later).certificate != _decoded(secret, "tls.crt")


def test_a_certificate_for_another_host_is_replaced(secret: dict[str, Any]) -> None:
    assert certificate.ensure(secret, "other.kserve.svc", NOW).certificate != _decoded(secret, "tls.crt")


@pytest.mark.parametrize("key", ["ca.crt", "tls.crt", "tls.key"])
@pytest.mark.parametrize("damage", ["missing", "not base64", "not PEM", "of another pair"])
def test_a_damaged_secret_is_replaced(secret: dict[str, Any], key: str, damage: str) -> None:
    before = _decoded(secret, "tls.crt")
    if damage == "missing":
        del secret["data"][key]
    elif damage == "of another pair":
        secret["data"][key] = certificate.ensure(None, HOST, NOW).secret("cert", "kserve")["data"][key]
    else:
        secret["data"][key] = {"not base64": "§", "not PEM": base64.b64encode(b"nonsense").decode()}[damage]
    assert certificate.ensure(secret, HOST, NOW).certificate != before


def _decoded(secret: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(secret["data"][key])
