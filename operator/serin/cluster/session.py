"""A person's requests to the API server, by the access that ``access`` found.

The operator's :class:`serin.cluster.client.Client` does many things at once and never waits for a person; the command
line asks for one thing after the other, so this one is synchronous. Nothing is retried here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject

from serin.api.kinds import Kind
from serin.cluster.access import Access
from serin.cluster.access import authorization
from serin.cluster.words import in_one_line
from serin.errors import ClusterError
from serin.errors import KubeconfigError

Json = dict[str, Any]

MANAGER = "serin-cli"
"""Field manager of a person's writes."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Above what the watch was asked to last: the server ends it, not we.
WATCH_MARGIN_SECONDS = 10.0

SERVER_ERROR = 500
PART = 65536
MERGE_PATCH = "application/merge-patch+json"


class Session:
    """Requests of one person to one API server."""

    def __init__(self, access: Access, *, seconds: float = READ_SECONDS) -> None:
        """Raises KubeconfigError where the way there cannot be gone."""
        self.namespace = access.namespace
        self.user = access.user
        self.server = str(access.configuration.host)
        self._complaints = access.complaints
        self._impersonated = access.impersonated
        # urllib3 would try three times; a person rather reads at once that nobody answers.
        access.configuration.retries = False
        if not access.configuration.verify_ssl:
            # Whoever set insecure-skip-tls-verify knows; urllib3 would say it again with every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._configuration = access.configuration
        self._rest = _way(access.configuration)
        self._seconds = seconds

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """The object. Raises ClusterError, also where there is none."""
        return self._object(self._json("GET", kind.path(namespace, name)))

    def list(self, kind: Kind, namespace: str | None, *, selector: str = "", fields: str = "") -> list[Json]:
        """All objects of a kind, in one namespace or, without one, in all; those that both selectors choose."""
        query = {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        answer = self._json("GET", kind.path(namespace), query)
        if not isinstance(answer.get("items", ""), list | None):
            raise self._foreign("no list came")
        return [self._object(item) for item in answer["items"] or []]

    def version(self, kind: Kind, namespace: str, name: str) -> str:
        """A resourceVersion after which a watch of the object can begin: that of the server, now.

        The object's own may be too old, however often it is read: that of one that rested since before the server's
        start, or for many changes of others. kubectl takes the list's, too.
        """
        query = {"fieldSelector": f"metadata.name={name}"}
        return str(self._object(self._json("GET", kind.path(namespace), query))["metadata"].get("resourceVersion", ""))

    def through(self, namespace: str, service: str, path: str, query: Json) -> tuple[int, bytes]:
        """What a Service of the cluster answers to a GET, by way of the API server; its status and its body.

        ``service``: ``name:port``, or ``https:name:port``. Raises ClusterError where the status is an error's, with the
        Service's own words.
        """
        proxy = f"/api/v1/namespaces/{namespace}/services/{service}/proxy"
        response = self._send("GET", f"{proxy}{path}", query, None, self._seconds)
        try:
            return response.status, response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silence(error) from error

    def patch(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """Change the object by a JSON merge patch; one that names a resourceVersion is refused with 409 on another."""
        return self._object(self._json("PATCH", kind.path(namespace, name), {"fieldManager": MANAGER}, patch))

    def watch(
        self, kind: Kind, namespace: str, name: str, *, version: str, seconds: float
    ) -> Iterator[tuple[str, Json]]:
        """What becomes of one object after a resourceVersion: the kind of each event, and the object.

        Ends after ``seconds``, or when the server ends it. Raises ClusterError; 410 where the version is too old.
        """
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        response = self._send("GET", kind.path(namespace), query, None, seconds + WATCH_MARGIN_SECONDS)
        try:
            for line in _lines(response):
                yield self._event(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silence(error) from error
        finally:
            response.close()

    def _json(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        response = self._send(method, path, query or {}, body, self._seconds)
        try:
            answer = json.loads(response.read())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silence(error) from error
        except ValueError as error:
            raise self._foreign(f"no JSON came (HTTP {response.status})") from error
        except RecursionError as error:
            raise self._foreign("what came is nested too deep") from error
        if not isinstance(answer, dict):
            raise self._foreign("no object came")
        return answer

    def _object(self, value: object) -> Json:
        """What is an object of Kubernetes, with its metadata. Raises ClusterError: a proxy has other JSON to tell, and
        it would be taken for an object that lost its name."""
        if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
            raise self._foreign("no object came")
        return value

    def _event(self, line: bytes) -> tuple[str, Json]:
        """The kind of an event, and its object. Raises ClusterError, also where it tells of an error."""
        try:
            event = json.loads(line)
            kind, body = event["type"], event["object"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._foreign(f"no event came, but {_beginning(line)}") from error
        if kind != "ERROR":
            return str(kind), self._object(body)
        status = body if isinstance(body, dict) else {}
        code = status["code"] if isinstance(status.get("code"), int) else SERVER_ERROR
        raise ClusterError(code, str(status.get("message") or f"the watch ended with {code}"))

    def _send(self, method: str, path: str, query: Json, body: Json | None, seconds: float) -> urllib3.BaseHTTPResponse:
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "User-Agent": MANAGER})
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH
        token = authorization(self._configuration)
        if token:
            headers["Authorization"] = token
        for name, value in self._impersonated:
            # One line for each group: together they would be one group with commas in its name.
            headers.add(name, value)
        try:
            answer = self._rest.request(
                method, url, headers=headers, body=body, _request_timeout=(CONNECT_SECONDS, seconds)
            )
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise self._silence(error) from error
        response: urllib3.BaseHTTPResponse = answer.response
        if response.status >= 400:
            raise self._refusal(response)
        return response

    def _silence(self, error: Exception) -> ClusterError:
        return ClusterError(0, f"the API server {self.server} does not answer: {in_one_line(error)}")

    def _foreign(self, what: str) -> ClusterError:
        """An answer whose status says nothing: whether it was the API server's is not known."""
        return ClusterError(0, f"{self.server} does not answer as a Kubernetes API server does: {what}")

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> ClusterError:
        raw = _as_much_as_comes(response)
        try:
            said = str(json.loads(raw)["message"] or "")
        except (ValueError, KeyError, TypeError, RecursionError):
            said = _beginning(raw)
        words = "; ".join((said or f"answered with {response.status}", *self._complaints))
        return ClusterError(response.status, words)


def _way(configuration: Any) -> RESTClientObject:
    """Straight, or by a proxy. Raises KubeconfigError."""
    try:
        return RESTClientObject(configuration)
    except ImportError as error:
        raise KubeconfigError(
            f"the proxy {_proxy(configuration)} speaks SOCKS, for which a package is missing: pip install PySocks into "
            "serin's environment"
        ) from error
    except (urllib3.exceptions.HTTPError, AttributeError) as error:
        raise KubeconfigError(
            f"{_proxy(configuration)} is no proxy: proxy-url of the kubeconfig, or HTTPS_PROXY, must begin with "
            "http://, https:// or socks5://"
        ) from error


def _proxy(configuration: Any) -> str:
    """The proxy without the login that may be in its URL."""
    scheme, _, rest = str(configuration.proxy).rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]


def _as_much_as_comes(response: urllib3.BaseHTTPResponse) -> bytes:
    """The body of a refusal. A load balancer may cut it, or send it otherwise encoded than it says: the status, which
    says whether a write may stand, has come all the same."""
    said = b""
    try:
        # Not read(): what came before the cut would be lost.
        while part := response.read1(PART):
            said += part
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    finally:
        response.close()
    return said


def _beginning(raw: bytes) -> str:
    """The first words of what is no JSON, such as a page of a load balancer, on one line."""
    return " ".join(raw[:200].decode(errors="replace").split())


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Lines as they come, without waiting for a full buffer."""
    rest = b""
    for chunk in response.stream(amt=None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)
