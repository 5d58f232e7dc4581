"""What is asked of the metrics' source at a look, and what its answers come to."""

from __future__ import annotations

from typing import Any

import pytest

from serin.analysis.checks import Measurement
from serin.analysis.checks import Number
from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.analysis.queries import Series
from serin.api.analysis import Tally
from serin.api.status import ModelDeploymentStatus
from serin.rollout.looks import Question
from serin.rollout.looks import answer
from serin.rollout.looks import questions
from serin.rollout.looks import requests_in
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds

NOT_WORSE = {"name": "compared", "measure": "ErrorRate", "notWorseThanStable": {}}
AT_MOST = {"name": "limited", "measure": "ErrorRate", "atMost": "5%"}
OWN = {"name": "own", "query": "up", "atMost": 1}


def looked_at(*checks: dict[str, Any], every: str = "30s", steps: Any = None) -> Scene:
    scene = rolling(steps or {10: "5m"}, rollout={"analysis": {"every": every, "checks": list(checks)}})
    scene.run(20)
    return scene


def asked(status: ModelDeploymentStatus, scene: Scene) -> tuple[Question, ...]:
    return questions("payments", "fraud", status, scene.now)


def sample(requests: int) -> Sample:
    return Sample(Tally(requests=requests, bad=0), Tally(requests=1, bad=0), since=START, at=START + seconds(60))


def other_server(scene: Scene) -> ModelDeploymentStatus:
    """The stable revision was made by another family of model servers."""
    stable = scene.status.stable
    assert stable is not None
    template = stable.template.model_copy(update={"server": "KServe"})
    return scene.status.model_copy(update={"stable": stable.model_copy(update={"template": template})})


def test_what_two_families_of_servers_count_is_not_compared() -> None:
    scene = looked_at(NOT_WORSE, AT_MOST)
    compared, limited = asked(other_server(scene), scene)
    assert compared.unknown == Unknown("MLServer and KServe count differently: they cannot be compared")
    assert answer(compared, [], None) == compared.unknown
    assert (limited.unknown, limited.query is not None) == (None, True), "its own limit needs no other"
    assert [one.unknown for one in asked(scene.status, scene)] == [None, None]


def test_as_many_pods_must_be_heard_as_are_ready() -> None:
    scene = looked_at(NOT_WORSE)
    (question,) = asked(scene.status, scene)
    candidate, stable = scene.status.candidate, scene.status.stable
    assert candidate is not None
    assert stable is not None
    assert min(candidate.ready, stable.ready) > 0
    up = {candidate.revision: candidate.ready, stable.revision: stable.ready}

    def heard(**more: int) -> str:
        series = [
            Series({"serin_dev_revision": one, "serin_count": "up"}, number + more.get(role, 0))
            for (one, number), role in zip(up.items(), ("candidate", "stable"), strict=True)
        ]
        found = answer(question, series, None)
        assert isinstance(found, Sample)
        return found.unheard

    assert heard() == ""
    status = scene.status.model_copy(update={"stable": stable.model_copy(update={"ready": stable.ready + 1})})
    (question,) = asked(status, scene)
    assert f"of the {stable.ready + 1} ready pods of {stable.revision}" in heard()
    assert heard(stable=1) == ""


def test_our_own_clusters_series_are_asked_for_by_every_measure() -> None:
    scene = looked_at(NOT_WORSE, AT_MOST, OWN)
    found = questions("payments", "fraud", scene.status, scene.now, matchers='cluster="eu"')
    compared, limited, own = (one.query or "" for one in found)
    for query in (compared, limited):
        assert query.count('cluster="eu"') == query.count('namespace="payments"') > 0
    assert own == "up", "people's own are as they wrote them"


def test_nothing_is_asked_about_a_candidate_that_is_not_judged_any_more() -> None:
    scene = looked_at(NOT_WORSE)
    assert len(asked(scene.status, scene)) == 1
    scene.accepts = False
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    assert scene.status.candidate is not None
    assert asked(scene.status, scene) == ()


@pytest.mark.parametrize(
    ("measured", "requests"),
    [
        ({}, None),
        ({"own": Number(0.1), "a": Unknown("no answer")}, None),
        ({"a": sample(10), "b": sample(20), "own": Number(0.1)}, 20),
    ],
)
def test_requests_are_those_that_any_check_has_counted(measured: dict[str, Measurement], requests: int | None) -> None:
    assert requests_in(measured) == requests
