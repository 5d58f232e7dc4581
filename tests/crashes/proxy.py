"""Stands between one operator and the API server: confines it to one namespace, counts its writes, and does the fault.

Confined: what the operator lists and watches in the whole cluster is answered from its namespace alone, by another path
of the same request, so that several operators share one control plane and know nothing of each other. Everything
else goes through as it is, byte by byte, watches as streams.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field

import aiohttp
from aiohttp import web

from serin.api import kinds
from serin.api.kinds import Kind
from tests.crashes import wire
from tests.crashes.faults import CLEAN
from tests.crashes.faults import EXPIRED
from tests.crashes.faults import KILLS
from tests.crashes.faults import Deed
from tests.crashes.faults import Fault

# Collections of all namespaces.
COLLECTIONS = {kind.path(None): kind for kind in vars(kinds).values() if isinstance(kind, Kind) and kind.namespaced}
EVENTS_BEFORE_END = 2
LAG_SECONDS = 1.0
# The watch of what is declared catches up last: children that are newer than their parent look like too many.
PARENT_LAG_SECONDS = 0.5
RECONNECTING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Write:
    """One write that the operator sent."""

    method: str
    path: str
    code: int
    """The server's answer, whether the operator had it or not; 0 where the server never saw the request."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.code or 'not forwarded'})"


Moment = Callable[[list[Write]], bool]
"""Whether, after these writes, the next is the one that the fault is for."""


def numbered(number: int) -> Moment:
    """The write of that number, from 1; none for 0."""
    return lambda writes: len(writes) + 1 == number


def after_a_deletion(writes: list[Write]) -> bool:
    """The first write after one that deleted something."""
    return bool(writes) and (writes[-1].method, writes[-1].code) == ("DELETE", 200)


@dataclass
class Upstream:
    """The API server as the operator's user sees it, with what never changes of it."""

    url: str
    session: aiohttp.ClientSession
    discovery: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class Proxy:
    """One operator's way to the API server. ``kill`` ends that operator and returns when it is dead."""

    def __init__(self, upstream: Upstream, namespace: str, kill: Callable[[], Awaitable[None]]) -> None:
        self.writes: list[Write] = []
        """Since the fault was armed."""
        self.unanswered: Write | None = None
        """The one whose answer was lost while the operator lived."""
        self.done = asyncio.Event()
        """Set once the fault has happened."""
        self.touched = 0.0
        """Loop time of the last write."""
        self._upstream = upstream
        self._namespace = namespace
        self._kill = kill
        self._fault = CLEAN
        self._moment = numbered(0)
        self._reads: Counter[str] = Counter()
        self._writes_of: Counter[str] = Counter()
        self._old: dict[str, bytes] = {}
        self._lags_until = 0.0
        self._armed_at = 0.0
        self._server = web.Server(self._handle, handler_cancellation=True)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=0.0)

    async def start(self) -> str:
        """Listen; gives the URL for the operator."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Listen no longer."""
        await self._runner.cleanup()

    def arm(self, fault: Fault, moment: Moment) -> None:
        """From now on writes count, and the fault happens; ``moment`` chooses the write it is for."""
        self._fault, self._moment = fault, moment
        self.writes.clear()
        self._armed_at = asyncio.get_running_loop().time()
        if fault.watch:
            self.hang_up()

    def hang_up(self) -> None:
        """End every connection of the operator, with what it has sent and nobody has read yet."""
        for connection in self._server.connections:
            connection.force_close()

    async def remember(self, lists: list[str]) -> None:
        """Keep these lists as they are now, to be shown as stale ones later."""
        for target in lists:
            async with self._upstream.session.get(self._upstream.url + self._confined(target)) as answer:
                self._old[target.partition("?")[0]] = await answer.read()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return await self._read(request)
        body = await request.read()
        if request.path.startswith(kinds.MODEL_REGISTRY.path(self._namespace)):
            # Of a poll, whenever that comes: no write of the workload's.
            status, headers, raw = await self._forward(request, body)
            return web.Response(status=status, headers=headers, body=raw)
        return await self._write(request, body)

    async def _write(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        deed = self._deed_for(request)
        path = request.path.replace(self._namespace, "NS")
        self.touched = asyncio.get_running_loop().time()
        if deed in (Deed.KILL_BEFORE, Deed.CUT, Deed.REFUSE):
            self.writes.append(Write(request.method, path, 0))
            return await self._undone(deed, request)
        place = len(self.writes)
        self.writes.append(Write(request.method, path, 0))
        status, headers, raw = await self._forward(request, body)
        if place < len(self.writes):
            self.writes[place] = Write(request.method, path, status)
        if deed is Deed.UNANSWERED:
            self.unanswered = self.writes[place]
        answer = web.Response(status=status, headers=headers, body=raw)
        if deed is Deed.KILL_AFTER:
            await answer.prepare(request)
            await answer.write_eof()
        if deed in KILLS:
            await self._end()
        if deed is not Deed.PASS:
            self._cut(request)
        return answer

    def _deed_for(self, request: web.BaseRequest) -> Deed:
        fault = self._fault
        if fault.write is Deed.PASS:
            return Deed.PASS
        if fault.often:
            what = f"{request.method} {request.path}"
            self._writes_of[what] += 1
            return fault.write if self._writes_of[what] % 2 else Deed.PASS
        if not self.done.is_set() and self._moment(self.writes):
            return fault.write
        return Deed.PASS

    async def _undone(self, deed: Deed, request: web.BaseRequest) -> web.StreamResponse:
        if deed is Deed.REFUSE:
            assert self._fault.refusal is not None
            self.done.set()
            return wire.refuse(self._fault.refusal)
        if deed is Deed.KILL_BEFORE:
            await self._end()
        self._cut(request)
        return web.Response()

    async def _end(self) -> None:
        self.done.set()
        if self._fault.stale:
            self._lags_until = asyncio.get_running_loop().time() + 3600
        # A task of its own: the operator's end ends this request, too.
        self._ending = asyncio.create_task(self._ended())
        await asyncio.shield(self._ending)

    async def _ended(self) -> None:
        await self._kill()
        self.hang_up()

    def _cut(self, request: web.BaseRequest) -> None:
        self.done.set()
        if request.transport is not None:
            request.transport.abort()

    async def _read(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._read_fails(request):
            self.done.set()
            if self._fault.refusal is not None:
                return wire.refuse(self._fault.refusal)
            self._cut(request)
            return web.Response()
        if request.query.get("watch") == "true":
            return await self._watch(request)
        if self._lagging and request.path in self._old:
            if self._lags_until > asyncio.get_running_loop().time() + LAG_SECONDS:
                # It begins with the first list that the new operator reads.
                self._lags_until = asyncio.get_running_loop().time() + LAG_SECONDS
            return web.Response(body=self._old[request.path], content_type="application/json")
        if wire.is_discovery(request.path):
            return await self._discovery(request)
        status, headers, raw = await self._forward(request, b"")
        return web.Response(status=status, headers=headers, body=raw)

    def _read_fails(self, request: web.BaseRequest) -> bool:
        expires = self._fault.refusal is EXPIRED
        if self._fault.read is Deed.PASS or (expires and request.query.get("watch") != "true"):
            return False
        self._reads[request.path] += 1
        return self._reads[request.path] == 1 if expires else self._reads[request.path] % 2 == 1

    @property
    def _silent(self) -> bool:
        """Whether a watch that begins now tells nothing, for ever."""
        reconnecting = asyncio.get_running_loop().time() < self._armed_at + RECONNECTING_SECONDS
        return self._fault.watch == "dead" or (self._fault.watch == "stuck" and reconnecting)

    @property
    def _lagging(self) -> bool:
        return asyncio.get_running_loop().time() < self._lags_until

    async def _discovery(self, request: web.BaseRequest) -> web.StreamResponse:
        """What resources there are is the same for every operator and at every time, and KServe's are megabytes."""
        known = self._upstream.discovery
        if request.path not in known:
            status, _, raw = await self._forward(request, b"")
            known[request.path] = status, raw
        status, raw = known[request.path]
        return web.Response(status=status, body=raw, content_type="application/json")

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if self._silent or self._lagging:
            await response.prepare(request)
        if self._silent:
            self.done.set()
            await asyncio.Event().wait()
        if self._lagging:
            more = PARENT_LAG_SECONDS if kinds.MODEL_DEPLOYMENT.plural in request.path else 0.0
            await asyncio.sleep(self._lags_until - asyncio.get_running_loop().time() + more)
        url = self._upstream.url + self._confined(request.path_qs)
        # Either end may be gone at any moment.
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async with self._upstream.session.get(url, headers=wire.headers(request)) as answer:
                if answer.status != 200:
                    return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
                if not response.prepared:
                    await response.prepare(request)
                await self._stream(answer, response, request)
        return response

    async def _stream(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, request: web.BaseRequest
    ) -> None:
        events = 0
        buffer = b""
        async for chunk in answer.content.iter_any():
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                events += 1
                if self._fault.watch in ("expired", "cut") and events > EVENTS_BEFORE_END:
                    self.done.set()
                    if self._fault.watch == "cut":
                        await response.write(line[: len(line) // 2])
                        self._cut(request)
                    else:
                        await response.write(wire.expired())
                    return
                await response.write(line + b"\n")

    async def _forward(self, request: web.BaseRequest, body: bytes) -> tuple[int, dict[str, str], bytes]:
        url = self._upstream.url + self._confined(request.path_qs)
        async with self._upstream.session.request(
            request.method, url, headers=wire.headers(request), data=body or None
        ) as answer:
            raw = await answer.read()
            headers = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            if "Retry-After" in answer.headers:
                headers["Retry-After"] = answer.headers["Retry-After"]
            return answer.status, headers, raw

    def _confined(self, target: str) -> str:
        path, _, query = target.partition("?")
        if path == kinds.NAMESPACE.path(None):
            query = f"fieldSelector=metadata.name%3D{self._namespace}" + (f"&{query}" if query else "")
        elif path in COLLECTIONS:
            path = COLLECTIONS[path].path(self._namespace)
        return f"{path}?{query}" if query else path
