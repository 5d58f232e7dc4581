"""Candidates that fail, each in its own way: the version in use goes on serving, and the status says what was wrong."""

import time
from collections.abc import Callable
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import BROKEN
from e2e.scenarios.world import FRAGILE
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import POISON
from e2e.scenarios.world import World
from e2e.scenarios.world import wait_until
from e2e.shares import expected
from e2e.traffic import Traffic
from e2e.traffic import by_version
from e2e.turns import Turns
from e2e.watching import Seen

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_WEIGHT = 30


@pytest.fixture(scope="module")
def shared(world: World, turns: Turns) -> Iterator[Deployment]:
    """One deployment for all of these: each goes back to what was in use."""
    with turns.taken():
        room = Room(world, f"rollback-{int(time.time()) % 10000}")
        made = room.deployment(alias=GOOD, steps=[(_WEIGHT, "60s")])
    yield made
    room.close()


@pytest.fixture
def ping(shared: Deployment) -> Deployment:
    """Version 1 in use."""
    shared.move_alias(GOOD)
    latest = shared.watch.latest
    shared.settled(GOOD, since=latest.at if latest else 0.0)
    return shared


def test_version_that_does_not_load(ping: Deployment, measured: Record) -> None:
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BROKEN)
        back = ping.rolled_back(since=moved)
        _serves_on(ping, traffic, back)

    assert traffic.failures == []
    assert by_version(traffic.answers()) == {"v1": len(traffic.answers())}, "the candidate got traffic"
    rejected = back.status["rejected"][0]
    assert rejected["version"] == "v3"
    assert rejected["reason"] == "LoadFailed"
    # The pod's own last words: the exception that the damaged file raised.
    assert "JSONDecodeError" in rejected["message"]
    _says_rolled_back(back, "v3 rejected", "serving v1")
    measured("seconds from alias to rollback", round(back.at - moved, 1))


def test_version_that_crashes_under_traffic(ping: Deployment, measured: Record) -> None:
    with ping.traffic(rate=60) as traffic:
        moved = time.time()
        ping.move_alias(FRAGILE)
        ping.step(1, since=moved)
        crashed = _poison(ping)
        back = ping.rolled_back(since=crashed)
        _serves_on(ping, traffic, back)

    _says_rolled_back(back, "v4 rejected", "serving v1")
    assert "exit code 70" in back.message
    during = traffic.answers(crashed - 1.0, back.at + 0.5)
    most = expected(len(during), _WEIGHT / 100)[1]
    lost = traffic.failures
    # What was at the candidate when it ended, or was sent to it until its traffic was taken away: its share at most.
    assert all(crashed - 1.0 <= answer.sent <= back.at + 0.5 for answer in lost), lost
    assert len(lost) <= most, f"{len(lost)} of {len(during)} failed, more than {_WEIGHT} % explain ({most})"
    measured("seconds from crash to rollback", round(back.at - crashed, 2))
    measured("requests lost", len(lost))


def test_version_that_no_node_has_room_for(ping: Deployment) -> None:
    with ping.traffic(rate=20) as traffic:
        edited = time.time()
        huge = {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}
        before = ping.manifest["spec"]["serving"]
        ping.edit(resources=huge, startupDeadline="15s")
        back = ping.rolled_back(since=edited)
        took = back.at - edited
        _serves_on(ping, traffic, back)
        undone = time.time()
        ping.edit(resources=before["resources"], startupDeadline=None)
        ping.settled(GOOD, since=undone)

    assert traffic.failures == []
    assert 14 < took < 30, f"rolled back after {took:.1f} s, not at the deadline of 15 s"
    rejected = back.status["rejected"][0]
    assert rejected["reason"] == "Unschedulable"
    assert "Insufficient memory" in rejected["message"], "the scheduler's own words"
    _says_rolled_back(back, "v1 rejected", "serving v1")


def _poison(ping: Deployment) -> float:
    """Send the input at which the candidate ends, until it got it; when that was."""
    for _ in range(200):
        sent = time.time()
        status, _text = ping.endpoint.ask(POISON)
        if status != HTTPStatus.OK:
            return sent
    raise AssertionError("200 requests, and none of them was at the candidate")


def _serves_on(ping: Deployment, traffic: Traffic, back: Seen) -> None:
    """Requests sent after the rollback are answered by the version in use, and the candidate's pods go."""
    ping.until("the candidate is gone", lambda seen: not seen.status.get("retiring"), since=back.at)
    settled = back.at + 0.5
    wait_until("twenty more requests", lambda: len(traffic.answers(settled)) >= 20, 30)
    others = [answer for answer in traffic.answers(settled) if answer.version != "v1"]
    assert not others, [(round(answer.sent - back.at, 2), answer.version, answer.error) for answer in others]
    assert back.weights == {"v1": 100}


def _says_rolled_back(back: Seen, *words: str) -> None:
    for word in words:
        assert word in back.message
    assert back.condition("Ready")["status"] == "False"
    assert back.condition("Stalled")["status"] == "True"
    assert back.condition("Stalled")["reason"] == "RolledBack"
    assert back.condition("Available")["status"] == "True"
