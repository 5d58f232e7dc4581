"""One GET to one registry, over the HTTP client of the MLflow library: the layer's only network I/O.

The library's own defaults do not fit an operator, so every one that matters is set here: it retries for four minutes,
follows redirects with the credentials, reads bodies of any size, and takes its login from the process's environment.
What an answer means is decided above (``refusals``, ``mlflow``).
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import requests
import urllib3
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import MlflowHostCreds
from mlflow.utils.rest_utils import http_request

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry.config import RegistryConfig
from serin.registry.refusals import Answer
from serin.registry.refusals import UnreachableError
from serin.registry.refusals import failure

T = TypeVar("T")

THREADS = 5
"""For the versions, the metrics and the missing models that are asked for at a time."""
POLL_THREADS = 2
"""Of the poll alone: one that begins while the last one's request has yet to end does not wait for it either."""
CONNECT_TIMEOUT = 5.0
CHUNK = 1 << 16
BODY_LIMIT = 16 << 20
"""Bytes of a JSON answer. A full page of 1,000 models is about 1 MB; descriptions may be long."""


class TooLongError(RegistryError):
    """The answer is longer than what is read of one."""


class Wire:
    """A registry's own threads, credentials and deadline. A registry that hangs holds up only its own threads."""

    def __init__(self, config: RegistryConfig) -> None:
        self._config = config
        self._ca = _MemoryFile(config.ca_pem) if config.ca_pem else None
        login = config.credentials
        self._creds = MlflowHostCreds(
            host=config.url.rstrip("/"),
            username=login.username if login else None,
            password=login.password if login else None,
            token=login.token if login else None,
            server_cert_path=self._ca.path if self._ca else None,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"registry {config.host}")
        self._polls = ThreadPoolExecutor(POLL_THREADS, thread_name_prefix=f"poll of {config.host}")
        self._closed = False

    async def get(
        self, path: str, params: Mapping[str, str | int], *, limit: int = BODY_LIMIT, poll: bool = False
    ) -> Answer:
        """One GET within the timeout, whatever its status. Raises UnreachableError when no whole answer came.

        ``poll``: it waits behind nothing else that is asked. The timeout includes the wait for a thread.
        """
        try:
            # The sockets' timeouts start anew with every byte, so a server that drips needs a deadline around all.
            async with asyncio.timeout(self._config.timeout):
                return await self._start(self._polls if poll else self._threads, self._get, path, dict(params), limit)
        except TimeoutError:
            raise self._unreachable(f"did not answer within {self._config.timeout:g} s") from None

    async def work(self, function: Callable[[bytes], T], body: bytes) -> T:
        """Runs what takes long on a body in a thread, so that the event loop does not wait for it. Raises
        UnreachableError where it cannot be begun."""
        return await self._start(self._threads, function, body)

    def _start(self, threads: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        if self._closed:
            raise self._unreachable("is being asked over a new connection: try again")
        try:
            return asyncio.get_running_loop().run_in_executor(threads, function, *arguments)
        except RuntimeError as error:
            # A thread more than the process may have.
            raise self._unreachable(f"cannot be asked: {error}") from None

    def close(self) -> None:
        """Lets the threads go. Requests under way end within their timeout; later ones are refused."""
        self._closed = True
        # Cancelling queued futures would look to their callers as if they themselves had been cancelled.
        self._threads.shutdown(wait=False)
        self._polls.shutdown(wait=False)

    def _get(self, path: str, params: dict[str, str | int], limit: int) -> Answer:
        deadline = time.monotonic() + self._config.timeout
        try:
            with self._send_again_if_stale(path, params) as response:
                body = self._read(response, limit, deadline)
                return Answer(response.status_code, body, response.headers.get("Location", ""))
        except (MlflowException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(_words(error, self._config.timeout)) from None
        except ValueError:
            # requests reads where a redirect leads also where it is not to follow it.
            raise self._unreachable("gave an answer that cannot be read: a redirect to what is no URL, say") from None

    def _send_again_if_stale(self, path: str, params: dict[str, str | int]) -> requests.Response:
        """Servers close idle connections, uvicorn after 5 s: a request on one that just died is sent once more."""
        try:
            return self._send(path, params)
        except requests.ConnectionError as error:
            if "Connection aborted" not in str(error):
                raise
            return self._send(path, params)

    def _send(self, path: str, params: dict[str, str | int]) -> requests.Response:
        try:
            response: requests.Response = http_request(
                self._creds,
                path,
                "GET",
                max_retries=0,  # the default of 7 blocks for 244 s on a refused port
                retry_codes=frozenset(),  # otherwise urllib3 swallows the body of a 5xx
                raise_on_status=False,
                timeout=(min(CONNECT_TIMEOUT, self._config.timeout), self._config.timeout),
                allow_redirects=False,  # nobody but the ModelRegistry's url gets requests
                stream=True,
                auth=_own_login_only,
                params=params,
            )
        except MlflowException as error:
            # The one type for every failure; what happened is only in its context.
            raise (error.__cause__ or error.__context__ or error) from None
        return response

    def _read(self, response: requests.Response, limit: int, deadline: float) -> bytes:
        """The body, decoded, as far as size and time allow. read1 gives back what is there: read() waits for all."""
        body = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            body += chunk
            if len(body) > limit:
                what = f"answered with more than {limit >> 10} KiB, which is refused."
                told = failure(self._config, Reason.REGISTRY_UNAVAILABLE, what)
                raise TooLongError(told.reason, told.message, transient=told.transient)
            if time.monotonic() > deadline:
                raise TimeoutError
        return bytes(body)

    def _unreachable(self, what: str) -> UnreachableError:
        return UnreachableError(f"MLflow at {self._config.host} {what}.")


def _own_login_only(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The ``auth`` hook of requests, called last, with the Authorization header already set from MlflowHostCreds.

    That there is one keeps requests from replacing the header by a ``.netrc`` entry. Cookies go because all
    registries share the library's one session: a second ModelRegistry of the same host would inherit the login
    session of the first.
    """
    request.headers.pop("Cookie", None)
    return request


class _MemoryFile:
    """A file in memory, because requests takes CAs only by path and the container's root file system is read-only."""

    def __init__(self, text: str) -> None:
        descriptor = os.memfd_create("registry-ca")
        os.write(descriptor, text.encode())
        self.path = f"/proc/self/fd/{descriptor}"
        # Not before the last thread that uses it is done: the number would soon stand for another file.
        weakref.finalize(self, os.close, descriptor)


def _words(cause: BaseException | None, timeout: float) -> str:
    """What went wrong on the wire, for people. The exceptions' own texts hold object addresses and whole URLs."""
    text = str(cause)
    if isinstance(cause, requests.exceptions.ProxyError):
        return "cannot be reached through the proxy: check HTTPS_PROXY and NO_PROXY of the operator"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "has a certificate that is not trusted or not for this name: check tls.caSecretName"
    if isinstance(cause, requests.exceptions.SSLError):
        return "does not speak TLS as expected: check the scheme and port of url"
    if isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError) or "timed out" in text:
        return f"did not answer within {timeout:g} s"
    if isinstance(cause, requests.exceptions.InvalidURL) or "Failed to parse" in text:
        return "cannot be asked: its url is not valid"
    if any(sign in text for sign in ("NameResolutionError", "Failed to resolve", "getaddrinfo")):
        return "cannot be found: its host name has no address"
    if "Connection refused" in text:
        return "refused the connection: nothing listens there"
    return "broke the connection"
