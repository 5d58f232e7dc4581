"""Every kind of step under traffic: copies, requests that are matched, direct access, a person's approval, a bake."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import share_in
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.shares import Share
from e2e.traffic import by_version
from e2e.traffic import version_of
from e2e.watching import Seen
from e2e.watching import unix

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_BETA = {"x-cohort": "beta"}
_STEPS = (
    {"weight": 0, "mirror": 30, "hold": "15s"},
    {"weight": 20, "match": {"headers": _BETA}, "hold": "12s", "approval": True},
)
_ASKED = 12
_METRICS_PORT = 8082
_INFERENCES = "model_infer_request_success_total{"


@pytest.mark.starting(alias=GOOD, steps=_STEPS, rollout={"bake": "10s", "keepPrevious": "15s"})
def test_every_kind_of_step(ping: Deployment, measured: Record) -> None:
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BETTER)

        dark = ping.step(1, since=moved)
        assert dark.status["traffic"][-1]["mirror"] == _STEPS[0]["mirror"]
        _reached(ping, {"x-serin-revision": "candidate"}, "v2")
        assert _answers(ping, {"x-serin-revision": "candidate"}) == {"v2": _ASKED}
        start, before = time.time(), _inferences(ping, "v2")
        wait_until("the dark step is nearly over", lambda: time.time() > unix(dark.rollout["nextAt"]) - 2, 30)
        copies, end = _inferences(ping, "v2") - before, time.time()
        sent = len(traffic.answers(start, end))

        matched = ping.step(2, since=moved)
        _reached(ping, _BETA, "v2")
        assert _answers(ping, _BETA) == {"v2": _ASKED}
        assert _answers(ping, {"x-serin-revision": "stable"}) == {"v1": _ASKED}
        assert _answers(ping, {**_BETA, "x-serin-revision": "stable"}) == {"v1": _ASKED}
        assert _answers(ping, {**_BETA, "x-serin-revision": "candidate"}) == {"v2": _ASKED}
        waiting = ping.until("it awaits approval", lambda seen: seen.phase == "AwaitingApproval", since=matched.at)
        assert "approve step 2/2" in waiting.message
        step = ping.watch.steps(moved)[-1]
        approved = ping.order("approve", ping.revision("v2"))
        assert ping.handled("approve", approved)["result"] == "Done"

        baking = ping.until("it bakes", lambda seen: seen.phase == "Baking", since=approved)
        assert baking.condition("Ready")["status"] == "True"
        assert baking.condition("Reconciling")["status"] == "True"
        assert baking.stable == "v1"
        promoted = ping.settled(BETTER, since=approved)

    copied = Share(30, copies, sent)
    measured("copies", copied)
    assert copied.fits, copied
    share = share_in(step, traffic)
    measured("share beside the match", share)
    assert share.fits, share
    assert {answer.version for answer in traffic.answers(start, end)} == {"v1"}, "an answer to a copy"
    assert {answer.version for answer in traffic.answers(baking.at + 0.5)} == {"v2"}
    assert promoted.at - baking.at > 9
    measured("requests", f"{len(traffic.answers()):,}, of which {len(traffic.failures)} failed")
    assert traffic.failures == []


@pytest.mark.starting(alias=GOOD, steps=[{"weight": 0, "approval": True}], keep_previous="30s")
def test_blue_and_green(ping: Deployment) -> None:
    """Nothing but a person's word moves the traffic, and then all of it at once."""
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        waiting = ping.until("it awaits approval", lambda seen: seen.phase == "AwaitingApproval", since=moved)
        _reached(ping, {"x-serin-revision": "candidate"}, "v2")
        assert _answers(ping, {"x-serin-revision": "candidate"}) == {"v2": _ASKED}
        ordered = ping.order("approve", ping.revision("v2"))
        ping.settled(BETTER, since=ordered)
        # The proxies follow a moment after the gateway has said so: nobody would undo what he has not seen.
        wait_until("v2 answers", lambda: by_version(traffic.answers(ordered)).get("v2"), 10)
        # And back within seconds: the one before is still warm.
        undone = ping.order("undo", ping.revision("v2"))
        back = ping.until("v1 is back", _serves_v1, since=undone)

    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers(0, waiting.at)} == {"v1"}
    assert {answer.version for answer in traffic.answers(back.at + 0.5)} <= {"v1"}
    last = max(answer.sent for answer in traffic.answers(undone) if answer.version == "v2")
    assert last - undone < 2, "the traffic went back late"
    assert back.status["rejected"][0]["reason"] == "Undone"


def _serves_v1(seen: Seen) -> bool:
    return seen.phase == "RolledBack" and seen.weights == {"v1": 100}


def _reached(ping: Deployment, headers: dict[str, str], version: str) -> None:
    """The proxies follow the route a moment after the gateway's controller has accepted it."""
    wait_until(f"{version} answers", lambda: version_of(ping.endpoint.ask(1.0, headers)[1]) == version, 5)


def _answers(ping: Deployment, headers: dict[str, str]) -> Counter[str]:
    """Which version answers requests with these headers."""
    return Counter(version_of(ping.endpoint.ask(1.0, headers)[1]) for _ in range(_ASKED))


def _inferences(ping: Deployment, version: str) -> int:
    """Requests that the pods of a version have answered, as they count them themselves."""
    total = 0.0
    for pod in ping.pods(version):
        path = f"/api/v1/namespaces/{ping.namespace}/pods/{pod['metadata']['name']}:{_METRICS_PORT}/proxy/metrics"
        lines = ping.world.kubectl.run("get", "--raw", path).splitlines()
        total += sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(_INFERENCES))
    return int(total)
