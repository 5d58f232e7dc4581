"""A person's requests to the API server: by the kubeconfig that kubectl would use, or by a pod's service account.

The operator's :class:`serin.cluster.client.Client` does many things at once and never waits for a person; the command
line asks for one thing after the other, so this one is synchronous. Nothing is retried here.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import KubeConfigLoader
from kubernetes.config.kube_config import KubeConfigMerger
from yaml import YAMLError

from serin.api.kinds import Kind
from serin.errors import ClusterError
from serin.errors import KubeconfigError

Json = dict[str, Any]

MANAGER = "serin-cli"
"""Field manager of a person's writes."""
DEFAULT_KUBECONFIG = "~/.kube/config"
SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Above what the watch was asked to last: the server ends it, not we.
WATCH_MARGIN_SECONDS = 10.0

MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached, and as whom."""

    configuration: Any
    namespace: str
    """The context's namespace."""
    user: str
    """The context's user; "" in a pod."""
    complaints: tuple[str, ...] = ()
    """What went wrong with the credentials, such as the words of a login helper that failed."""


def find_access(kubeconfig: str | None, context: str | None) -> Access:
    """As kubectl finds it: the file that is named, those of $KUBECONFIG, ~/.kube/config, then a pod's service account.

    Raises KubeconfigError.
    """
    paths = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    try:
        found = KubeConfigMerger(paths)
    except (ConfigException, YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise KubeconfigError(f"the kubeconfig {paths} cannot be read: {_in_one_line(error)}") from error
    if found.config is not None:
        return _of_context(found, paths, context)
    if kubeconfig is None and context is None and os.environ.get(IN_CLUSTER_VARIABLE):
        return _of_pod()
    raise KubeconfigError(
        f"no cluster is known: there is no kubeconfig at {paths}. Name one with --kubeconfig or KUBECONFIG"
    )


def contexts_of(kubeconfig: str | None) -> list[str]:
    """Names of the contexts. Raises KubeconfigError."""
    paths = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG
    try:
        found = KubeConfigMerger(paths).config
        return [] if found is None else [entry.value["name"] for entry in found["contexts"]]
    except (ConfigException, YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise KubeconfigError(f"the kubeconfig {paths} cannot be read: {_in_one_line(error)}") from error


def _of_context(found: KubeConfigMerger, paths: str, context: str | None) -> Access:
    heard = _Heard()
    # A login helper that fails is only logged (kubernetes/config/kube_config.py _load_from_exec_plugin); the request
    # then goes out as nobody, and its 401 would tell nothing of the cause.
    root = logging.getLogger()
    root.addHandler(heard)
    configuration = Configuration()
    try:
        loader = KubeConfigLoader(found.config, active_context=context, config_base_path=None)
        loader.load_and_set(configuration)
        current = loader.current_context["context"]
    except (ConfigException, OSError, KeyError, TypeError, ValueError) as error:
        names = ", ".join(contexts_of(paths)) or "none"
        wanted = "its current context" if context is None else f"context {context}"
        raise KubeconfigError(
            f"the kubeconfig {paths} does not say how to reach {wanted}: {_in_one_line(error)}. "
            f"Its contexts are: {names}; choose one with --context"
        ) from error
    finally:
        root.removeHandler(heard)
    return Access(
        configuration,
        namespace=current.get("namespace") or "default",
        user=current.get("user") or "",
        complaints=tuple(heard.messages),
    )


def _of_pod() -> Access:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException as error:
        raise KubeconfigError(f"this pod has no usable service account: {_in_one_line(error)}") from error
    try:
        namespace = SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    except OSError:
        namespace = "default"
    return Access(configuration, namespace=namespace, user="")


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Session:
    """Requests of one person to one API server."""

    def __init__(self, access: Access, *, seconds: float = READ_SECONDS) -> None:
        self.namespace = access.namespace
        self.user = access.user
        self.server = str(access.configuration.host)
        self._complaints = access.complaints
        # urllib3 would try three times; a person rather reads at once that nobody answers.
        access.configuration.retries = False
        self._configuration = access.configuration
        self._rest = RESTClientObject(access.configuration)
        self._seconds = seconds

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json:
        """The object. Raises ClusterError, also where there is none."""
        return self._json("GET", kind.path(namespace, name))

    def list(self, kind: Kind, namespace: str | None, *, selector: str = "", fields: str = "") -> list[Json]:
        """All objects of a kind, in one namespace or, without one, in all; those that both selectors choose."""
        query = {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        items: list[Json] = self._json("GET", kind.path(namespace), query).get("items") or []
        return items

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
        return self._json("PATCH", kind.path(namespace, name), {"fieldManager": MANAGER}, patch)

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
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ClusterError(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silence(error) from error
        finally:
            response.close()

    def _json(self, method: str, path: str, query: Json | None = None, body: Json | None = None) -> Json:
        response = self._send(method, path, query or {}, body, self._seconds)
        try:
            answer: Json = json.loads(response.read())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silence(error) from error
        except ValueError as error:
            raise ClusterError(response.status, f"{self.server} is no Kubernetes API server: no JSON came") from error
        return answer

    def _send(self, method: str, path: str, query: Json, body: Json | None, seconds: float) -> urllib3.BaseHTTPResponse:
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": MANAGER}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH
        token = self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token
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
        return ClusterError(0, f"the API server {self.server} does not answer: {_in_one_line(error)}")

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> ClusterError:
        raw = response.read()
        try:
            said = str(json.loads(raw)["message"])
        except (ValueError, KeyError, TypeError):
            said = raw[:200].decode(errors="replace").strip()
        words = "; ".join((said or f"answered with {response.status}", *self._complaints))
        return ClusterError(response.status, words)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Lines as they come, without waiting for a full buffer."""
    rest = b""
    for chunk in response.stream(amt=None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
