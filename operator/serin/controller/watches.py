"""kopf, kept running, and what its watches are like.

kopf ends as a whole when one answer to one watch is not what it expects: 404 for a kind that is just being removed, an
error in the middle of a stream (kopf 1.45 watching.py continuous_watch, orchestration.py orchestrator). Then watching
begins anew, while everything else goes on. It also begins anew when a kind appears that was not there: kopf's own way,
a scan for each event of a CRD, lets an old scan win over a newer one, and misses a kind that discovery shows late
(observation.py process_discovered_resource_event), so it is switched off.

What kopf asks goes through a session of ours, which shows what kopf itself does not tell: that a kind is listed, so
that readiness can say so, and that deletions before, which no list shows, are looked for.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
from collections.abc import Awaitable
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Coroutine
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import kopf
import structlog
from kopf._cogs.clients.errors import APIError
from kopf._cogs.clients.watching import WatchingError
from kopf._cogs.structs.references import Insights

from serin.api.kinds import Kind
from serin.controller.handlers import NoMemories

log = structlog.get_logger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
# Watches that held so long were well: what broke them is something new.
WELL_SECONDS = 60.0
# How often it is asked for kinds that are not there.
APPEARS_SECONDS = 5.0
# What an API server, or a proxy before it, may answer: a line that ends within, too (ValueError, of which there is also
# one for a Retry-After that is a date), what is nested too deep, or JSON of another form, in which kopf looks for what
# is not there. Anything else is a bug, and ends the process.
NO_EVENT = (ValueError, RecursionError, KeyError, TypeError, AttributeError)
BROKEN = (APIError, WatchingError, kopf.LoginError, aiohttp.ClientError, OSError, *NO_EVENT)
RETRIES = (1.0, 1.0, 2.0, 3.0, 5.0)
OK = 200
# How the names of kopf's tasks begin of which each watches one kind (orchestration.py spawn_missing_watchers).
WATCHER = "watcher for "


class Backoffs:
    """Seconds between kopf's tries of a request, without end: by default it gives up, and ends, after a minute."""

    def __iter__(self) -> Iterator[float]:
        """A new round for each request."""
        return itertools.chain(RETRIES, itertools.repeat(RETRIES[-1]))


class Everything(Collection[Any]):
    """At its end kopf cancels every task that began after it and is not in a collection: the polls of the registries,
    too (running.py run_tasks). It is to cancel what it holds itself, and nothing else."""

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Watches:
    """Watches of these kinds, for as long as the operator runs.

    ``connect`` gives the API server's address and a session with a trace, ``served`` tells whether the cluster has a
    kind, ``missed`` is called when something may have been deleted unseen.
    """

    def __init__(
        self,
        kinds: Collection[Kind],
        connect: Callable[[aiohttp.TraceConfig], Awaitable[tuple[str, aiohttp.ClientSession]]],
        served: Callable[[Kind], Awaitable[bool]],
        missed: Callable[[], None],
    ) -> None:
        self.ready = asyncio.Event()
        """Set while all kinds that the cluster has were listed, and are watched."""
        self._kinds = {kind.path(None): kind for kind in kinds}
        self._connect = connect
        self._served = served
        self._missed = missed
        self._prefix = ""
        """Of the paths, by the API server's address."""
        self._listed: set[Kind] = set()
        """Listed since watching began anew."""
        self._news = asyncio.Event()

    async def login(self) -> kopf.AiohttpSession:
        """The session that kopf asks through."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        server, session = await self._connect(trace)
        # Some have many clusters under one name: Rancher each under /k8s/clusters/.
        self._prefix = urlsplit(server).path.rstrip("/")
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    async def _answered(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        kind = self._kinds.get(end.url.path.removeprefix(self._prefix))
        if kind is None or "watch" in end.url.query or "continue" in end.url.query or end.response.status != OK:
            return
        # With the first list, too: what was deleted since the caches were filled is in neither.
        self._missed()
        self._listed.add(kind)
        self._news.set()

    async def run(self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, stop: asyncio.Event) -> None:
        """Watch until ``stop`` is set."""
        loop = asyncio.get_running_loop()
        settings.networking.error_backoffs = Backoffs()
        settings.scanning.disabled = True
        # After this long kopf kills the process, however it ended: it may have begun anew since (running.py
        # ultimate_termination).
        settings.process.ultimate_exiting_timeout = None
        delay = FIRST_DELAY
        while not stop.is_set():
            began = loop.time()
            try:
                await self._once(registry, settings, stop)
                delay = FIRST_DELAY
            except BROKEN as error:
                if loop.time() - began > WELL_SECONDS:
                    delay = FIRST_DELAY
                log.warning("watching broke and begins anew", error=repr(error), again_in=delay)
                await unless(stop, asyncio.sleep(delay))
                delay = min(2 * delay, LONGEST_DELAY)
            finally:
                self.ready.clear()

    async def _once(
        self, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, stop: asyncio.Event
    ) -> None:
        """Until it breaks, a kind appears, or it is to stop."""
        self._listed.clear()
        insights, over = Insights(), asyncio.Event()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            memories=NoMemories(),
            insights=insights,
            clusterwide=True,
            stop_flag=over,
            # By default the name of the user, looked up in /etc/passwd, which knows no user of a pod's own number:
            # KeyError at the start (kopf peering.py, detect_own_id).
            identity=socket.gethostname(),  # type: ignore[arg-type]
        )
        # Ours again: kopf's, which it has just set, would talk to nobody when it has ended.
        keep_signals(stop)
        looking = asyncio.create_task(self._look(insights, stop))
        looking.add_done_callback(lambda _: over.set())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await _end_watchers()
        finally:
            looking.cancel()
            over.set()
            await kopf.run_tasks(tasks, ignored=Everything())

    async def _look(self, insights: Insights, stop: asyncio.Event) -> None:
        """Tell when all is listed; ends when a kind is there that is not watched, or with ``stop``."""
        await unless(stop, insights.ready_resources.wait())
        watched = {(one.group, one.version, one.plural) for one in insights.watched_resources}
        kinds = {kind for kind in self._kinds.values() if (kind.group, kind.version, kind.plural) in watched}
        absent = set(self._kinds.values()) - kinds
        while not stop.is_set():
            if kinds <= self._listed:
                self.ready.set()
            self._news.clear()
            try:
                async with asyncio.timeout(APPEARS_SECONDS if absent else None):
                    await unless(stop, self._news.wait())
            except TimeoutError:
                for kind in absent:
                    if await self._served(kind):
                        log.info("a kind appeared: watching begins anew", kind=kind.kind)
                        return


async def _end_watchers() -> None:
    """End what kopf leaves when one watcher failed: the others, which would go on beside the new ones. Now, for they
    cannot end any more when their session is closed."""
    left = {task for task in asyncio.all_tasks() if task.get_name().startswith(WATCHER)}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do the work to its end, unless ``stop`` is set before. Whether it was done."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        stopping.cancel()
        working.cancel()


def keep_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set ``stop``."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
