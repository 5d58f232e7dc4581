"""kopf, kept running: what ends its watches is told, and they begin anew, while everything else goes on.

kopf ends as a whole when one answer to one watch is not what it expects: 404 for a kind that discovery shows before it
is served, or that is being removed; an error in the middle of a stream (kopf 1.45 watching.py continuous_watch,
orchestration.py orchestrator). Somebody who installs the Gateway API beside Serin meets the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

import aiohttp
import kopf
import structlog
from kopf._cogs.clients.errors import APIError
from kopf._cogs.clients.watching import WatchingError

from serin.controller.handlers import NoMemories

log = structlog.get_logger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
# Watches that held so long were well: what broke them is something new.
WELL_SECONDS = 60.0
# What an API server may answer. Anything else is a bug, and ends the process.
BROKEN = (APIError, WatchingError, kopf.LoginError, aiohttp.ClientError, OSError)
RETRIES = (1.0, 1.0, 2.0, 3.0, 5.0)


class Backoffs:
    """Seconds between kopf's tries of a request, without end: by default it gives up, and ends, after a minute."""

    def __iter__(self) -> Iterator[float]:
        """A new round for each request."""
        return itertools.chain(RETRIES, itertools.repeat(RETRIES[-1]))


class _Everything(Collection[Any]):
    """At its end kopf cancels what began after it and is not in a collection: the registries' polls, too
    (kopf running.py run_tasks). It is to cancel what it made itself, and nothing else."""

    def __contains__(self, item: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


async def watch(
    registry: kopf.OperatorRegistry,
    settings: kopf.OperatorSettings,
    ready: asyncio.Event,
    broke: Callable[[], None],
) -> None:
    """Watch until SIGTERM or SIGINT. ``ready`` is set while watches run; ``broke`` is called when they begin anew,
    for what was deleted meanwhile no list shows."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    settings.networking.error_backoffs = Backoffs()
    # After this long kopf kills the process, however it ended: it may have begun anew since (running.py
    # ultimate_termination).
    settings.process.ultimate_exiting_timeout = None
    delay = FIRST_DELAY
    while not stop.is_set():
        began = loop.time()
        try:
            await _once(registry, settings, ready, stop)
        except BROKEN as error:
            if loop.time() - began > WELL_SECONDS:
                delay = FIRST_DELAY
            log.warning("watching broke and begins anew", error=repr(error), again_in=delay)
        else:
            return
        finally:
            ready.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay)
        delay = min(2 * delay, LONGEST_DELAY)
        broke()


async def _once(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, ready: asyncio.Event, stop: asyncio.Event
) -> None:
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        memories=NoMemories(),
        clusterwide=True,
        ready_flag=ready,
        stop_flag=stop,
        # By default the name of the user, looked up in /etc/passwd, which knows no user of a pod's own number:
        # KeyError at the start (kopf peering.py, detect_own_id).
        identity=socket.gethostname(),  # type: ignore[arg-type]
    )
    # kopf's own handlers, which it has set just now, would talk to nobody when it has ended.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await kopf.run_tasks(tasks, ignored=_Everything())
