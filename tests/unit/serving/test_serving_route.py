"""The route as it is written and as it is read back: weights, headers, shadows, for both families of gateways."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.api.modeldeployment import GatewayRef
from serin.api.rollout import DIRECT_HEADER
from serin.rollout.decision import PlannedRoute
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Route
from serin.serving.compare import merge
from serin.serving.gateway import copies_all
from serin.serving.gateway import moved
from serin.serving.gateway import observe_route
from serin.serving.gateway import render_route
from serin.serving.gateway import share_of_ids
from serin.serving.live import Live

Json = dict[str, Any]
GATEWAYS = (GatewayRef(name="public", namespace="gateways"), GatewayRef(name="inner", namespace="g", section_name="a"))
PREFIXES = [f"{number:03x}" for number in range(4096)]
REVISIONS = ("fraud-v1-a", "fraud-v2-b", "fraud-v3-c")
DIRECT = Match(((DIRECT_HEADER, "candidate"),), REVISIONS[1])
BETA = Match((("x-app", "web"), ("x-cohort", "beta")), REVISIONS[1])


def rendered(route: PlannedRoute, *, by_request_id: bool = False) -> Json:
    return render_route(
        route, {"name": "fraud"}, lambda revision: f"{revision}-predictor", 80, by_request_id=by_request_id
    )


def observed(body: Json, *, accepted: bool = True) -> Route:
    conditions = [{"type": kind, "status": "True", "observedGeneration": 3} for kind in ("Accepted", "ResolvedRefs")]
    parents = [{"parentRef": parent, "conditions": conditions} for parent in body["spec"]["parentRefs"]]
    status = {"parents": parents if accepted else []}
    live = Live("fraud", "payments", "u", "1", 3, "uid-1", {}, body["spec"], status)
    return observe_route(live, lambda service: service.removesuffix("-predictor"))


def planned(
    weights: dict[str, int], matches: tuple[Match, ...] = (), mirror: Mirror | None = None, **changes: Any
) -> PlannedRoute:
    fields = {"hostnames": ("fraud.test",), "gateways": GATEWAYS, "timeout": "30s", **changes}
    return PlannedRoute(weights=tuple(sorted(weights.items())), matches=matches, mirror=mirror, **fields)


def test_where_a_route_is_attached_and_by_which_names_is_read_back_as_it_was_written() -> None:
    route = observed(rendered(planned({"fraud-v1-a": 100}, hostnames=("a.test", "b.test"))))
    assert (route.gateways, route.hostnames) == (GATEWAYS, ("a.test", "b.test"))


def test_gateways_that_a_hand_wrote_are_read_too_and_what_is_none_is_not() -> None:
    body = rendered(planned({"fraud-v1-a": 100}))
    body["spec"]["parentRefs"] = [{"name": "Mine"}, {"group": "", "kind": "Service", "name": "mesh"}]
    del body["spec"]["hostnames"]
    route = observed(body)
    (gateway,) = route.gateways
    assert (gateway.name, gateway.namespace, gateway.section_name) == ("Mine", "payments", None)
    assert route.hostnames == ()


@pytest.mark.parametrize("percent", range(1, 100))
def test_a_share_of_all_request_ids_is_exactly_that_share(percent: int) -> None:
    pattern = share_of_ids(percent)
    chosen = [prefix for prefix in PREFIXES if re.fullmatch(pattern, f"{prefix}31f86-5d0b-4d0c-9a0a-000000000000")]
    assert len(chosen) == round(percent * 4096 / 100)
    assert chosen == PREFIXES[: len(chosen)]


@pytest.mark.parametrize("percent", range(1, 100))
def test_the_expression_is_one_that_every_engine_reads_alike(percent: int) -> None:
    """RE2 has neither look-around nor references; only classes of digits, dots and alternatives are used."""
    assert re.fullmatch(r"\((([0-9a-f]|\[[0-9a-f]+\]|\.)+\|?)+\)\.\*", share_of_ids(percent))
    assert "[]" not in share_of_ids(percent)
    assert "|)" not in share_of_ids(percent)


def test_shares_grow() -> None:
    assert len({share_of_ids(percent) for percent in range(1, 100)}) == 99


@st.composite
def routes(draw: st.DrawFn) -> PlannedRoute:
    weight = draw(st.integers(0, 100))
    headers = st.dictionaries(
        st.from_regex(r"x-[a-z]{1,6}", fullmatch=True), st.text("abc-", min_size=1, max_size=5), min_size=1, max_size=3
    )
    matches = draw(st.lists(st.tuples(headers, st.sampled_from(REVISIONS[:2])), max_size=4))
    percent = draw(st.none() | st.integers(1, 100))
    return planned(
        {REVISIONS[0]: 100 - weight, REVISIONS[1]: weight, **draw(st.sampled_from([{}, {REVISIONS[2]: 0}]))},
        tuple(Match(tuple(sorted(chosen.items())), revision) for chosen, revision in matches),
        Mirror(REVISIONS[1], percent) if percent is not None else None,
    )


@given(route=routes(), by_request_id=st.booleans())
def test_what_is_written_is_what_is_read(route: PlannedRoute, *, by_request_id: bool) -> None:
    seen = observed(rendered(route, by_request_id=by_request_id))
    assert (dict(seen.weights), seen.matches, seen.mirror) == (dict(route.weights), route.matches, route.mirror)
    assert seen.accepted
    assert not observed(rendered(route), accepted=False).accepted


@given(route=routes(), by_request_id=st.booleans())
def test_every_rule_waits_as_long_and_takes_every_path(route: PlannedRoute, *, by_request_id: bool) -> None:
    rules = rendered(route, by_request_id=by_request_id)["spec"]["rules"]
    for rule in rules:
        assert rule["timeouts"] == {"request": "30s"}
        assert [match["path"] for match in rule["matches"]] == [{"type": "PathPrefix", "value": "/"}]
        assert sum(backend["weight"] for backend in rule["backendRefs"]) in (1, 100)
    plain = [rule for rule in rules if "headers" not in rule["matches"][0]]
    assert len(plain) == 1, "requests without any header have one rule"


@given(live=routes(), wanted=routes(), timed=st.booleans())
def test_a_route_that_is_only_moved_sends_requests_as_wanted_and_stays_as_it_is(
    live: PlannedRoute, wanted: PlannedRoute, *, timed: bool
) -> None:
    """``timed``: the schema of the cluster has timeouts."""
    before, after = rendered(replace(live, timeout="7s")), rendered(wanted)
    for rule in before["spec"]["rules"] if not timed else ():
        del rule["timeouts"]
    spec = merge(before["spec"], moved(before["spec"], after["spec"]))
    now, then = observed({"spec": spec}), observed(after)
    assert (now.weights, now.matches, now.mirror) == (then.weights, then.matches, then.mirror)
    assert (spec["hostnames"], spec["parentRefs"]) == (before["spec"]["hostnames"], before["spec"]["parentRefs"])
    assert all(rule.get("timeouts") == ({"request": "7s"} if timed else None) for rule in spec["rules"])
    assert moved(spec, after["spec"]) == {}


def test_a_shadow_by_percent_and_by_request_id() -> None:
    route = planned({REVISIONS[0]: 100, REVISIONS[1]: 0}, (DIRECT,), Mirror(REVISIONS[1], 20))
    *_, last = rendered(route)["spec"]["rules"]
    copies = {"group": "", "kind": "Service", "name": "fraud-v2-b-predictor", "port": 80}
    assert last["filters"] == [{"type": "RequestMirror", "requestMirror": {"backendRef": copies, "percent": 20}}]
    _, some, rest = rendered(route, by_request_id=True)["spec"]["rules"]
    assert some["filters"] == [{"type": "RequestMirror", "requestMirror": {"backendRef": copies}}]
    assert some["matches"][0]["headers"] == [
        {"type": "RegularExpression", "name": "x-request-id", "value": share_of_ids(20)}
    ]
    assert "filters" not in rest
    assert some["backendRefs"] == rest["backendRefs"]


@pytest.mark.parametrize("by_request_id", [False, True])
def test_a_shadow_of_everything_needs_no_share(*, by_request_id: bool) -> None:
    route = planned({REVISIONS[0]: 100, REVISIONS[1]: 0}, (), Mirror(REVISIONS[1], 100))
    (rule,) = rendered(route, by_request_id=by_request_id)["spec"]["rules"]
    assert "percent" not in rule["filters"][0]["requestMirror"]


def test_headers_count_before_weights_and_all_of_them() -> None:
    first, second, last = rendered(planned({REVISIONS[0]: 99, REVISIONS[1]: 1}, (DIRECT, BETA)))["spec"]["rules"]
    assert first["matches"][0]["headers"] == [{"type": "Exact", "name": DIRECT_HEADER, "value": "candidate"}]
    assert [header["name"] for header in second["matches"][0]["headers"]] == ["x-app", "x-cohort"]
    assert [backend["name"] for backend in second["backendRefs"]] == ["fraud-v2-b-predictor"]
    assert [backend["weight"] for backend in last["backendRefs"]] == [99, 1]


def test_gateways_and_names() -> None:
    spec = rendered(planned({REVISIONS[0]: 100}))["spec"]
    assert spec["hostnames"] == ["fraud.test"]
    assert [(one["name"], one["namespace"], one.get("sectionName")) for one in spec["parentRefs"]] == [
        ("public", "gateways", None),
        ("inner", "g", "a"),
    ]


def test_a_share_that_a_hand_changed_is_none_of_ours() -> None:
    body = rendered(planned({REVISIONS[0]: 100, REVISIONS[1]: 0}, (), Mirror(REVISIONS[1], 20)), by_request_id=True)
    body["spec"]["rules"][0]["matches"][0]["headers"][0]["value"] = "(ff.).*"
    assert observed(body).mirror == Mirror(REVISIONS[1], 0)


def answer(
    controller: str, *conditions: str, generation: int = 3, status: str = "True", gateway: str = "public"
) -> Json:
    """What a controller says of the route for a gateway."""
    said = [
        {"type": kind, "status": status, "observedGeneration": generation, "reason": "Told", "message": "no"}
        for kind in conditions
    ]
    return {"parentRef": {"name": gateway, "namespace": "gateways"}, "controllerName": controller, "conditions": said}


def answered(*parents: Json, count: int = 1) -> Live:
    gateways = (GatewayRef(name="public", namespace="gateways"), GatewayRef(name="inner", namespace="gateways"))
    spec = rendered(planned({REVISIONS[0]: 100}, gateways=gateways[:count]))["spec"]
    return Live("fraud", "payments", "u", "1", 3, "uid-1", {}, spec, {"parents": list(parents)})


ENVOY, CONTOUR = "gateway.envoyproxy.io/gatewayclass-controller", "projectcontour.io/gateway-controller"
ACCEPTS = answer(ENVOY, "Accepted", "ResolvedRefs")
REFUSES = answer(ENVOY, "Accepted", "ResolvedRefs", status="False")
POLICY = answer("kuadrant.io/policy-controller", "kuadrant.io/AuthPolicyAffected")
LEFT_BEHIND = answer(CONTOUR, "Accepted", "ResolvedRefs", generation=2)


@pytest.mark.parametrize("others", [[], [POLICY], [LEFT_BEHIND], [POLICY, LEFT_BEHIND]])
@pytest.mark.parametrize("first", [False, True])
def test_who_else_speaks_of_a_route_changes_nothing(others: list[Json], *, first: bool) -> None:
    def seen(*mine: Json) -> Route:
        parents = (*others, *mine) if first else (*mine, *others)
        return observe_route(answered(*parents), lambda service: service)

    assert seen(ACCEPTS).accepted
    assert seen(REFUSES).refusal == "gateway gateways/public: Told: no"
    assert not seen(REFUSES).accepted
    assert not seen().accepted
    assert seen().refusal is None


@pytest.mark.parametrize(
    ("parents", "copies"),
    [
        ([answer(CONTOUR, "Accepted")], True),
        ([ACCEPTS], False),
        ([LEFT_BEHIND], True),
        ([LEFT_BEHIND, ACCEPTS], False),
        ([POLICY, LEFT_BEHIND], True),
        ([answer(CONTOUR, "Accepted", gateway="of before"), ACCEPTS], False),
        ([{"controllerName": CONTOUR}], True),
        ([], False),
    ],
)
def test_gateways_that_copy_everything_are_known_by_their_controller(parents: list[Json], *, copies: bool) -> None:
    assert copies_all(answered(*parents)) == copies
    assert not copies_all(None)


@pytest.mark.parametrize("generation", [2, 3, 4])
def test_of_two_gateways_it_makes_no_difference_who_answers_first(generation: int) -> None:
    """Otherwise the route would be written anew at each answer, and each is an answer to the last write."""
    inner = answer(CONTOUR, "Accepted", "ResolvedRefs", generation=generation, gateway="inner")
    assert copies_all(answered(ACCEPTS, inner, count=2))
    assert copies_all(answered(inner, ACCEPTS, count=2))


@pytest.mark.parametrize("mirror", [None, Mirror("fraud-v2-b", 20)])
def test_the_timeout_is_read_back_as_it_was_written(mirror: Mirror | None) -> None:
    body = rendered(planned({"fraud-v1-a": 100}, mirror=mirror, timeout="7s"))
    assert observed(body).timeout == "7s"
    for rule in body["spec"]["rules"]:
        del rule["timeouts"]
    assert observed(body).timeout is None
