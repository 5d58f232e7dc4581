"""Prometheus as a platform team would have it: it scrapes every pod that is annotated, and knows nothing of Serin.

Asked through the API server's proxy, so that it works on any cluster.
"""

import hashlib
import json
from collections.abc import Mapping
from urllib.parse import urlencode

from e2e.stack.component import Component
from e2e.stack.component import namespace
from e2e.stack.component import own_manifest
from e2e.stack.component import set_images
from e2e.stack.kubectl import Kubectl
from e2e.stack.kubectl import Object

NAMESPACE = "monitoring"
URL = "http://prometheus.monitoring.svc:9090"
"""Prometheus, as pods reach it."""

_PROXY = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus:http/proxy"


def query(kubectl: Kubectl, promql: str, at: float | None = None) -> list[Object]:
    """The result of an instant query, now or at a moment (unix time): each element has `metric` and `value`, [unix
    time, text]; or `values`, where a query asks for a range.

    Raises:
        KubectlError: Prometheus does not answer, or refuses the query; with its words.
    """
    asked = {"query": promql, **({} if at is None else {"time": f"{at:.3f}"})}
    answer = kubectl.run("get", "--raw", f"{_PROXY}/api/v1/query?{urlencode(asked)}")
    result: list[Object] = json.loads(answer)["data"]["result"]
    return result


def _objects(_: Kubectl, references: Mapping[str, str]) -> list[Object]:
    objects = own_manifest("prometheus")
    set_images(objects, references)
    config = next(found for found in objects if found["kind"] == "ConfigMap")
    deployment = next(found for found in objects if found["kind"] == "Deployment")
    # Its configuration is read at its start: another one is another pod.
    digest = hashlib.sha256(json.dumps(config["data"]).encode()).hexdigest()
    deployment["spec"]["template"]["metadata"]["annotations"] = {"checksum/config": digest}
    return [namespace(NAMESPACE), *objects]


COMPONENT = Component("monitoring", ("prometheus",), _objects)
