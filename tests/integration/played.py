"""Plays what a control plane alone lacks: the kubelets and the gateway.

Pods become ready, unless a test says otherwise for their revision; routes are accepted as they are written, unless a
test says otherwise for their namespace. Everything else (KServe, the deployment controller, admission, garbage
collection) is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from serin.api.kinds import Kind
from tests.integration.gateway import ACCEPTING
from tests.integration.gateway import Gateway
from tests.integration.kubelet import NODE
from tests.integration.kubelet import Kubelet
from tests.integration.pods import Act
from tests.integration.pods import now
from tests.integration.pods import ready

Json = dict[str, Any]
Take = Callable[[Json], Awaitable[None]]

MERGE = "application/merge-patch+json"
RETRY_SECONDS = 0.2
HEARTBEAT_SECONDS = 10.0


class Played:
    """The stage: knobs for tests, and the tasks that play. Knobs may be turned from any thread."""

    def __init__(self, url: str, pki: Path) -> None:
        self._url = url
        self._pki = pki
        self._pods: dict[tuple[str, str], Json] = {}
        self._routes: dict[tuple[str, str], Json] = {}
        self._acts: dict[tuple[str, str], Act] = {}
        self._gateways: dict[str, Gateway] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._kubelet = Kubelet()

    async def start(self) -> None:
        """Begin to play."""
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_tls(self._pki), limit=50),
            timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=60),
        )
        port = await self._kubelet.start(self._pki)
        await self._register_node(port)
        self._tasks = [
            asyncio.create_task(self._keep_node()),
            asyncio.create_task(self._watch(POD, self._pods, self._pod)),
            asyncio.create_task(self._watch(HTTP_ROUTE, self._routes, self._route)),
        ]

    async def stop(self) -> None:
        """End playing."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._kubelet.stop()
        await self._session.close()

    def pods(self, namespace: str, prefix: str, act: Act) -> None:
        """What the pods of revisions whose names begin so shall do from now on."""
        self._acts[namespace, prefix] = act
        self._replay(self._pods, namespace, self._pod)

    def gateway(self, namespace: str, gateway: Gateway) -> None:
        """What the gateway shall say to routes of that namespace from now on."""
        self._gateways[namespace] = gateway
        self._replay(self._routes, namespace, self._route)

    def _replay(self, known: dict[tuple[str, str], Json], namespace: str, take: Take) -> None:
        async def replay() -> None:
            for body in [body for (where, _), body in known.items() if where == namespace]:
                await take(body)

        asyncio.run_coroutine_threadsafe(replay(), self._loop).result(30)

    async def _pod(self, pod: Json) -> None:
        metadata = pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if "deletionTimestamp" in metadata:
            # The kubelet's part of a deletion: the containers are gone.
            await self._send("DELETE", POD.path(namespace, name), {"gracePeriodSeconds": 0})
            return
        revision = metadata["labels"].get(REVISION_LABEL, "")
        fitting = [key for key in self._acts if key[0] == namespace and revision.startswith(key[1])]
        act = self._acts[max(fitting, key=lambda key: len(key[1]))] if fitting else ready()
        if act.log is not None and not pod["spec"].get("nodeName"):
            # Logs are asked of the pod's node.
            self._kubelet.logs[namespace, name] = act.log
            await self._send(
                "POST",
                POD.path(namespace, name, "binding"),
                {"metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}},
            )
        status = act.status(pod)
        if status is not None:
            await self._status(POD, pod, status)

    async def _route(self, route: Json) -> None:
        gateway = self._gateways.get(route["metadata"]["namespace"], ACCEPTING)
        status = gateway.answer(route)
        if status is not None:
            await self._status(HTTP_ROUTE, route, status)

    async def _status(self, kind: Kind, body: Json, status: Json) -> None:
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], "status")
        await self._send("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})

    async def _send(self, method: str, path: str, body: Json) -> None:
        headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
        async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
            if answer.status == 429 or answer.status >= 500:
                # For a moment, as while the storage of a new kind is made: what is to be played is listed again.
                answer.raise_for_status()
            # Gone, or another one of the name by now: nothing is left to be played.
            if answer.status >= 400 and answer.status not in (404, 409):
                raise RuntimeError(f"{method} {path} was answered with {answer.status}: {await answer.text()}")

    async def _register_node(self, port: int) -> None:
        await self._send("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        await self._send("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status})
        await self._beat()

    async def _keep_node(self) -> None:
        """Pods of a node that is not heard of are called not ready by the controller manager."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._beat()

    async def _beat(self) -> None:
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
        await self._send("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [condition]}})

    async def _watch(self, kind: Kind, known: dict[tuple[str, str], Json], take: Take) -> None:
        """List and watch for ever; the API server may come and go, and may not have the kind yet."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                await self._watch_once(kind, known, take)
            await asyncio.sleep(RETRY_SECONDS)

    async def _watch_once(self, kind: Kind, known: dict[tuple[str, str], Json], take: Take) -> None:
        url = self._url + kind.path(None)
        async with self._session.get(url, params={"labelSelector": DEPLOYMENT_LABEL}) as answer:
            if answer.status != 200:
                return
            listed = await answer.json()
        known.clear()
        for body in listed["items"]:
            await _taken(known, "ADDED", body, take)
        since = listed["metadata"]["resourceVersion"]
        params = {"labelSelector": DEPLOYMENT_LABEL, "watch": "true", "resourceVersion": since}
        async with self._session.get(url, params=params) as answer:
            buffer = b""
            async for chunk in answer.content.iter_any():
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    await _taken(known, event["type"], event["object"], take)


async def _taken(known: dict[tuple[str, str], Json], event: str, body: Json, take: Take) -> None:
    key = (body["metadata"]["namespace"], body["metadata"]["name"])
    if event == "DELETED":
        known.pop(key, None)
        return
    known[key] = body
    await take(body)


def _tls(pki: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context
