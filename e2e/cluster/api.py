"""The few requests that bringing up a cluster needs, by the standard library: no client to configure or to wait for."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

_READ_SECONDS = 10.0
# KServe's biggest CRD takes a busy API server a while.
_WRITE_SECONDS = 60.0
_MANAGER = "serin-cluster"


class ApiError(RuntimeError):
    """The API server refused a request."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """An administrator's requests to one API server. One connection a request: the server may come and go."""

    def __init__(self, address: str, port: int, pki: Path, client: str = "admin") -> None:
        self._address = address
        self._port = port
        self._tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._tls.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")

    def ready(self) -> str | None:
        """None when the API server is ready, otherwise why it is not."""
        return self._refusal("/readyz")

    def get(self, path: str) -> Any:
        """The object at `path`.

        Raises:
            ApiError: with the code of the refusal (404 when there is none).
        """
        return json.loads(self._request("GET", path))

    def missing(self, path: str) -> str | None:
        """None when there is an object at `path`, otherwise why it cannot be had."""
        return self._refusal(path)

    def apply(self, path: str, manifest: dict[str, Any]) -> None:
        """Server-side apply `manifest` at `path`, taking over fields that others own."""
        self._request("PATCH", f"{path}?fieldManager={_MANAGER}&force=true", json.dumps(manifest))

    def _refusal(self, path: str) -> str | None:
        try:
            self._request("GET", path)
        except (OSError, http.client.HTTPException, ApiError) as error:
            return str(error).replace("\n", " ")
        return None

    def _request(self, method: str, path: str, body: str | None = None) -> bytes:
        timeout = _READ_SECONDS if body is None else _WRITE_SECONDS
        connection = http.client.HTTPSConnection(self._address, self._port, timeout=timeout, context=self._tls)
        try:
            connection.request(method, path, body, {"Content-Type": "application/apply-patch+yaml"})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 300:
            raise ApiError(response.status, answer.decode(errors="replace"))
        return answer


def unhealthy(address: str, port: int, path: str) -> str | None:
    """None when a plain HTTP health check answers 200, otherwise why it does not."""
    connection = http.client.HTTPConnection(address, port, timeout=_READ_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        said = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"http://{address}:{port}{path}: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else f"http://{address}:{port}{path}: {response.status}: {said}"
