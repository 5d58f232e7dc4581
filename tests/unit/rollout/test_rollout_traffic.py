"""Shadows, requests chosen by headers, direct access, and the replicas that all of it takes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from serin.analysis.checks import Number
from serin.analysis.checks import Unknown
from serin.api.reasons import Reason
from serin.api.rollout import DIRECT_HEADER
from serin.api.status import ConditionType
from serin.api.status import Phase
from serin.rollout.observed import Failure
from serin.rollout.observed import Match
from serin.rollout.observed import Mirror
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import seconds

BETA = {"headers": {"x-cohort": "beta", "x-app": "web"}}
SHADOW = {"weight": 0, "mirror": 20, "hold": "5m"}
CHOSEN = {"weight": 1, "match": BETA, "hold": "5m"}
HALF = {"weight": 50, "hold": "5m"}


def on(*steps: dict[str, Any], length: float = 60, ready: bool = True, **sections: Any) -> Scene:
    rollout = {"steps": list(steps)}
    scene = healthy(1, rollout=rollout, **sections)
    scene.become_ready = ready
    scene.declare(2, rollout=rollout, **sections)
    scene.run(length)
    return scene


def replicas(scene: Scene) -> dict[str, tuple[int, int]]:
    plan = scene.look().plan
    assert plan is not None
    return {one.version: (one.min_replicas, one.max_replicas) for one in plan.revisions}


def test_a_shadow_gets_copies_and_answers_nobody() -> None:
    scene = on(SHADOW, HALF)
    stable, candidate = scene.stable, scene.candidate
    assert (scene.route.shares, scene.route.mirror) == ({stable: 100}, Mirror(candidate, 20))
    assert [(share.version, share.weight, share.mirror) for share in scene.status.traffic] == [
        ("v1", 100, None),
        ("v2", 0, 20),
    ]
    assert scene.status.rollout is not None
    assert (scene.status.rollout.mirror, scene.status.rollout.weight, scene.status.phase) == (20, 0, Phase.PROGRESSING)
    scene.run(300)
    assert (scene.route.mirror, scene.weight) == (None, 50)


def test_a_step_has_begun_only_with_its_shadow_and_its_matches() -> None:
    scene = on(SHADOW, length=5)
    scene.accepts = False
    scene.run(10)
    scene.route = replace(scene.route, mirror=None, accepted=True)
    scene.look()
    assert scene.status.rollout is not None
    assert scene.status.rollout.step == 0
    scene.accept().settle()
    assert scene.status.rollout.step == 1


def test_a_shadow_has_the_replicas_for_its_copies() -> None:
    scene = on({**SHADOW, "mirror": 60}, serving={"minReplicas": 4}, ready=False)
    assert replicas(scene)["v2"] == (3, 3)
    scene.ready(scene.candidate, 2).run(60)
    assert scene.route.mirror is None
    scene.ready(scene.candidate, 3).run(10)
    assert scene.route.mirror == Mirror(scene.candidate, 60)


@pytest.mark.parametrize(
    ("step", "serving", "needed"),
    [
        ({"weight": 25, "mirror": 50}, {"minReplicas": 4}, 3),
        ({"weight": 50, "mirror": 50}, {"minReplicas": 4}, 4),
        ({"weight": 25, "mirror": 100}, {"minReplicas": 4, "maxReplicas": 8}, 5),
        ({"weight": 50, "mirror": 100}, {"minReplicas": 4, "maxReplicas": 5}, 5),
        ({"weight": 50, "mirror": 100}, {"minReplicas": 4}, 4),
    ],
)
def test_copies_are_made_of_all_requests_so_they_come_on_top_of_its_own(
    step: dict[str, Any], serving: dict[str, int], needed: int
) -> None:
    """Up to what is declared at most."""
    scene = on({"hold": "5m", **step}, serving=serving, ready=False)
    scene.ready(scene.stable, 4).ready(scene.candidate, needed - 1).run(60)
    assert replicas(scene)["v2"][0] == needed
    assert scene.route.mirror is None
    scene.ready(scene.candidate, needed).run(10)
    assert scene.weight == step["weight"]
    assert scene.route.mirror == Mirror(scene.candidate, step["mirror"])


@pytest.mark.parametrize("lag", [0, 29, 60])
def test_a_failed_shadow_gets_no_copies_and_drains(lag: int) -> None:
    scene = on(SHADOW)
    scene.platform = replace(scene.platform, proxy_lag=seconds(lag))
    candidate = scene.candidate
    scene.declare(1).settle()
    assert (scene.route.mirror, scene.route.matches) == (None, ())
    scene.run(max(29, lag - 1))
    assert candidate in scene.pods, "copies that are under way are answered, too"
    scene.run(1)
    assert candidate not in scene.pods


def test_requests_with_the_headers_of_a_step_go_to_the_candidate() -> None:
    scene = on(CHOSEN, HALF)
    stable, candidate = scene.stable, scene.candidate
    chosen = (("x-app", "web"), ("x-cohort", "beta"))
    assert set(scene.route.matches) == {
        Match(chosen, candidate),
        Match(((DIRECT_HEADER, "stable"),), stable),
        Match(((DIRECT_HEADER, "candidate"),), candidate),
        # More headers count more: without this one the cohort could not be sent to the stable one.
        Match(tuple(sorted(((DIRECT_HEADER, "stable"), *chosen))), stable),
    }
    assert scene.route.shares == {stable: 99, candidate: 1}
    scene.run(300)
    assert len(scene.route.matches) == 2, "the next step asks for no headers"


def test_direct_access_while_a_rollout_runs_and_not_before_or_after() -> None:
    scene = on(HALF, length=5)
    assert (scene.route.matches, scene.weight) == ((), 0)
    assert scene.status.rollout is not None
    assert scene.status.rollout.direct_header == DIRECT_HEADER == "x-serin-revision"
    scene.run(60)
    assert [match.revision for match in scene.route.matches] == [scene.stable, scene.candidate]
    scene.run(300)
    assert (scene.status.phase, scene.route.matches) == (Phase.HEALTHY, ())


def test_a_first_version_has_neither_matches_nor_shadow() -> None:
    scene = Scene()
    scene.run(60)
    assert (scene.route.matches, scene.route.mirror) == ((), None)


def test_matches_that_somebody_changed_are_put_right() -> None:
    scene = on(CHOSEN)
    before = scene.route
    scene.route = replace(before, matches=before.matches[:1])
    scene.settle()
    assert scene.route == before


# capacity of autoscaled models

AUTO = {"minReplicas": 2, "maxReplicas": 10, "scaling": {"target": 60}}


def autoscaled(*steps: dict[str, Any], stable: int = 6) -> Scene:
    """A stable revision that its autoscaler has given so many replicas."""
    rollout = {"steps": list(steps)}
    scene = healthy(1, rollout=rollout, serving=AUTO)
    scene.become_ready = False
    scene.ready(scene.stable, stable).declare(2, rollout=rollout, serving=AUTO).settle()
    return scene


def test_a_candidate_is_as_big_as_the_traffic_has_made_the_stable_one() -> None:
    scene = autoscaled(HALF)
    assert replicas(scene) == {"v1": (6, 10), "v2": (3, 10)}
    scene.ready(scene.candidate, 3).run(10)
    assert scene.weight == 50
    # It has half of the traffic now, and its autoscaler sees that; it must still be able to take everything back.
    scene.ready(scene.stable, 3).run(300)
    assert replicas(scene) == {"v1": (6, 10), "v2": (6, 10)}
    scene.ready(scene.candidate, 6).run(10)
    assert scene.status.previous is not None
    assert (scene.status.previous.floor, scene.status.phase) == (6, Phase.HEALTHY)
    # What its autoscaler recommended in the last five minutes was for half of the traffic.
    assert replicas(scene) == {"v2": (6, 10), "v1": (6, 10)}
    scene.run(359)
    assert replicas(scene) == {"v2": (6, 10), "v1": (6, 10)}
    scene.run(1)
    assert replicas(scene)["v2"] == (2, 10)
    assert scene.status.stable is not None
    assert (scene.status.stable.floor, scene.status.stable.floor_until) == (None, None)


def test_the_most_that_the_stable_one_had_counts_and_its_growth_gives_new_time() -> None:
    scene = autoscaled(HALF)
    scene.run(590)
    scene.ready(scene.stable, 8).run(60)
    assert (replicas(scene)["v2"], scene.status.rejected) == ((4, 10), ())
    scene.ready(scene.stable, 4).settle()
    assert replicas(scene)["v2"] == (4, 10)
    scene.run(600)
    assert len(scene.status.rejected) == 1


def halfway(bake: str = "0s", **sections: Any) -> Scene:
    """v2 has half of the traffic, or with a bake all of it, of a v1 that its autoscaler has given eight replicas."""
    rollout = {"steps": [HALF], "bake": bake, "keepPrevious": "1h", "readiness": {"stableFor": "0s"}}
    scene = healthy(1, rollout=rollout, serving=AUTO)
    scene.ready(scene.stable, 8).declare(2, rollout=rollout, serving=AUTO)
    scene.run(30 if bake == "0s" else 330)
    assert scene.weight == (50 if bake == "0s" else 100)
    scene.become_ready = False
    return scene


@pytest.mark.parametrize("bake", ["0s", "1h"])
@pytest.mark.parametrize("how", ["abort", "crash", "revert"])
def test_what_gets_everything_back_keeps_its_replicas_until_its_autoscaler_has_seen_that(how: str, bake: str) -> None:
    """It recommended fewer in the last five minutes, for what the revision had of the traffic: half, or nothing."""
    scene = halfway(bake)
    scene.accepts = False
    if how == "abort":
        scene.order(Verb.ABORT, scene.candidate)
    elif how == "crash":
        failure = Failure(Reason.LOAD_FAILED, "exit code 1", at=scene.now)
        scene.fail(scene.candidate, failure, ready=len(scene.pods[scene.candidate]))
    else:
        scene.declare(1, rollout={"steps": [HALF]}, serving=AUTO)
    assert replicas(scene)["v1"] == (8, 10)
    assert scene.status.candidate is None
    scene.run(3600)
    assert replicas(scene)["v1"] == (8, 10), "the gateway has not said that it has everything"
    scene.accept()
    scene.accepts = True
    scene.settle()
    assert scene.status.stable is not None
    assert (scene.status.stable.floor, scene.status.stable.floor_until) == (8, scene.now + seconds(360))
    scene.run(359)
    assert replicas(scene)["v1"] == (8, 10)
    scene.run(1)
    assert (replicas(scene)["v1"], scene.status.stable.floor_until) == ((2, 10), None)
    scene.writes = 0
    scene.run(86400)
    assert scene.writes == 0


def test_what_the_next_rollout_finds_to_be_needed_is_nothing_to_the_version_before() -> None:
    scene = halfway()
    scene.become_ready = True
    scene.run(330)
    scene.become_ready = False
    scene.ready(scene.stable, 10).declare(3, rollout={"steps": [HALF]}, serving=AUTO).settle()
    assert replicas(scene) == {"v1": (8, 10), "v2": (10, 10), "v3": (5, 10)}


def test_undo_gives_everything_to_one_that_keeps_its_replicas() -> None:
    scene = halfway()
    scene.become_ready = True
    scene.run(600)
    previous = scene.status.previous
    assert (previous and previous.version, replicas(scene)) == ("v1", {"v2": (8, 10), "v1": (8, 10)})
    scene.order(Verb.UNDO, scene.stable)
    assert replicas(scene)["v1"] == (8, 10)
    scene.run(359)
    assert replicas(scene)["v1"] == (8, 10)
    scene.run(1)
    assert replicas(scene) == {"v1": (2, 10)}


def test_after_a_bake_the_autoscaler_has_seen_everything() -> None:
    scene = halfway("1h")
    scene.become_ready = True
    scene.run(3600)
    assert (scene.status.phase, replicas(scene)) == (Phase.HEALTHY, {"v2": (2, 10)})


def test_what_is_not_autoscaled_keeps_no_floor_and_writes_no_more_than_before() -> None:
    scene = on(HALF, serving={"minReplicas": 2})
    assert scene.status.stable is not None
    assert (scene.status.stable.floor, scene.status.stable.floor_until) == (None, None)
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert (scene.status.stable.floor, scene.status.stable.floor_until) == (None, None)
    scene.run(60)
    scene.writes = 0
    scene.run(3600)
    assert scene.writes == 0


def test_a_floor_no_higher_than_what_is_declared_is_none() -> None:
    scene = autoscaled(HALF, stable=2)
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert scene.status.stable is not None
    assert scene.status.stable.floor is None


def test_the_next_rollout_is_sized_by_what_the_last_one_left_also_where_some_of_it_is_gone() -> None:
    scene = halfway()
    scene.order(Verb.ABORT, scene.candidate).settle()
    scene.ready(scene.stable, 3).declare(3, rollout={"steps": [HALF]}, serving=AUTO).settle()
    assert replicas(scene) == {"v1": (8, 10), "v3": (4, 10)}
    scene.order(Verb.ABORT, scene.candidate).settle()
    assert replicas(scene) == {"v1": (8, 10)}


def test_what_gets_everything_back_again_has_the_whole_time_again() -> None:
    scene = halfway()
    scene.become_ready = True
    scene.order(Verb.ABORT, scene.candidate).settle()
    rollout = {"steps": [{"weight": 50, "hold": "1h"}], "readiness": {"stableFor": "0s"}}
    scene.declare(3, rollout=rollout, serving=AUTO).run(60)
    assert scene.weight == 50
    scene.order(Verb.ABORT, scene.candidate, "again").settle()
    scene.run(359)
    assert replicas(scene)["v1"] == (8, 10)
    scene.run(1)
    assert replicas(scene)["v1"] == (2, 10)


@pytest.mark.parametrize(("most", "least"), [(10, 8), (5, 5)])
def test_going_back_to_one_whose_replicas_are_gone_takes_as_many_as_it_had(most: int, least: int) -> None:
    """The one in use is broken, and does not tell how many the traffic needs."""
    scene = halfway()
    scene.become_ready = True
    scene.run(2 * 3600)
    assert scene.status.fallback is not None
    assert (scene.status.fallback.replicas, scene.status.fallback.floor) == (0, 8)
    scene.become_ready = False
    scene.declare(2, rollout={"steps": [HALF]}, serving={**AUTO, "maxReplicas": most})
    scene.ready(scene.stable, 0).order(Verb.UNDO, scene.stable).settle()
    assert replicas(scene)["v1"] == (least, most)
    scene.ready(scene.candidate, least).run(20)
    assert (scene.status.stable and scene.status.stable.version, replicas(scene)["v1"]) == ("v1", (least, most))


def holding(step: dict[str, Any], stable: int, candidate: int, **rollout: Any) -> Scene:
    """A step that has just begun, of a stable revision that has so many replicas; the candidate has those it needs."""
    rollout = {"steps": [{"hold": "6h", **step}], "readiness": {"stableFor": "0s"}, **rollout}
    scene = healthy(1, rollout=rollout, serving=AUTO)
    scene.become_ready = False
    scene.ready(scene.stable, stable).declare(2, rollout=rollout, serving=AUTO).settle()
    scene.ready(scene.candidate, candidate).run(10)
    assert scene.status.rollout is not None
    assert (scene.status.rollout.step, replicas(scene)) == (1, {"v1": (stable, 10), "v2": (candidate, 10)})
    return scene


def test_traffic_that_grows_while_a_step_holds_is_provided_for() -> None:
    """In the night two replicas had all the traffic; by day the autoscalers give each half of it five."""
    scene = holding({"weight": 50}, 2, 1)
    scene.ready(scene.stable, 5).ready(scene.candidate, 5).run(3600)
    assert replicas(scene) == {"v1": (10, 10), "v2": (5, 10)}
    scene.ready(scene.stable, 10).run(5 * 3600)
    assert (scene.weight, replicas(scene)["v2"]) == (50, (10, 10)), "it gets everything with the replicas for that"
    scene.order(Verb.ABORT, scene.candidate)
    assert replicas(scene) == {"v1": (10, 10)}


@pytest.mark.parametrize(
    ("step", "had", "stable", "candidate", "least"),
    [
        # Whoever has the larger share shows it, and only by what it has beyond what it was asked for.
        ({"weight": 50}, (4, 2), 4, 2, 4),
        ({"weight": 50}, (4, 2), 4, 3, 6),
        ({"weight": 50}, (4, 2), 5, 2, 5),
        ({"weight": 80}, (4, 4), 5, 4, 5),
        ({"weight": 80}, (4, 4), 4, 5, 7),
        ({"weight": 57}, (4, 3), 4, 4, 8),
        ({"weight": 20}, (4, 1), 4, 3, 4),
        ({"weight": 20}, (4, 1), 5, 1, 7),
        ({"weight": 49}, (4, 2), 4, 3, 4),
        # No more than are declared at most.
        ({"weight": 50}, (4, 2), 4, 6, 10),
        # Copies are requests as well.
        ({"weight": 0, "mirror": 60}, (4, 3), 4, 6, 4),
        ({"weight": 0, "mirror": 60}, (4, 3), 5, 3, 5),
        # They are made of all of them: what answers 40 % and copies of 40 % has the load of 80 %, and replicas for it.
        ({"weight": 40, "mirror": 40}, (4, 4), 4, 4, 4),
        ({"weight": 40, "mirror": 40}, (4, 4), 4, 5, 7),
        ({"weight": 50, "mirror": 100}, (4, 6), 4, 6, 4),
        ({"weight": 50, "mirror": 100}, (4, 6), 4, 9, 6),
    ],
)
def test_what_an_autoscaler_gives_for_a_share_tells_what_everything_needs(
    step: dict[str, Any], had: tuple[int, int], stable: int, candidate: int, least: int
) -> None:
    scene = holding(step, *had)
    scene.ready(scene.stable, stable).ready(scene.candidate, candidate).settle()
    assert replicas(scene)["v1"] == (least, 10)
    assert scene.status.rollout is not None
    assert scene.status.rollout.base == least


@given(st.integers(1, 99), st.integers(2, 12), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_autoscalers_that_see_what_was_found_find_no_more(weight: int, before: int, after: int) -> None:
    """What is kept because of what was found must not be found again, and again, until nothing more may be had."""
    most = 100
    serving = {"minReplicas": 1, "maxReplicas": most}
    rollout = {"steps": [{"weight": weight, "hold": "6h"}], "readiness": {"stableFor": "0s"}}
    scene = healthy(1, rollout=rollout, serving=serving)
    scene.become_ready = False
    scene.ready(scene.stable, before).declare(2, rollout=rollout, serving=serving)

    def autoscale(traffic: int) -> int:
        seen: dict[str, Any] = {}
        while seen != scene.pods:
            seen = dict(scene.pods)
            least = {name: one for name, (one, _) in replicas(scene).items()}
            for revision, version, share in ((scene.stable, "v1", 100 - moved), (scene.candidate, "v2", moved)):
                scene.ready(revision, max(least[version], math.ceil(traffic * share / 100)))
        assert scene.status.rollout is not None
        assert scene.status.rollout.base is not None
        return scene.status.rollout.base

    moved = 0
    assert autoscale(before) == before
    scene.run(10)
    moved = scene.weight
    assert moved == weight
    assert autoscale(before) == before
    larger = max(weight, 100 - weight)
    found = autoscale(after)
    assert max(before, after * larger / 100) <= found <= max(before, after + 100 / larger + 1)
    assert found >= after or weight < 50


def test_in_the_bake_the_candidate_shows_what_the_stable_one_would_have_to_take_back() -> None:
    scene = holding({"weight": 100, "hold": "1m"}, 4, 4, bake="6h")
    scene.run(60)
    assert scene.status.phase is Phase.BAKING
    scene.ready(scene.candidate, 7).settle()
    assert replicas(scene)["v1"] == (7, 10)


def test_replicas_that_were_asked_for_and_are_not_any_more_tell_nothing() -> None:
    """The step's evidence was lost while the candidate grew: what it has is what it was asked for."""
    analysis = {"every": "30s", "checks": [{"name": "drift", "query": "drift", "atMost": 1}]}
    scene = holding({"weight": 50, "hold": "1m"}, 8, 4, analysis=analysis)
    scene.measured["drift"] = Number(0.0)
    scene.run(60)
    assert replicas(scene)["v2"] == (8, 10)
    scene.measured["drift"] = Unknown("Prometheus cannot be reached")
    scene.ready(scene.candidate, 7).run(60)
    assert scene.status.rollout is not None
    assert (scene.status.rollout.base, replicas(scene)) == (8, {"v1": (8, 10), "v2": (8, 10)})


def test_while_a_step_is_not_established_nobody_has_a_share() -> None:
    scene = holding({"weight": 50}, 4, 2)
    scene.ready(scene.candidate, 0).settle()
    scene.ready(scene.candidate, 1).settle()
    assert scene.status.rollout is not None
    assert scene.status.rollout.step_started_at is None
    scene.ready(scene.candidate, 3).wait(1)
    assert replicas(scene)["v1"] == (4, 10)


@pytest.mark.parametrize(("ready", "least"), [(1, 2), (14, 10)])
def test_neither_fewer_than_declared_nor_more(ready: int, least: int) -> None:
    scene = autoscaled({"weight": 100, "hold": "5m"}, stable=ready)
    assert replicas(scene)["v2"] == (least, 10)


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_number_that_was_fixed_is_what_all_the_traffic_needs_when_it_is_autoscaled_in_a_rollout(left: int) -> None:
    """Also where pods of the stable revision are gone just then: the candidate has their share already."""
    scene = on({"weight": 100, "hold": "6h"}, serving={"minReplicas": 4})
    scene.become_ready = False
    scene.ready(scene.stable, left)
    scene.declare(2, rollout={"steps": [{"weight": 100, "hold": "6h"}]}, serving={"minReplicas": 1, "maxReplicas": 10})
    assert replicas(scene) == {"v1": (4, 10), "v2": (4, 10)}


def test_a_fixed_number_is_a_fixed_number() -> None:
    scene = on(HALF, serving={"minReplicas": 4})
    scene.ready(scene.stable, 9).settle()
    assert replicas(scene) == {"v1": (4, 4), "v2": (2, 2)}
    assert scene.status.rollout is not None
    assert scene.status.rollout.base is None


def test_a_shadow_serves_nobody_also_where_it_is_all_that_is_ready() -> None:
    scene = on(SHADOW)
    said = {one.type: one for one in scene.status.conditions}[ConditionType.AVAILABLE]
    assert (said.status, said.message) == ("True", "v1 100 %")
    scene.become_ready = False
    scene.ready(scene.stable, 0).settle()
    assert scene.condition(ConditionType.AVAILABLE) == ("False", Reason.STABLE_UNAVAILABLE)


def test_a_revision_that_is_taken_up_again_keeps_the_replicas_that_it_has() -> None:
    """It is warm: fewer now and more again for the next step would only make everybody wait."""
    rollout = {"steps": [{"weight": 10, "hold": "5m"}]}
    scene = on(serving={"minReplicas": 4})
    scene.declare(1, rollout=rollout, serving={"minReplicas": 4}).run(60)
    assert (scene.weight, replicas(scene)["v1"]) == (10, (4, 4))
    scene.run(300)
    assert scene.status.stable is not None
    assert (scene.status.stable.version, scene.status.stable.floor) == ("v1", None)


def test_a_revision_that_is_tried_again_keeps_the_replicas_for_the_requests_that_the_gateway_may_still_send() -> None:
    """A pod of it crashed, it was taken back and retried at once, before the gateway said anything."""
    rollout = {"steps": [{"weight": 10, "hold": "1m"}, {"weight": 100, "hold": "6h"}]}
    scene = on(*rollout["steps"], length=120, serving={"minReplicas": 4})
    assert scene.weight == 100
    scene.become_ready = scene.accepts = False
    failed = scene.candidate
    scene.fail(failed, Failure(Reason.LOAD_FAILED, "ended", at=scene.now), ready=3).settle()
    assert scene.status.candidate is None
    scene.wait(1).order(Verb.RETRY, failed).look()
    assert (scene.candidate, replicas(scene)["v2"]) == (failed, (4, 4))
    scene.accepts = True
    scene.accept().settle()
    assert (scene.weight, replicas(scene)["v2"]) == (10, (1, 1))


def test_it_keeps_those_that_it_has_and_not_those_that_it_once_had() -> None:
    rollout = {"steps": [{"weight": 10, "hold": "5m"}]}
    scene = on(serving={"minReplicas": 4})
    scene.declare(2, rollout=rollout, serving={"minReplicas": 2}).settle()
    assert replicas(scene)["v1"] == (2, 2)
    scene.declare(1, rollout=rollout, serving={"minReplicas": 2}).run(60)
    assert (scene.weight, replicas(scene)["v1"]) == (10, (2, 2))


def test_traffic_that_has_just_grown_counts_for_the_weight_that_comes_now() -> None:
    scene = autoscaled(HALF)
    scene.ready(scene.candidate, 3).run(9)
    assert scene.weight == 0
    scene.wait(1).ready(scene.stable, 8).settle()
    assert (scene.weight, replicas(scene)["v2"]) == (0, (4, 10))
