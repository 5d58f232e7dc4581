"""Candidates that are taken back for what they do, with real pods, real requests and a real Prometheus."""

import time
from collections.abc import Callable

import pytest

from e2e.scenarios.judging import ERRORS
from e2e.scenarios.judging import EVERY_SECONDS
from e2e.scenarios.judging import SCRAPE_SECONDS
from e2e.scenarios.judging import judged
from e2e.scenarios.judging import verdicts
from e2e.scenarios.room import Deployment
from e2e.scenarios.world import FAILING
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import LATE
from e2e.scenarios.world import SLOW
from e2e.scenarios.world import wait_until
from e2e.stack.kubectl import Object
from e2e.traffic import Traffic
from e2e.watching import Seen

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_SLOW: Object = {"name": "slow", "measure": "SlowerThan", "threshold": "250ms", "notWorseThanStable": {}}


@pytest.mark.starting(alias=GOOD, steps=[(30, "10m")], rollout=judged(ERRORS, _SLOW))
def test_version_that_fails_some_requests(ping: Deployment, measured: Record) -> None:
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(FAILING)
        back = ping.rolled_back(since=moved)
        _only_stable_from(ping, traffic, back)
    rejected = back.status["rejected"][0]
    assert rejected["reason"] == "AnalysisFailed"
    assert "error rate" in rejected["message"]
    assert " of v1 after " in rejected["message"]
    assert verdicts(back)["errors"] == "Fail"
    first = min(answer.sent for answer in traffic.failures)
    last = max(answer.sent for answer in traffic.failures)
    measured("from the first failed request to the last", f"{last - first:.1f} s")
    measured("message", rejected["message"])
    # The sample that shows it is there one scrape later, and is looked at within `every`.
    assert last - first < SCRAPE_SECONDS + EVERY_SECONDS + 10
    assert {answer.error for answer in traffic.failures if answer.sent > back.at + 0.5} == set()


@pytest.mark.starting(alias=GOOD, steps=[(30, "10m")], rollout=judged(ERRORS, _SLOW, least=20))
def test_version_that_is_slow(ping: Deployment, measured: Record) -> None:
    # Not more than it can bear: a server that is too busy to be scraped is another story.
    with ping.traffic(8) as traffic:
        moved = time.time()
        ping.move_alias(SLOW)
        back = ping.rolled_back(since=moved)
        _only_stable_from(ping, traffic, back)
    assert "of the requests slower than 250ms" in back.status["rejected"][0]["message"]
    measured("message", back.status["rejected"][0]["message"])
    assert verdicts(back)["slow"] == "Fail"
    assert traffic.failures == []


@pytest.mark.starting(alias=GOOD, steps=[(30, "8s")], rollout=judged(ERRORS, bake="10m"))
def test_version_that_turns_bad_when_it_bakes(ping: Deployment, measured: Record) -> None:
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(LATE)
        baking = ping.until("it bakes", lambda seen: seen.phase == "Baking", since=moved)
        back = ping.rolled_back(since=baking.at)
        _only_stable_from(ping, traffic, back)
    assert back.status["rejected"][0]["version"] == "v8"
    assert back.status["rejected"][0]["reason"] == "AnalysisFailed"
    measured("message", back.status["rejected"][0]["message"])
    assert not [answer for answer in traffic.failures if answer.sent < baking.at]


@pytest.mark.starting(
    alias=GOOD,
    steps=[{"weight": 0, "mirror": 50, "hold": "10m"}, {"weight": 50, "hold": "1m"}],
    rollout=judged(ERRORS),
)
def test_copies_that_fail(ping: Deployment) -> None:
    """A shadow that answers badly is taken back, and nobody but it ever knew."""
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(FAILING)
        back = ping.rolled_back(since=moved)
    assert back.status["rejected"][0]["reason"] == "AnalysisFailed"
    assert traffic.failures == []
    assert {answer.version for answer in traffic.answers()} == {"v1"}


def _only_stable_from(ping: Deployment, traffic: Traffic, back: Seen) -> None:
    wait_until("answers follow", lambda: len(traffic.answers(back.at + 1)) > 20, 15)
    assert {answer.version for answer in traffic.answers(back.at + 1)} == {"v1"}
    assert back.stable == "v1"
    assert back.condition("Available")["status"] == "True"
