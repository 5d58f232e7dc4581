"""The tests' own requests to an API server: blocking, uncached, and as whatever user a test needs.

Not the operator's client: what the operator writes is looked at through something else.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from serin.api.kinds import Kind

Json = dict[str, Any]

MERGE = "application/merge-patch+json"
TIMEOUT_SECONDS = 20.0


class RefusedError(Exception):
    """The API server refused a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Kube:
    """Requests of one user to one API server. May be used from several threads."""

    def __init__(self, url: str, pki: Path, client: str = "admin") -> None:
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")
        self._url = url
        self._pool = urllib3.PoolManager(ssl_context=tls, maxsize=8, timeout=TIMEOUT_SECONDS, retries=False)

    def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        """The object; None where there is none."""
        try:
            return self.request("GET", kind.path(namespace, name))
        except RefusedError as refused:
            if refused.code == 404:
                return None
            raise

    def history(self, kind: Kind, namespace: str, since: str) -> list[Json]:
        """Every state that objects of a kind were in since a resourceVersion, as a watch tells it."""
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "1"}
        url = f"{self._url}{kind.path(namespace)}?{urlencode(query)}"
        events = [json.loads(line) for line in self._pool.request("GET", url).data.splitlines()]
        assert all(event["type"] != "ERROR" for event in events), events
        return [event["object"] for event in events]

    def list(self, kind: Kind, namespace: str | None = None, selector: str = "") -> list[Json]:
        """All objects of a kind, in one namespace or in all."""
        items: list[Json] = self.request("GET", kind.path(namespace), query={"labelSelector": selector})["items"]
        return items

    def create(self, kind: Kind, namespace: str | None, body: Json) -> Json:
        """Create an object, under strict validation as kubectl asks for it."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind, **body}
        return self.request("POST", kind.path(namespace), whole, query={"fieldValidation": "Strict"})

    def patch(self, kind: Kind, namespace: str | None, name: str, patch: Json, subresource: str | None = None) -> Json:
        """Change an object by a JSON merge patch, as somebody with kubectl edit would."""
        path = kind.path(namespace, name, subresource)
        query = {"fieldValidation": "Strict", "fieldManager": "kubectl-edit"}
        return self.request("PATCH", path, patch, query=query, content_type=MERGE)

    def delete(self, kind: Kind, namespace: str | None, name: str, propagation: str = "Background") -> None:
        """Delete an object."""
        self.request("DELETE", kind.path(namespace, name), {"propagationPolicy": propagation})

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: dict[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Json:
        """One request. Raises RefusedError with the API server's own words."""
        url = f"{self._url}{path}?{urlencode(query or {})}"
        data = json.dumps(body) if body is not None else None
        answer = self._pool.request(method, url, body=data, headers={"Content-Type": content_type, "Accept": accept})
        if answer.status >= 400:
            raise RefusedError(answer.status, _message(answer.data))
        content: Json = json.loads(answer.data)
        return content


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return raw.decode(errors="replace")
