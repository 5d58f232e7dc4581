"""How soon an abort moves all traffic. Alone: what is timed is this order, not how many pods others start meanwhile."""

import os
from collections.abc import Callable

import pytest

from e2e.scenarios.room import Deployment
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.traffic import Traffic

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1800, func_only=True)]

_ROUNDS = 20 if os.environ.get("SERIN_LONG") else 5
_SECONDS = 2.0


@pytest.mark.starting(alias=GOOD, steps=[(50, "10m")])
def test_abort_takes_all_traffic_back_at_once(ping: Deployment, measured: Callable[[str, object], None]) -> None:
    times = []
    with ping.traffic() as traffic:
        ping.move_alias(BETTER)
        since = 0.0
        for _ in range(_ROUNDS):
            begun = ping.step(1, since=since)
            candidate = ping.revision("v2")
            wait_until("v2 answers", lambda since=begun.at: _last(traffic, "v2", since), 10)  # type: ignore[misc]
            ordered = ping.order("abort", candidate)
            ended = ping.until("aborted", lambda seen: seen.phase == "RolledBack", since=ordered)
            wait_until("answers follow", lambda since=ended.at: traffic.answers(since + 1), 10)  # type: ignore[misc]
            times.append((_last(traffic, "v2", ordered) or ordered) - ordered)
            since = ping.order("retry", candidate)
    assert traffic.failures == []
    measured("from the order to the last request at the candidate", f"{max(times):.2f} s at most in {len(times)}")
    assert max(times) < _SECONDS
    assert ping.watch.latest is not None
    assert ping.watch.latest.status["rejected"] == [] or len(ping.watch.latest.status["rejected"]) == 1


def _last(traffic: Traffic, version: str, since: float) -> float | None:
    """When the last request was sent that this version answered."""
    return max((answer.sent for answer in traffic.answers(since) if answer.version == version), default=None)
