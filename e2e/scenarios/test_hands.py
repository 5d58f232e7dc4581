"""Somebody's hand in the middle of a rollout: what was changed or deleted is put back, and the rollout goes on."""

import json
import time
from collections.abc import Callable

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.traffic import Traffic

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_PUT_BACK_SECONDS = 5.0


@pytest.mark.starting(alias=GOOD, steps=[(20, "45s")])
def test_children_that_are_edited_or_deleted_are_put_back(ping: Deployment, measured: Record) -> None:
    with ping.traffic(rate=20) as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        ping.step(1, since=moved)
        measured("weights put back after", _weights(ping))
        measured("InferenceService put back after", _edited_service(ping))
        assert traffic.failures == []  # edits lose nothing
        measured("deleted route put back after", _deleted_route(ping))
        _answered_again(traffic, 15)
        measured("deleted InferenceService put back after", _deleted_service(ping))
        _answered_again(traffic, 60)
        ping.settled(BETTER, seconds=120, since=moved)

    steps = ping.watch.steps(moved)
    assert [step.weight for step in steps][:1] == [20]
    assert {step.version for step in steps} == {"v2"}
    history = ping.watch.latest.status["history"]  # type: ignore[union-attr]
    assert [(entry["version"], entry["outcome"]) for entry in history] == [("v2", "Promoted"), ("v1", "Promoted")]


def _weights(ping: Deployment) -> float:
    """Turn the route around by hand."""
    before = _route(ping)
    rules = json.loads(json.dumps(before["spec"]["rules"]))
    for backend in rules[0]["backendRefs"]:
        backend["weight"] = 100 - backend["weight"]
    ping.patch("httproute", ping.name, {"spec": {"rules": rules}})
    return wait_until("the weights are put back", lambda: _route(ping)["spec"] == before["spec"], _PUT_BACK_SECONDS)


def _edited_service(ping: Deployment) -> float:
    """Let the stable revision serve something else."""
    name = ping.revision("v1")
    before = ping.get("inferenceservice", name)
    assert before is not None
    elsewhere = {"spec": {"predictor": {"model": {"storageUri": "s3://models/elsewhere"}}}}
    ping.patch("inferenceservice", name, elsewhere)

    def put_back() -> bool:
        now = ping.get("inferenceservice", name)
        return now is not None and now["spec"] == before["spec"]

    return wait_until("the InferenceService is put back", put_back, _PUT_BACK_SECONDS)


def _deleted_route(ping: Deployment) -> float:
    before = _route(ping)
    ping.delete("httproute", ping.name)

    def put_back() -> bool:
        now = ping.get("httproute", ping.name)
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"] and now["spec"] == before["spec"]

    return wait_until("the route is put back", put_back, _PUT_BACK_SECONDS)


def _deleted_service(ping: Deployment) -> float:
    """The stable one. Its pods go with it, so requests are lost; what counts is that it comes back as it was."""
    name = ping.revision("v1")
    before = ping.get("inferenceservice", name)
    assert before is not None
    # Waits for KServe's finalizer: from then on the operator can do something.
    ping.delete("inferenceservice", name)

    def put_back() -> bool:
        now = ping.get("inferenceservice", name)
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"] and now["spec"] == before["spec"]

    return wait_until("the InferenceService is made again", put_back, _PUT_BACK_SECONDS)


def _route(ping: Deployment) -> dict[str, dict[str, object]]:
    route = ping.get("httproute", ping.name)
    assert route is not None
    return route


def _answered_again(traffic: Traffic, seconds: float) -> None:
    """A second of requests without a failure."""

    def clean() -> bool:
        recent = traffic.recent(1.0)
        return len(recent) >= 10 and all(answer.error is None for answer in recent)

    wait_until("requests are answered again", clean, seconds)
