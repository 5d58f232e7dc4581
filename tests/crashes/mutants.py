"""Operators with a fault of their own, to see that the runs find it: each function spoils the operator it is called in.

Two of them are faults that the runs have found.
"""

from __future__ import annotations

import os
from typing import Any

from serin.cluster import events
from serin.controller.reconcile import Reconciler


def tells_twice() -> None:
    """Every event is recorded by each process anew."""
    record = events.record

    async def twice(*arguments: Any, **said: Any) -> None:
        await record(*arguments, **said)
        await record(*arguments, **{**said, "occasion": f"{said['occasion']} {os.getpid()}"})

    events.record = twice


def deletes_before_it_tells() -> None:
    """What may go goes before the status says why."""
    tell, clear = Reconciler._tell, Reconciler._clear

    async def first_clear(self: Any, key: Any, gathered: Any, decision: Any, now: Any) -> bool:
        if decision.plan is not None:
            await clear(self, key, gathered, decision, decision.plan, fresh=True, told=True)
        return await tell(self, key, gathered, decision, now)

    Reconciler._tell = first_clear  # type: ignore[method-assign]


def trusts_its_cache() -> None:
    """Nothing is read live before something is deleted."""

    async def stays(self: Any, key: Any, uid: str) -> None:
        """The cache is right."""

    Reconciler._refresh = stays  # type: ignore[method-assign]
