"""An API server on loopback, as far as the command line depends on it: reads, watches, guarded merge patches, refusals.

A real server and not an object in the client's place: connections that break, answers that never come and streams that
end are what a command line meets.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from urllib.parse import urlsplit

from serin.api.kinds import CONFIG_MAP
from serin.api.kinds import EVENT
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import NAMESPACE
from serin.api.kinds import POD
from serin.api.kinds import ROLLOUT_POLICY
from serin.api.kinds import Kind
from serin.serving.compare import merge
from tests.unit.wire import over_the_wire

Json = dict[str, Any]
KINDS = (MODEL_DEPLOYMENT, POD, NAMESPACE, EVENT, CONFIG_MAP, ROLLOUT_POLICY)
QUERY_RANGE = "/api/v1/query_range"
HANG_UP = 0
"""As a fault: the connection is closed without an answer."""


@dataclass
class ApiServer:
    """Objects by kind, namespace and name, and everything that was asked."""

    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    faults: list[tuple[str, int, str]] = field(default_factory=list)
    """What the next requests get instead of an answer: the beginning of ``METHOD path``, code and message."""
    wires: list[tuple[str, bytes]] = field(default_factory=list)
    """Likewise, byte for byte, before the connection is closed: as something on the way to a server answers."""
    requests: list[str] = field(default_factory=list)
    patches: list[Json] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    impersonated: list[list[tuple[str, str]]] = field(default_factory=list)
    """Headers that say as whom each request shall count."""
    on_patch: Callable[[Json], None] = lambda _: None
    """What the operator does once it sees the patched object."""
    on_watch: list[Callable[[], object]] = field(default_factory=list)
    """What happens while a watch is open: one for each watch that begins."""
    prometheus: Callable[[str, dict[str, str]], tuple[int, bytes]] | None = None
    """Answers queries, whichever way they come: straight, or by a Service's proxy."""
    certificate: Path | None = None
    """A certificate and its key, where it shall speak TLS."""
    watch_seconds: float = 0.1
    version: int = 100

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[tuple[int, str, Json]] = []
        self._oldest = 0
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = _Server(("127.0.0.1", 0), Handler)
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True)

    def __enter__(self) -> ApiServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, path: Path, *, namespace: str | None = "payments", user: str = "jane") -> Path:
        """A kubeconfig with this server and a second context that nobody serves."""
        inside = {"namespace": namespace} if namespace else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "here", "cluster": {"server": self.url}},
                {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}},
            ],
            "users": [{"name": user, "user": {"token": "secret-token"}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": user, **inside}},
                {"name": "nowhere", "context": {"cluster": "nowhere", "user": user}},
            ],
            "current-context": "here",
        }
        path.write_text(json.dumps(config))
        return path

    def put(self, body: Json, kind: Kind = MODEL_DEPLOYMENT) -> Json:
        """Somebody else writes this object."""
        with self._changed:
            key = (kind.plural, body["metadata"].get("namespace", ""), body["metadata"]["name"])
            before = self.objects.get(key)
            self.version += 1
            stored = over_the_wire(body)
            stored["metadata"] = {"uid": "uid-1", **stored["metadata"], "resourceVersion": str(self.version)}
            self.objects[key] = stored
            self._events.append((self.version, "MODIFIED" if before else "ADDED", stored))
            self._changed.notify_all()
            return over_the_wire(stored)

    def of(self, name: str, namespace: str = "payments") -> Json:
        return over_the_wire(self.objects[MODEL_DEPLOYMENT.plural, namespace, name])

    def remove(self, name: str, namespace: str = "payments") -> None:
        with self._changed:
            gone = self.objects.pop((MODEL_DEPLOYMENT.plural, namespace, name))
            self.version += 1
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._events.append((self.version, "DELETED", gone))
            self._changed.notify_all()

    def forget(self) -> None:
        """Older versions are not known any more: a watch from one of them is answered with 410."""
        with self._changed:
            self._oldest = self.version
            self._events.clear()

    def refuse(self, request: str, code: int, message: str = "no", *, times: int = 1) -> None:
        self.faults += [(request, code, message)] * times

    def answer(self, request: str, raw: bytes, *, times: int = 1) -> None:
        """Something on the way answers in the server's place, with all that is on the wire."""
        self.wires += [(request, raw)] * times

    # What requests are answered with.

    def wire(self, request: str) -> bytes | None:
        for index, (beginning, raw) in enumerate(self.wires):
            if request.startswith(beginning):
                del self.wires[index]
                return raw
        return None

    def fault(self, request: str) -> tuple[int, str] | None:
        for index, (beginning, code, message) in enumerate(self.faults):
            if request.startswith(beginning):
                del self.faults[index]
                return code, message
        return None

    def patched(self, key: tuple[str, str, str], patch: Json) -> tuple[int, Json]:
        with self._changed:
            before = self.objects.get(key)
            if before is None:
                return 404, refusal(404, f'{MODEL_DEPLOYMENT.plural}.{MODEL_DEPLOYMENT.group} "{key[2]}" not found')
            if patch["metadata"].get("resourceVersion") not in (None, before["metadata"]["resourceVersion"]):
                return 409, refusal(409, "the object has been modified")
            self.patches.append(patch)
        stored = self.put(merge(before, patch))
        self.on_patch(stored)
        return 200, stored

    def events_after(self, version: int, key: tuple[str, str, str], seconds: float) -> list[tuple[int, str, Json]]:
        """Events of the object that are newer; waits for the first one for so many seconds."""
        _, namespace, name = key

        def found() -> list[tuple[int, str, Json]]:
            return [
                event
                for event in self._events
                if event[0] > version
                and (event[2]["metadata"]["namespace"], event[2]["metadata"]["name"]) == (namespace, name)
            ]

        with self._changed:
            self._changed.wait_for(lambda: bool(found()), seconds)
            return found()

    def too_old(self, version: int) -> bool:
        return version < self._oldest


def wire(code: int, body: bytes, *headers: str, missing: int = 0) -> bytes:
    """An answer as it is on the wire. ``missing``: how many bytes of the body it promises and does not send."""
    # As the connection is closed behind it: one that is taken for open may be used again before that is seen.
    head = [f"HTTP/1.1 {code} Whatever", "Connection: close", f"Content-Length: {len(body) + missing}", *headers]
    return "\r\n".join((*head, "", "")).encode() + body


def refusal(code: int, message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server_of: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
        """Not onto the tests' output."""

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        api = self.server_of
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        parts = urlsplit(self.path)
        form = sent.decode() if self.command == "POST" else ""
        body = json.loads(sent) if sent and not form else {}
        query = {key: values[0] for key, values in parse_qs(form or parts.query).items()}
        api.requests.append(f"{self.command} {parts.path}")
        api.queries.append(query)
        api.tokens.append(self.headers.get("Authorization"))
        # As Go reads them: UTF-8.
        api.impersonated.append(
            [
                (name, value.encode("latin-1").decode())
                for name, value in self.headers.items()
                if name.startswith("Impersonate-")
            ]
        )
        asked = f"{self.command} {parts.path}" + ("?watch" if "watch" in query else "")
        raw = api.wire(asked)
        if raw is not None:
            self.wfile.write(raw)
            self.close_connection = True
            return
        fault = api.fault(asked)
        if fault is not None and fault[0] == HANG_UP:
            self.close_connection = True
            return
        if fault is not None:
            self._send(fault[0], refusal(*fault))
            return
        if parts.path.endswith(QUERY_RANGE) and api.prometheus is not None:
            code, raw = api.prometheus(QUERY_RANGE, query)
            self._send(code, raw.decode())
            return
        key = self._key(parts.path)
        if key is None:
            self._send(404, "404 page not found\n")
        elif self.command == "PATCH":
            self._send(*api.patched(key, body))
        elif "watch" in query:
            name = query["fieldSelector"].removeprefix("metadata.name=")
            self._watch((key[0], key[1], name), int(query["resourceVersion"]))
        elif key[2]:
            self._one(key)
        else:
            wanted = query.get("labelSelector", "")
            items = [
                one
                for (plural, namespace, _), one in sorted(api.objects.items())
                if plural == key[0] and key[1] in ("", namespace) and _selected(one, wanted)
            ]
            self._send(200, {"items": items, "metadata": {"resourceVersion": str(api.version)}})

    def _one(self, key: tuple[str, str, str]) -> None:
        found = self.server_of.objects.get(key)
        if found is None:
            message = f'{MODEL_DEPLOYMENT.plural}.{MODEL_DEPLOYMENT.group} "{key[2]}" not found'
            self._send(404, refusal(404, message))
        else:
            self._send(200, found)

    def _watch(self, key: tuple[str, str, str], version: int) -> None:
        api = self.server_of
        if api.on_watch:
            api.on_watch.pop(0)()
        if api.too_old(version):
            self._stream([{"type": "ERROR", "object": refusal(410, "too old resource version")}])
            return
        events = api.events_after(version, key, api.watch_seconds)
        self._stream([{"type": kind, "object": body} for _, kind, body in events])

    def _stream(self, events: list[Json]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            # In two chunks: a line need not come whole.
            for part in (line[:20], line[20:]):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, code: int, body: Json | str) -> None:
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _key(self, path: str) -> tuple[str, str, str] | None:
        """Plural, namespace and name; None for a kind that is not installed."""
        for kind in KINDS:
            root = kind.path(None)
            if path == root:
                return kind.plural, "", ""
            prefix = root.removesuffix(f"/{kind.plural}") + "/namespaces/"
            if path.startswith(prefix) and kind.namespaced:
                namespace, plural, *name = path.removeprefix(prefix).split("/")
                if plural == kind.plural:
                    return plural, namespace, name[0] if name else ""
        return None


def _selected(body: Json, selector: str) -> bool:
    if not selector:
        return True
    name, _, value = selector.partition("=")
    return bool((body["metadata"].get("labels") or {}).get(name) == value)
