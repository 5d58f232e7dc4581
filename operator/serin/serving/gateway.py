"""The HTTPRoute of a ModelDeployment: written whole from the plan, read back as the gateway reports it.

Every field the API server would default is set here, so that the live rules can be compared as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serin.api.kinds import HTTP_ROUTE
from serin.rollout.decision import PlannedRoute
from serin.rollout.observed import Route
from serin.serving.live import Json
from serin.serving.live import Live

GATEWAY_GROUP = "gateway.networking.k8s.io"


def render_route(route: PlannedRoute, metadata: Json, service: Callable[[str], str], port: int) -> Json:
    """The HTTPRoute. ``service`` names the Service of a revision."""
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": metadata,
        "spec": {
            "parentRefs": [
                {
                    "group": GATEWAY_GROUP,
                    "kind": "Gateway",
                    "name": gateway.name,
                    "namespace": gateway.namespace,
                    **({"sectionName": gateway.section_name} if gateway.section_name else {}),
                }
                for gateway in route.gateways
            ],
            "hostnames": list(route.hostnames),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "timeouts": {"request": route.timeout},
                    "backendRefs": [
                        {"group": "", "kind": "Service", "name": service(revision), "port": port, "weight": weight}
                        for revision, weight in route.weights
                    ],
                }
            ],
        },
    }


def observe_route(live: Live | None, revision: Callable[[str], str]) -> Route:
    """The route as it is and as its gateways see it. ``revision`` is the inverse of render's ``service``."""
    if live is None:
        return Route()
    parents = live.spec.get("parentRefs") or []
    answers = [_answer(parent, live) for parent in parents]
    refusals = [answer for answer in answers if answer not in (None, "")]
    return Route(
        exists=True,
        weights=_weights(live, revision),
        accepted=bool(answers) and all(answer == "" for answer in answers),
        refusal="; ".join(str(refusal) for refusal in refusals) or None,
    )


def _weights(live: Live, revision: Callable[[str], str]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for rule in live.spec.get("rules") or []:
        for backend in rule.get("backendRefs") or []:
            weights[revision(backend["name"])] = backend.get("weight", 1)
    return weights


def _answer(parent: Json, live: Live) -> str | None:
    """What the gateway says of this generation: "" accepted, None not yet anything, otherwise its refusal.

    Accepted alone does not tell that the backends exist: that is ResolvedRefs.
    """
    for status in live.status.get("parents") or []:
        if not _same_parent(status.get("parentRef") or {}, parent, live.namespace):
            continue
        current = {
            condition["type"]: condition
            for condition in status.get("conditions") or []
            if condition.get("observedGeneration") == live.generation
        }
        for name in ("Accepted", "ResolvedRefs"):
            condition = current.get(name)
            if condition is None:
                return None
            if condition.get("status") != "True":
                gateway = f"{parent.get('namespace')}/{parent['name']}"
                return f"gateway {gateway}: {condition.get('reason')}: {condition.get('message', '')}".strip()
        return ""
    return None


def _same_parent(one: Json, other: Json, namespace: str) -> bool:
    def key(ref: Json) -> tuple[Any, ...]:
        return (ref.get("name"), ref.get("namespace", namespace), ref.get("sectionName"))

    return key(one) == key(other)
