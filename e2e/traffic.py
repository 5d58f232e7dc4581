"""Users: a steady stream of requests through the gateway, of which each answer tells the version that gave it.

Version n of a test model multiplies its input by n, so the answer to 1.0 is the version's number. The stream runs in a
thread of its own while the test or the demo does things to the cluster; it knows nothing of the operator.
"""

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from types import TracebackType

import aiohttp

_TIMEOUT_SECONDS = 15.0
_HTTP_OK = 200
_IN_A_ROW = 10


class NotAnsweredError(RuntimeError):
    """No model answers through the gateway; the message says which, where and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request."""

    sent: float
    """Unix time."""
    seconds: float
    """From the first byte sent to the last byte received."""
    version: str | None
    """v2, for example; None where it failed."""
    error: str | None = None
    """Why it failed, in the gateway's or the client library's words."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served."""

    gateway: str
    """host:port of the gateway's listener."""
    host: str
    """The model's host name, by which the gateway finds its route."""
    model: str
    """The name under which the model server has the model."""

    @property
    def path(self) -> str:
        """Of the inference request (Open Inference Protocol, v2)."""
        return f"/v2/models/{self.model}/infer"

    @property
    def url(self) -> str:
        """The same with the gateway's address."""
        return f"http://{self.gateway}{self.path}"

    def body(self, number: float = 1.0) -> str:
        """One row with one number."""
        tensor = {"name": "input-0", "shape": [1, 1], "datatype": "FP64", "data": [number]}
        return json.dumps({"inputs": [tensor]})

    @property
    def headers(self) -> dict[str, str]:
        """Host and content type."""
        return {"Host": self.host, "Content-Type": "application/json"}

    def curl(self) -> str:
        """The same request for a person to try."""
        options = " ".join(f"-H '{name}: {value}'" for name, value in self.headers.items())
        return f"curl -s {options} {self.url} -d '{self.body()}'"

    def ask(self, number: float, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, str]:
        """One request on a connection of its own; status and text of the answer."""
        connection = http.client.HTTPConnection(self.gateway, timeout=_TIMEOUT_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", self.path, self.body(number), {**self.headers, **headers})
            response = connection.getresponse()
            return response.status, response.read().decode()

    def wait(self, seconds: float = 20.0) -> None:
        """Wait until a new route works, that is, for some answers in a row.

        A gateway's controller accepts a route, and it is reported as ready, some hundred milliseconds before the last
        of its proxies has it. Changes of a route that is there already lose nothing.

        Raises:
            NotAnsweredError: it does not come to that.
        """
        deadline, row = time.monotonic() + seconds, 0
        while row < _IN_A_ROW:
            try:
                status, text = self.ask(1.0)
                last = f"HTTP {status}: {text[:160]}"
            except (OSError, http.client.HTTPException) as error:  # a listener opens with the first route
                status, last = 0, f"{type(error).__name__}: {error}"
            row = row + 1 if status == _HTTP_OK else 0
            if time.monotonic() > deadline:
                raise NotAnsweredError(
                    f"the gateway at {self.gateway} does not answer for {self.host} within {seconds:.0f} s; "
                    f"last: {last}. On a cluster that was given, SERIN_GATEWAY=host:port says where this machine "
                    "reaches the gateway"
                )


class Traffic:
    """A stream of `rate` requests a second over `connections` connections that are kept alive.

    Each connection keeps its own pace: a request that hangs holds up one of them and not the stream. Nothing is tried
    again: what fails has failed.
    """

    def __init__(self, endpoint: Endpoint, *, rate: float = 40.0, connections: int = 8) -> None:
        self._endpoint = endpoint
        self._pace = connections / rate
        self._connections = connections
        self._answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="traffic", daemon=True)
        self._stopping = threading.Event()
        self.started = 0.0
        """Unix time of the start; 0 before it."""

    def __enter__(self) -> "Traffic":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to send."""
        self.started = time.time()
        self._thread.start()

    def stop(self) -> None:
        """Send no more; wait for the answers that are due."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_SECONDS + 5)

    def answers(self, start: float = 0.0, end: float = float("inf")) -> list[Answer]:
        """The answers so far to requests sent between two moments."""
        return [answer for answer in list(self._answers) if start <= answer.sent < end]

    def recent(self, seconds: float) -> list[Answer]:
        """The answers to requests of the last seconds. Cheap, however long the stream has been running."""
        end, found = time.time(), []
        for answer in reversed(self._answers):
            # In the order of their ends: one that took long may be older than those before it.
            if answer.sent + answer.seconds < end - seconds:
                break
            if answer.sent >= end - seconds:
                found.append(answer)
        return found

    @property
    def failures(self) -> list[Answer]:
        """The requests that failed so far."""
        return [answer for answer in list(self._answers) if answer.error is not None]

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._connection(session, number) for number in range(self._connections)))

    async def _connection(self, session: aiohttp.ClientSession, number: int) -> None:
        """One request after the other, evenly apart and evenly between the other connections'."""
        due = time.monotonic() + number * self._pace / self._connections
        while not self._stopping.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._answers.append(await self._ask(session))
            # After a delay the pace goes on from now: what was not sent in time is not made up for in a burst.
            due = max(due + self._pace, time.monotonic())

    async def _ask(self, session: aiohttp.ClientSession) -> Answer:
        endpoint = self._endpoint
        sent, start = time.time(), time.monotonic()
        version, error = None, None
        try:
            async with session.post(endpoint.url, data=endpoint.body(), headers=endpoint.headers) as response:
                text = await response.text()
                if response.status == _HTTP_OK:
                    version = version_of(text)
                else:
                    error = f"HTTP {response.status}: {text[:160]}"
        except (TimeoutError, aiohttp.ClientError, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        except (ValueError, LookupError, TypeError) as failure:
            error = f"no prediction in the answer ({failure}): {text[:160]}"
        return Answer(sent, time.monotonic() - start, version, error)


def version_of(text: str) -> str:
    """The version that gave an answer: its prediction for 1.0."""
    return f"v{round(json.loads(text)['outputs'][0]['data'][0])}"


def by_version(answers: list[Answer]) -> Mapping[str, int]:
    """How many of the answers each version gave."""
    return Counter(answer.version for answer in answers if answer.version is not None)
