"""An event loop whose time passes only when nothing else is left to do: an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    """Instead of waiting it lets the time pass."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout:
            self.passed += timeout
        return events


class VirtualTime(asyncio.DefaultEventLoopPolicy):
    """Loops with a time of their own. For the fixture ``event_loop_policy`` of pytest-asyncio."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        selector = _Selector()
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: 1000.0 + selector.passed  # type: ignore[method-assign]
        return loop
