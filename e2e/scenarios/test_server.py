"""What the model server owes the gateway: connections that stay open, so that no request is lost on one."""

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.world import GOOD

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

_PORT = 8080
_SHAPES = {"good": [1, 1], "of another shape": [1, 3]}


@pytest.mark.starting(version=GOOD)
def test_a_request_that_fails_leaves_its_connection_open(ping: Deployment) -> None:
    """Gateways send the requests of many clients over one connection: whoever is next shall not pay for the last."""
    with _connection(ping) as connection:
        first = connection.sock
        status, text = _ask(ping, connection, "of another shape")
        assert status == HTTPStatus.INTERNAL_SERVER_ERROR
        assert "Shape of input (1, 3) does not match" in json.loads(text)["error"]
        assert "Traceback" not in text
        status, _ = _ask(ping, connection, "good")
        assert status == HTTPStatus.OK
        # http.client opens another one where the server has closed it.
        assert connection.sock is first


@contextmanager
def _connection(ping: Deployment) -> Iterator[http.client.HTTPConnection]:
    """To the model server itself, past the gateway."""
    (pod,) = ping.pods()
    forward = ping.world.kubectl.command(
        "port-forward", f"pod/{pod['metadata']['name']}", "-n", ping.namespace, f":{_PORT}"
    )
    with subprocess.Popen(forward, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # Forwarding from 127.0.0.1:34567 -> 8080
            port = int(process.stdout.readline().partition(" -> ")[0].rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
            connection.connect()
            yield connection
            connection.close()
        finally:
            process.terminate()


def _ask(ping: Deployment, connection: http.client.HTTPConnection, shape: str) -> tuple[int, str]:
    rows, columns = _SHAPES[shape]
    data = [1.0] * rows * columns
    body = {"inputs": [{"name": "input-0", "shape": [rows, columns], "datatype": "FP64", "data": data}]}
    connection.request("POST", ping.endpoint.path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
