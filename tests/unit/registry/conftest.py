from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.unit.registry.fake import FakeMlflow


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeMlflow]:
    fake = FakeMlflow()
    await fake.start()
    yield fake
    await fake.stop()
