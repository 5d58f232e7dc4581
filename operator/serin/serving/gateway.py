"""The HTTPRoute of a ModelDeployment: written whole from the plan, read back as the gateway reports it.

Every field the API server would default is set here, so that the live rules can be compared as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from serin.api.kinds import HTTP_ROUTE
from serin.api.modeldeployment import GatewayRef
from serin.rollout.course import ALL
from serin.rollout.decision import PlannedRoute
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Route
from serin.serving.live import Json
from serin.serving.live import Live

GATEWAY_GROUP = "gateway.networking.k8s.io"


# What a Gateway API implementation does with RequestMirror.percent cannot be asked: Contour up to 1.33 copies every
# request (internal/dag/gatewayapi_processor.go, Weight: 100). It gives each request a random x-request-id before it
# looks for the route, as every Envoy does, so a share is told by the first digits of that.
COPIES_ALL = frozenset({"projectcontour.io/gateway-controller"})
REQUEST_ID = "x-request-id"
ANSWERS = ("Accepted", "ResolvedRefs")
"""Conditions by which a gateway answers."""
PATH = {"type": "PathPrefix", "value": "/"}


def render_route(
    route: PlannedRoute, metadata: Json, service: Callable[[str], str], port: int, *, by_request_id: bool = False
) -> Json:
    """The HTTPRoute. ``service`` names the Service of a revision; ``by_request_id`` is for gateways of COPIES_ALL."""

    def backend(revision: str) -> Json:
        return {"group": "", "kind": "Service", "name": service(revision), "port": port}

    shared = [{**backend(revision), "weight": weight} for revision, weight in route.weights]
    rules = [_rule(route, one.headers, [{**backend(one.revision), "weight": 1}]) for one in route.matches]
    if route.mirror is None:
        rules.append(_rule(route, (), shared))
    else:
        percent, copies = route.mirror.percent, {"backendRef": backend(route.mirror.revision)}
        if percent < ALL and by_request_id:
            rules.append(_rule(route, (), shared, copies, share_of_ids(percent)))
            rules.append(_rule(route, (), shared))
        else:
            rules.append(_rule(route, (), shared, copies | ({"percent": percent} if percent < ALL else {})))
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
            "rules": rules,
        },
    }


def _rule(
    route: PlannedRoute,
    headers: tuple[tuple[str, str], ...],
    backends: list[Json],
    mirror: Json | None = None,
    request_ids: str | None = None,
) -> Json:
    wanted = [{"type": "Exact", "name": name, "value": value} for name, value in headers]
    if request_ids is not None:
        wanted.append({"type": "RegularExpression", "name": REQUEST_ID, "value": request_ids})
    return {
        "matches": [{"path": PATH, **({"headers": wanted} if wanted else {})}],
        **({"filters": [{"type": "RequestMirror", "requestMirror": mirror}]} if mirror is not None else {}),
        "timeouts": {"request": route.timeout},
        "backendRefs": backends,
    }


def share_of_ids(percent: int) -> str:
    """A regular expression (RE2, whole text) for this percentage of all request ids.

    They are UUIDs, whose first digits are random: of 4,096 beginnings the first ones match.
    """
    first, rest = divmod(round(percent * 4096 / ALL), 256)
    second, third = divmod(rest, 16)
    parts = [
        f"{_below(first)}.." if first else "",
        f"{first:x}{_below(second)}." if second else "",
        f"{first:x}{second:x}{_below(third)}" if third else "",
    ]
    return f"({'|'.join(part for part in parts if part)}).*"


def _below(digit: int) -> str:
    """The hexadecimal digits below this one, as a character class."""
    return f"[{'0123456789abcdef'[:digit]}]"


def moved(live: Json, wanted: Json) -> Json:
    """The rules of the route as it shall be, with the timeouts of the route as it is: what moves requests and no more.

    Where the rest is refused (a schema that is another one than ours, a policy of the cluster), traffic can be moved.
    """
    rules = live.get("rules") or []
    timeouts = next(({"timeouts": rule["timeouts"]} for rule in rules if "timeouts" in rule), {})
    bare = [{key: value for key, value in rule.items() if key != "timeouts"} for rule in wanted["rules"]]
    moving = [{**rule, **timeouts} for rule in bare]
    return {} if moving == rules else {"rules": moving}


def observe_route(live: Live | None, revision: Callable[[str], str]) -> Route:
    """The route as it is and as its gateways see it. ``revision`` is the inverse of render's ``service``."""
    if live is None:
        return Route()
    parents = live.spec.get("parentRefs") or []
    answers = [_answer(parent, live) for parent in parents]
    older = [_answer(parent, live, last=True) for parent in parents]
    accepted = bool(answers) and all(answer == "" for answer in answers)
    refusals = [answer for answer in answers if answer not in (None, "")]
    return Route(
        exists=True,
        **_rules(live, revision),
        gateways=_gateways(parents, live.namespace),
        hostnames=tuple(live.spec.get("hostnames") or ()),
        since=_since(live),
        accepted=accepted,
        pending=not accepted and not refusals and bool(older) and all(answer == "" for answer in older),
        refusal="; ".join(str(refusal) for refusal in refusals) or None,
    )


def copies_all(live: Live | None) -> bool:
    """Whether a gateway of the route copies every request, whatever percentage it is asked for.

    Each is looked at alone: several answer one after the other, and the route must not be another one each time.
    """
    parents = live.spec.get("parentRefs") or [] if live is not None else []
    return live is not None and any(not COPIES_ALL.isdisjoint(_controllers(parent, live)) for parent in parents)


def _controllers(parent: Json, live: Live) -> set[str | None]:
    """Who answered last for the gateway. One that was replaced may have left its answer, to an older generation."""
    answered = [
        (_newest(status), status.get("controllerName"))
        for status in live.status.get("parents") or []
        if _same_parent(status.get("parentRef") or parent, parent, live.namespace)
    ]
    last = max((generation for generation, _ in answered), default=0)
    return {controller for generation, controller in answered if generation == last}


def _newest(status: Json) -> int:
    """The newest generation that a controller has answered for, by what only gateways say."""
    answers = [one for one in status.get("conditions") or [] if one["type"] in ANSWERS]
    return max((one.get("observedGeneration", 0) for one in answers), default=0)


def _rules(live: Live, revision: Callable[[str], str]) -> dict[str, Any]:
    """What is written by :func:`render_route`, read back. What is not of that form was changed by hand."""
    weights: dict[str, int] = {}
    matches: list[Match] = []
    mirror, timeout = None, None
    for rule in live.spec.get("rules") or []:
        backends = {revision(one["name"]): one.get("weight", 1) for one in rule.get("backendRefs") or []}
        headers = [header for match in rule.get("matches") or [] for header in match.get("headers") or []]
        exact = tuple((one["name"], one["value"]) for one in headers if one.get("type", "Exact") == "Exact")
        ids = next((one["value"] for one in headers if one["name"].lower() == REQUEST_ID), None)
        mirror = _mirror(rule, ids, revision) or mirror
        timeout = (rule.get("timeouts") or {}).get("request", timeout)
        if exact:
            matches += [Match(exact, name) for name in backends]
        else:
            weights |= backends
    return {"weights": weights, "matches": tuple(matches), "mirror": mirror, "timeout": timeout}


def _mirror(rule: Json, ids: str | None, revision: Callable[[str], str]) -> Mirror | None:
    for one in rule.get("filters") or []:
        copies = one.get("requestMirror")
        if copies is not None:
            percent = _PERCENTS.get(ids, 0) if ids is not None else copies.get("percent", ALL)
            return Mirror(revision(copies["backendRef"]["name"]), percent)
    return None


_PERCENTS = {share_of_ids(percent): percent for percent in range(1, ALL)}


def _gateways(parents: list[Json], namespace: str) -> tuple[GatewayRef, ...]:
    """Not validated: whatever a hand wrote there is no reason to read nothing of the route."""
    return tuple(
        GatewayRef.model_construct(
            name=parent["name"], namespace=parent.get("namespace", namespace), section_name=parent.get("sectionName")
        )
        for parent in parents
        if parent.get("kind", "Gateway") == "Gateway"
    )


def _since(live: Live) -> datetime | None:
    """When the last of the gateways changed its mind."""
    times = [
        condition["lastTransitionTime"]
        for parent in live.status.get("parents") or []
        for condition in parent.get("conditions") or []
        if condition.get("lastTransitionTime") and condition["type"] in ANSWERS
    ]
    return max(map(datetime.fromisoformat, times), default=None)


def _answer(parent: Json, live: Live, *, last: bool = False) -> str | None:
    """What the gateway says of this generation, or with ``last`` of that which it answered for last: "" accepted, None
    not yet anything, otherwise its refusal.

    Others may speak for the same gateway: a controller that was replaced, or one for policies, which has conditions of
    its own and none of the gateway's (Kuadrant). One that accepts is enough.
    """
    said = [
        _verdict(status, parent, _newest(status) if last else live.generation)
        for status in live.status.get("parents") or []
        if _same_parent(status.get("parentRef") or {}, parent, live.namespace)
    ]
    return "" if "" in said else next((refusal for refusal in said if refusal is not None), None)


def _verdict(status: Json, parent: Json, generation: int) -> str | None:
    """What one controller says. Accepted alone does not tell that the backends exist: that is ResolvedRefs."""
    current = {
        condition["type"]: condition
        for condition in status.get("conditions") or []
        if condition.get("observedGeneration") == generation
    }
    for name in ANSWERS:
        condition = current.get(name)
        if condition is None:
            return None
        if condition.get("status") != "True":
            gateway = f"{parent.get('namespace')}/{parent['name']}"
            return f"gateway {gateway}: {condition.get('reason')}: {condition.get('message', '')}".strip()
    return ""


def _same_parent(one: Json, other: Json, namespace: str) -> bool:
    def key(ref: Json) -> tuple[Any, ...]:
        return (ref.get("name"), ref.get("namespace", namespace), ref.get("sectionName"))

    return key(one) == key(other)
