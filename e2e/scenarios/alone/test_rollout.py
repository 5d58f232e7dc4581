"""A rollout from its first step to the retirement of what it replaced, with an operator that dies all the time."""

import time
from collections.abc import Callable

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.room import share_in
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.watching import Seen
from e2e.watching import unix

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(900, func_only=True)]

_STEPS = [(10, "12s"), (30, "12s"), (60, "12s")]


@pytest.mark.starting(alias=GOOD, steps=_STEPS, keep_previous="12s")
def test_rollout_with_an_operator_that_is_killed_in_every_step(
    ping: Deployment, room: Room, measured: Callable[[str, object], None]
) -> None:
    stable = ping.revision("v1")
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        ping.until("a candidate is deployed", lambda seen: seen.status.get("candidate"), since=moved)
        room.world.kill_operator()
        for number in (1, 2, 3):
            seen = ping.step(number, since=moved)
            room.world.kill_operator()
        _pass(unix(seen.rollout["nextAt"]))
        room.world.kill_operator()  # in the middle of the promotion
        promoted = ping.settled(BETTER, since=moved)
        _pass(unix(promoted.status["stable"]["since"]) + 12)
        room.world.kill_operator()  # in the middle of the retirement
        ping.until("v1 is retired", _retired, since=promoted.at)
        wait_until("the pods of v1 are gone", lambda: not ping.pods("v1"), 30)

    established = ping.watch.steps(moved)
    # One entry for each: had a clock been started again, there would be more.
    assert [(step.version, step.weight) for step in established] == [("v2", 10), ("v2", 30), ("v2", 60)]
    for step in established:
        share = share_in(step, traffic)
        measured(f"step {step.number}", share)
        assert share.fits, f"step {step.number}: {share}"
    measured("requests", f"{len(traffic.answers()):,}, of which {len(traffic.failures)} failed")
    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers(promoted.at + 0.5)} == {"v2"}
    assert ping.get("inferenceservice", stable) is None
    outcomes = [(entry["version"], entry["outcome"]) for entry in ping.watch.latest.status["history"]]  # type: ignore[union-attr]
    assert outcomes == [("v2", "Promoted"), ("v1", "Promoted")]


def _pass(moment: float) -> None:
    wait_until("the moment has passed", lambda: time.time() >= moment, max(0.0, moment - time.time()) + 5)


def _retired(seen: Seen) -> bool:
    return not seen.status.get("previous") and not seen.status.get("retiring")
