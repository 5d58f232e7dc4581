"""What people order, measured by a client: it is done whatever the candidate does, and hits no other one."""

import time
from collections.abc import Callable

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import FRAGILE
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import POISON
from e2e.scenarios.world import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800, func_only=True)]

Record = Callable[[str, object], None]

_SECONDS = 2.0


@pytest.mark.starting(alias=GOOD, steps=[(50, "10m")], minReplicas=2)
def test_abort_of_a_candidate_in_trouble(ping: Deployment, room: Room, measured: Record) -> None:
    """One that has no room for its next replicas, and has crashed just now."""
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(FRAGILE)
        ping.step(1, since=moved)
        paused = ping.order("pause", ping.revision("v4"))
        assert ping.handled("pause", paused)["result"] == "Done"
        still = ping.until("paused", lambda seen: seen.phase == "Paused", since=paused)
        assert still.condition("Paused")["reason"] == "Paused"
        # The poison reaches the candidate only.
        ping.endpoint.ask(POISON, {"x-serin-revision": "candidate"})
        ordered = ping.order("abort", ping.revision("v4"))
        ended = ping.until("over", lambda seen: seen.phase == "RolledBack", since=ordered)
        wait_until("answers follow", lambda: traffic.answers(ended.at + 1), 10)
        late = [answer for answer in traffic.answers(ordered + _SECONDS) if answer.version != "v1"]
    measured("answers of the candidate after 2 s", len(late))
    assert late == []


@pytest.mark.starting(alias=GOOD, steps=[(20, "10m")])
def test_orders_that_come_too_late_hit_nothing(ping: Deployment) -> None:
    moved = time.time()
    ping.move_alias(BETTER)
    ping.step(1, since=moved)
    old = ping.revision("v2")
    promoted = ping.order("promote", old)
    ping.settled(BETTER, since=promoted)
    for verb in ("abort", "pause", "approve"):
        given = ping.order(verb, old)
        answer = ping.handled(verb, given)
        assert answer["result"] == "Refused"
        assert answer["by"] == "scenario"
        assert "v2 is in use already" in answer["message"]
    assert ping.watch.latest is not None
    assert ping.watch.latest.settled("v2")


@pytest.mark.starting(alias=GOOD)
def test_undo_when_the_one_before_is_gone(ping: Deployment) -> None:
    """Its replicas are started anew; what is in use serves until they are ready."""
    with ping.traffic(20) as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        ping.settled(BETTER, since=moved)
        gone = ping.until("v1 is gone", lambda seen: seen.status.get("fallback"), since=moved)
        wait_until("its pods are gone", lambda: not ping.pods("v1"), 60)
        ordered = ping.order("undo", ping.revision("v2"))
        going = ping.until("it goes back", lambda seen: seen.phase == "RollingBack", since=ordered)
        assert going.condition("Available")["status"] == "True"
        back = ping.until("v1 is back", lambda seen: seen.phase == "RolledBack", since=ordered)
        wait_until("answers follow", lambda: traffic.answers(back.at + 1), 10)
    assert gone.stable == "v2"
    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers(back.at + 0.5)} == {"v1"}
    assert [entry["outcome"] for entry in back.status["history"]][:2] == ["Undone", "Promoted"]
