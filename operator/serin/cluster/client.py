"""Requests to the API server: get, list, create, patch, scale, delete, the status, and a pod's log.

Bodies are plain JSON objects. Every write but a creation names the resourceVersion it was decided upon, so that a
stale view, a deleted and recreated object or a second operator cannot be overwritten: the API server answers 409.
Nothing is retried here: the queue does that, for each object on its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Protocol

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config
from kubernetes.aio.config.config_exception import ConfigException
from yaml import YAMLError

from serin.api.kinds import MANAGER
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.cluster.limiter import TokenBucket
from serin.cluster.token import Token
from serin.cluster.trust import Trust
from serin.cluster.words import in_one_line
from serin.errors import ClusterError
from serin.errors import SettingsError

Json = dict[str, Any]

CONNECT_SECONDS = 5
# Above what the API server takes for its own answer to a write, 34 s (apiserver endpoints/handlers/rest.go
# requestTimeoutUpperBound): for a webhook that hangs it waits up to 30 s, and then says which one it was.
REQUEST_SECONDS = 40
TOKEN_SECONDS = 1.0
LOG_BYTES = 16 * 1024
PAGE = 50
# At most so long a Retry-After is heeded: API servers say seconds. A proxy that says an hour would stop all that moves,
# rollbacks too.
LONGEST_RETRY_SECONDS = 120.0

# A field that the cluster does not know is refused by its name. By default it is dropped, and everything seems well.
STRICT = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
TOO_MANY_REQUESTS = 429


class Recorder(Protocol):
    """Told of every request, for the metrics."""

    def __call__(self, method: str, code: int, seconds: float) -> None:
        """One request was answered with ``code`` (0: not at all) after ``seconds``."""
        ...


async def connect(kubeconfig: str | None) -> ApiClient:
    """A client with the pod's service account, or with a kubeconfig where one is named. Raises SettingsError."""
    configuration = Configuration()
    try:
        if kubeconfig is not None:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration, try_refresh_token=False)
            configuration.refresh_api_key_hook = Token(incluster_config.SERVICE_TOKEN_FILENAME)
    # What the library raises for a file that is no kubeconfig.
    except (ConfigException, YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        what = f"the kubeconfig {kubeconfig}" if kubeconfig is not None else "the pod's service account"
        raise SettingsError(
            f"there is no API server to work for, {what} cannot be read: {in_one_line(error)}; outside of a pod "
            "set SERIN_KUBECONFIG to a kubeconfig"
        ) from error
    return ApiClient(configuration)


class Client:
    """What the operator asks of the API server."""

    def __init__(self, api: ApiClient, limiter: TokenBucket, record: Recorder, clock: Callable[[], float]) -> None:
        self._api = api
        self._limiter = limiter
        self._record = record
        self._clock = clock
        self._trust = Trust(api.configuration.ssl_ca_cert, api.rest_client.ssl_context)
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def session(self, trace: aiohttp.TraceConfig) -> tuple[str, aiohttp.ClientSession]:
        """For another client library: the API server's address, and a session that asks it as this client does, with
        the token as it is at each request. Whoever gets it closes it.

        An answer 401 is waited out, until the token is renewed or the request's time is over: kopf would close the
        session under the requests of others (kopf credentials.py invalidate).
        """
        configuration = self._api.configuration

        async def authorize(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            while True:
                self._trust.renew()
                try:
                    token = await configuration.get_api_key_with_prefix("BearerToken")
                except (ConfigException, OSError) as error:
                    raise aiohttp.ClientConnectionError(in_one_line(error)) from error
                if token:
                    request.headers["Authorization"] = token
                response = await send(request)
                if response.status != UNAUTHORIZED:
                    return response
                response.release()
                self._doubt_token()
                await asyncio.sleep(TOKEN_SECONDS)

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._api.rest_client.ssl_context),
            proxy=configuration.proxy or None,
            middlewares=(authorize,),
            trace_configs=[trace],
        )
        return configuration.host, session

    async def serves(self, kind: Kind) -> bool:
        """Whether the cluster has the kind, as far as it says so now."""
        try:
            found = await self._json("GET", kind.path(None).rpartition("/")[0])
        except ClusterError:
            return False
        return any(one["name"] == kind.plural for one in found.get("resources") or ())

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        """The object, read live; None where there is none."""
        try:
            return await self._json("GET", kind.path(namespace, name))
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def pages(self, kind: Kind, *, namespace: str | None = None, selector: str = "") -> AsyncIterator[list[Json]]:
        """All objects of a kind, read live, a page at a time: whole, they would be the most memory we ever use.
        Without a namespace those of all."""
        query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = await self._json("GET", kind.path(namespace), query)
            yield page.get("items") or []
            more = (page.get("metadata") or {}).get("continue")
            if not more:
                return
            query["continue"] = more

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Create the object. 409 where one of the name exists: it is never taken over."""
        return await self._json("POST", kind.path(namespace), STRICT, body)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        """Change the object by a JSON merge patch, if it still is at that resourceVersion."""
        body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version}}
        return await self._json("PATCH", kind.path(namespace, name), STRICT, body, MERGE_PATCH)

    async def apply_status(self, kind: Kind, namespace: str, name: str, status: Json, *, version: str) -> Json:
        """Apply the whole status, if the object still is at that resourceVersion."""
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": namespace, "resourceVersion": version},
            "status": status,
        }
        query = {"fieldManager": MANAGER, "force": "true"}
        return await self._json("PATCH", kind.path(namespace, name, "status"), query, body, APPLY_PATCH)

    async def scale(self, namespace: str, workload: str, replicas: int, *, version: str) -> None:
        """Set the number of replicas of a Deployment, if it still is at that resourceVersion."""
        body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
        path = WORKLOAD.path(namespace, workload, "scale")
        await self._json("PATCH", path, STRICT, body, MERGE_PATCH)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, version: str) -> Json | None:
        """Delete this very object in this very state. Gives it as it is while it goes; None where it is gone."""
        body = {"preconditions": {"uid": uid, "resourceVersion": version}, "propagationPolicy": "Background"}
        try:
            answer = await self._json("DELETE", kind.path(namespace, name), None, body)
        except ClusterError as error:
            if error.status != NOT_FOUND:
                raise
            return None
        return answer if answer.get("kind") == kind.kind else None

    async def log(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        """The end of a container's log; "" where there is none to be had."""
        query = {"container": container, "tailLines": "60", "limitBytes": str(LOG_BYTES)}
        if previous:
            query["previous"] = "true"
        try:
            raw = await self._request("GET", POD.path(namespace, pod, "log"), query)
        except ClusterError as error:
            if error.status in (400, NOT_FOUND):
                return ""
            raise
        return raw.decode(errors="replace")

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        raw = await self._request(method, path, query, body, content_type)
        try:
            answer: Json = json.loads(raw) if raw else {}
        except ValueError as error:
            raise ClusterError(0, f"{method} {path}: the answer is no JSON: is that the API server?") from error
        except RecursionError as error:
            raise ClusterError(0, f"{method} {path}: the answer is nested too deep to be read") from error
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        await self._limiter.take()
        self._trust.renew()
        headers = {"Accept": "*/*" if path.endswith("/log") else "application/json", "Content-Type": content_type}
        try:
            _, url, headers, _, _ = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                auth_settings=["BearerToken"],
            )
        except (ConfigException, OSError) as error:
            said = in_one_line(error)
            raise ClusterError(0, f"{method} {path}: the operator's own credentials cannot be read: {said}") from error
        started = self._clock()
        code = 0
        try:
            response = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            code = response.status
            raw: bytes = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            code = 0
            raise ClusterError(0, f"{method} {path}: no answer from the API server: {error!r}") from error
        finally:
            self._record(method, code, self._clock() - started)
        if code == UNAUTHORIZED:
            self._doubt_token()
        if code >= 400:
            raise _refusal(method, path, code, raw, response.headers.get("Retry-After"))
        return raw

    def _doubt_token(self) -> None:
        hook = self._api.configuration.refresh_api_key_hook
        if isinstance(hook, Token):
            hook.doubt()


def _refusal(method: str, path: str, code: int, raw: bytes, retry_after: str | None) -> ClusterError:
    """The API server's own words, which name the field, the webhook or the permission."""
    try:
        said = json.loads(raw).get("message") or ""
    except (ValueError, AttributeError):
        said = raw[:200].decode(errors="replace")
    wait = min(float(retry_after), LONGEST_RETRY_SECONDS) if retry_after and retry_after.isdecimal() else None
    return ClusterError(code, said or f"{method} {path} was answered with {code}", retry_after=wait)
