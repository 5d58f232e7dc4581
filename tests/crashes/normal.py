"""States and events without what differs from run to run: uids, versions, times, the namespace's name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from serin.api.kinds import EVENT
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import WORKLOAD
from tests.crashes.view import OURS
from tests.crashes.view import Past

Json = dict[str, Any]
State = dict[str, Any]

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
POD_NAME = re.compile(r"(-predictor)-[0-9a-f]{6,10}-[0-9a-z]{5}\b")
KEPT = ("name", "labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp")
# Of a child, by whom it is written last differs, and KServe and the gateway write into their own status.
WITHOUT_STATUS = frozenset({*OURS, WORKLOAD})


def state(past: Past, namespace: str) -> State:
    """Everything that is there, by kind and name."""
    found = {}
    for (kind, name), body in sorted(past.objects.items(), key=lambda item: (item[0][0].kind, item[0][1])):
        if kind in (MODEL_DEPLOYMENT, INFERENCE_SERVICE, HTTP_ROUTE) or kind in OURS:
            found[f"{kind.kind}/{name}"] = _object(body, namespace, status=kind not in WITHOUT_STATUS)
        elif kind is WORKLOAD:
            found[f"{kind.kind}/{name}"] = {"replicas": body["spec"]["replicas"]}
    return found


def going(past: Past) -> list[str]:
    """What finalizers and the garbage collector have still to take: no end is reached before."""
    alive = {body["metadata"]["uid"] for body in past.objects.values()}
    return [
        f"{kind.kind}/{name}"
        for (kind, name), body in past.objects.items()
        if "deletionTimestamp" in body["metadata"]
        or any(owner["uid"] not in alive for owner in body["metadata"].get("ownerReferences") or ())
    ]


def events(past: Past, namespace: str) -> list[str]:
    """What was told, sorted; the same twice stands here twice."""
    told = [body for (kind, _), body in past.objects.items() if kind is EVENT and _is_ours(body)]
    return sorted(_text(f"{one['type']} {one['reason']}: {one['note']}", namespace) for one in told)


def differences(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Where two states differ: path, what is expected, what is."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{at}.{key}" if at else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{at}[{place}]")
    elif one != other:
        yield f"{at}: expected {_short(one)}, is {_short(other)}"


def _is_ours(event: Json) -> bool:
    return str(event.get("reportingController", "")).startswith("serin")


def _object(body: Json, namespace: str, *, status: bool) -> Json:
    metadata = {key: value for key, value in body["metadata"].items() if key in KEPT}
    metadata["ownerReferences"] = [{**owner, "uid": "UID"} for owner in metadata.get("ownerReferences", ())]
    kept = {"metadata": metadata, "spec": body.get("spec")}
    if status:
        kept["status"] = body.get("status")
    normal: Json = json.loads(_text(json.dumps(kept), namespace))
    return normal


def _text(text: str, namespace: str) -> str:
    return POD_NAME.sub(r"\1-POD", TIME.sub("TIME", text.replace(namespace, "NS")))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + "..."
