"""What a route says of a revision: whether it gets requests, is known to the gateway, or is forgotten."""

from __future__ import annotations

import pytest

from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.observed import Route
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling

HEADER = (("x-cohort", "beta"),)
WEIGHT = Route(exists=True, weights={"a": 1, "b": 99})
NAMED = Route(exists=True, weights={"a": 0, "b": 100})
ELSEWHERE = Route(exists=True, weights={"b": 100}, matches=(Match(HEADER, "b"),), mirror=Mirror("b", 10))
MATCHED = Route(exists=True, weights={"a": 0, "b": 100}, matches=(Match(HEADER, "b"), Match(HEADER, "a")))
COPIED = Route(exists=True, weights={"b": 100}, mirror=Mirror("a", 10))


@pytest.mark.parametrize(
    ("route", "reaches", "names"),
    [
        (Route(), False, False),
        (ELSEWHERE, False, False),
        (NAMED, False, True),
        (WEIGHT, True, True),
        (MATCHED, True, True),
        (COPIED, True, True),
    ],
)
def test_whether_a_revision_gets_requests_or_is_named_at_all(route: Route, *, reaches: bool, names: bool) -> None:
    assert (route.reaches("a"), route.names("a")) == (reaches, names)


@pytest.mark.parametrize(
    ("route", "accepted", "knows", "spares", "forgot"),
    [
        # Without a route the gateway sends nothing to anybody.
        (Route(), False, False, True, True),
        (ELSEWHERE, False, False, False, False),
        (ELSEWHERE, True, False, True, True),
        (NAMED, False, False, False, False),
        (NAMED, True, True, True, False),
        (WEIGHT, False, True, False, False),
        (WEIGHT, True, True, False, False),
    ],
)
def test_what_the_gateway_knows_of_a_revision(
    route: Route, *, accepted: bool, knows: bool, spares: bool, forgot: bool
) -> None:
    route = Route(route.exists, route.weights, route.matches, route.mirror, accepted)
    assert (route.knows("a"), route.spares("a"), route.forgot("a")) == (knows, spares, forgot)


def test_a_revision_whose_object_somebody_deleted_is_not_named() -> None:
    """The gateway would refuse a route that leads to nothing, and with it all the requests of the others."""
    scene = rolling({})
    scene.run(10)
    assert scene.status.previous is not None
    previous = scene.status.previous.revision
    assert scene.route.weights[previous] == 0
    scene.pods.pop(previous)
    plan = scene.look().plan
    assert plan is not None
    assert plan.route is not None
    assert [revision for revision, _ in plan.route.weights] == [scene.stable]


def test_a_route_at_rest_names_who_serves() -> None:
    scene = healthy()
    assert scene.route.weights == {scene.stable: 100}
