"""An event loop in a thread of its own, for what is played while a test waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any
from typing import TypeVar

T = TypeVar("T")

CALL_SECONDS = 60.0


class Backstage:
    """Runs coroutines in the background; ``run`` waits for one of them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="backstage", daemon=True)

    def __enter__(self) -> Backstage:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end in the background's loop, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)
