"""Where metrics and probes are answered."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from serin.controller.http import serve
from serin.settings import Settings

IPV4, IPV6 = "127.0.0.1", "::1"


def there(address: str) -> bool:
    """Whether this machine has the address. Some have no IPv6."""
    try:
        with socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET):
            return True
    except OSError:
        return False


async def answering(host: str | None) -> set[str]:
    """The addresses on which the probes are answered."""
    runner, port = await serve(host, 0, CollectorRegistry(), lambda: True, lambda: True)
    try:
        return {address for address in (IPV4, IPV6) if await _answers(address, port)}
    finally:
        await runner.cleanup()


async def _answers(address: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return b" 200 OK" in answer.splitlines()[0]


async def test_by_default_on_every_address_of_either_family() -> None:
    """The first address of a pod, by which it is probed, is one of IPv6 in some clusters."""
    assert await answering(Settings().http_host) == {address for address in (IPV4, IPV6) if there(address)}


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "turned off"])
async def test_without_ipv6_on_every_address_of_ipv4(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def off(address: Any, **options: Any) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return create(address, **options)

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: known)
    monkeypatch.setattr(socket, "create_server", off)
    assert await answering(None) == {IPV4}


async def test_a_port_that_is_taken_is_no_lack_of_ipv6() -> None:
    runner, port = await serve(None, 0, CollectorRegistry(), lambda: True, lambda: True)
    try:
        with pytest.raises(OSError, match="in use"):
            await serve(None, port, CollectorRegistry(), lambda: True, lambda: True)
    finally:
        await runner.cleanup()


async def test_on_one_address_where_it_is_named() -> None:
    assert await answering(IPV4) == {IPV4}
