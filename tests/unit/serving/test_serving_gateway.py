"""What gateways say of a route: accepted means all of them, this generation, and that its backends exist."""

from __future__ import annotations

from typing import Any

import pytest

from serin.rollout.observed import Route
from serin.serving.gateway import observe_route
from serin.serving.live import Live

Json = dict[str, Any]
PUBLIC: Json = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"}
INNER: Json = {**PUBLIC, "name": "inner"}
LISTENER: Json = {**PUBLIC, "sectionName": "https"}


def says(parent: Json, generation: int = 3, **words: str) -> Json:
    """The answer of one gateway: ``words`` are reasons by condition; "True" for the good one."""
    conditions = [
        {
            "type": kind,
            "status": "True" if reason == "True" else "False",
            "reason": kind if reason == "True" else reason,
            "message": "" if reason == "True" else "because",
            "observedGeneration": generation,
        }
        for kind, reason in words.items()
    ]
    return {"parentRef": parent, "conditions": conditions}


def fine(parent: Json, generation: int = 3) -> Json:
    return says(parent, generation, Accepted="True", ResolvedRefs="True")


def observed(parents: list[Json], answers: list[Json], backends: list[Json] | None = None) -> Route:
    spec: Json = {"parentRefs": parents, "rules": [{"backendRefs": backends or []}]}
    route = Live("fraud", "payments", "u", "1", 3, "uid-1", {}, spec, {"parents": answers})
    return observe_route(route, lambda service: service.removesuffix("-predictor"))


@pytest.mark.parametrize(
    ("parents", "answers", "accepted", "refused", "pending"),
    [
        ([PUBLIC], [], False, False, False),
        ([PUBLIC], [fine(PUBLIC)], True, False, False),
        ([PUBLIC], [fine(PUBLIC, 2)], False, False, True),
        ([PUBLIC], [says(PUBLIC, Accepted="True")], False, False, False),
        ([PUBLIC], [says(PUBLIC, Accepted="NotAllowedByListeners", ResolvedRefs="True")], False, True, False),
        ([PUBLIC], [says(PUBLIC, Accepted="True", ResolvedRefs="BackendNotFound")], False, True, False),
        ([PUBLIC], [says(PUBLIC, 2, Accepted="NotAllowedByListeners", ResolvedRefs="True")], False, False, False),
        ([PUBLIC, INNER], [fine(PUBLIC)], False, False, False),
        ([PUBLIC, INNER], [fine(PUBLIC), fine(INNER)], True, False, False),
        (
            [PUBLIC, INNER],
            [fine(PUBLIC), says(INNER, Accepted="NoMatchingParent", ResolvedRefs="True")],
            False,
            True,
            False,
        ),
        ([PUBLIC, INNER], [fine(PUBLIC), fine(INNER, 2)], False, False, True),
        ([PUBLIC, INNER], [fine(PUBLIC, 2), says(INNER, 2, Accepted="No", ResolvedRefs="True")], False, False, False),
        ([LISTENER], [fine(PUBLIC)], False, False, False),
        ([LISTENER], [fine(LISTENER)], True, False, False),
        ([{**PUBLIC, "namespace": "payments"}], [fine({"name": "public"})], True, False, False),
        ([PUBLIC], [fine({"name": "public"})], False, False, False),
        ([], [fine(PUBLIC)], False, False, False),
    ],
)
def test_accepted(parents: list[Json], answers: list[Json], *, accepted: bool, refused: bool, pending: bool) -> None:
    route = observed(parents, answers)
    assert (route.exists, route.accepted, route.refusal is not None, route.pending) == (
        True,
        accepted,
        refused,
        pending,
    )


def test_a_refusal_names_the_gateway_and_its_words() -> None:
    refusals = [says(PUBLIC, Accepted="Pending", ResolvedRefs="True"), says(INNER, Accepted="True", ResolvedRefs="No")]
    assert observed([PUBLIC, INNER], refusals).refusal == (
        "gateway gateways/public: Pending: because; gateway gateways/inner: No: because"
    )


def test_weights_by_revision() -> None:
    backends: list[Json] = [{"name": "a-predictor", "weight": 90}, {"name": "b-predictor", "weight": 0}, {"name": "c"}]
    assert dict(observed([PUBLIC], [], backends).weights) == {"a": 90, "b": 0, "c": 1}


def test_no_route() -> None:
    assert observe_route(None, str) == Route()
