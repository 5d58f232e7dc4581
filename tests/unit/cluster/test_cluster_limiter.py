"""The token bucket: a burst at once, then so many a second, in order."""

from __future__ import annotations

import asyncio

import pytest

from serin.cluster.limiter import TokenBucket
from tests.unit.controller.virtual import VirtualTime


@pytest.fixture
def event_loop_policy() -> VirtualTime:
    return VirtualTime()


async def taken(bucket: TokenBucket, count: int) -> list[float]:
    """Seconds after which each of so many requests at once may go."""
    loop = asyncio.get_running_loop()
    began, order = loop.time(), []

    async def one(number: int) -> float:
        await bucket.take()
        order.append(number)
        return round(loop.time() - began, 6)

    moments = await asyncio.gather(*(one(number) for number in range(count)))
    assert order == sorted(order), "the first one waits the longest"
    return moments


async def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(10, 3, asyncio.get_running_loop().time)
    assert await taken(bucket, 6) == [0, 0, 0, 0.1, 0.2, 0.3]


async def test_a_pause_fills_it_up_to_the_burst() -> None:
    bucket = TokenBucket(10, 3, asyncio.get_running_loop().time)
    await taken(bucket, 3)
    await asyncio.sleep(0.2)
    assert await taken(bucket, 3) == [0, 0, 0.1]
    await asyncio.sleep(3600)
    assert await taken(bucket, 4) == [0, 0, 0, 0.1]
