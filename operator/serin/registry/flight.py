"""Single flight: many callers, one piece of work under way."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from serin.api.reasons import Reason
from serin.errors import RegistryError

T = TypeVar("T")


async def join(flight: asyncio.Task[T]) -> T:
    """The outcome of a task that others wait for, too: a waiter that is cancelled does not take it along.

    Raises RegistryError where the task itself was cancelled, because its registry is no longer in use.
    """
    await asyncio.wait({flight})
    if flight.cancelled():
        message = "The ModelRegistry was changed or removed while it was being asked: asking again."
        raise RegistryError(Reason.REGISTRY_UNAVAILABLE, message, transient=True)
    return flight.result()
