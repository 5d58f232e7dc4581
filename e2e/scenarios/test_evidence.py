"""What is no evidence against a candidate, or not enough of it, by a real Prometheus."""

import time
from collections.abc import Callable

import pytest

from e2e.scenarios.judging import ERRORS
from e2e.scenarios.judging import judged
from e2e.scenarios.judging import verdicts
from e2e.scenarios.room import Deployment
from e2e.scenarios.world import AS_BAD
from e2e.scenarios.world import BETTER
from e2e.scenarios.world import FAILING
from e2e.scenarios.world import GOOD
from e2e.stack.kubectl import Object
from e2e.traffic import Traffic

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_SCRAPED: Object = {"name": "scraped", "query": 'count(up{serin_dev_revision="{{ revision }}"})', "atLeast": 1}
_NEVER: Object = {"name": "never", "query": "vector(1)", "atMost": 0, "dryRun": True}


@pytest.mark.starting(alias=FAILING, steps=[(50, "10s")], rollout=judged(ERRORS, bake="10s"))
def test_version_that_is_as_bad_as_the_one_in_use(ping: Deployment, measured: Record) -> None:
    """Every fourth request fails with either: nothing gets worse, so it is promoted, through a bake, too."""
    with Traffic(ping.endpoint, rate=40):
        moved = time.time()
        ping.move_alias(AS_BAD)
        promoted = ping.settled(AS_BAD, since=moved)
    told = next(seen for seen in ping.watch.history(moved) if verdicts(seen).get("errors") == "Pass")
    assert told.condition("AnalysisPassing")["status"] == "True"
    measured("verdict", told.status["analysis"][0]["message"])
    assert promoted.status["history"][0]["outcome"] == "Promoted"


@pytest.mark.starting(alias=GOOD, steps=[(20, "5s")], rollout=judged(ERRORS, least=5000))
def test_version_with_too_little_traffic_holds_and_says_what_it_needs(ping: Deployment) -> None:
    with ping.traffic(20):
        moved = time.time()
        ping.move_alias(BETTER)
        ping.step(1, since=moved)
        waiting = ping.until("it says what it needs", lambda seen: "more requests are needed" in seen.message)
        assert waiting.phase == "Progressing"
        check = waiting.status["analysis"][0]
        assert check["verdict"] == "Inconclusive"
        assert check["needed"] == 5000 - check["requests"]
        assert "enoughAt" in check
        ordered = ping.order("promote", ping.revision("v2"))
        ping.settled(BETTER, since=ordered)


@pytest.mark.starting(alias=GOOD, steps=[(50, "25s")], rollout=judged(ERRORS), minReplicas=3)
def test_counters_that_begin_anew(ping: Deployment) -> None:
    """A pod of the candidate is replaced in the middle: what it counted is not taken for a verdict."""
    with ping.traffic() as traffic:
        moved = time.time()
        ping.move_alias(BETTER)
        ping.step(1, since=moved)
        ping.until("it is judged", verdicts, since=moved)
        ping.delete("pod", ping.pods("v2")[0]["metadata"]["name"], "--wait=false")
        promoted = ping.settled(BETTER, since=moved)
    assert traffic.failures == []
    assert {seen.status["analysis"][0]["verdict"] for seen in ping.watch.history(moved) if verdicts(seen)} <= {
        "Inconclusive",
        "Pass",
    }
    assert promoted.status["history"][0]["outcome"] == "Promoted"


@pytest.mark.starting(alias=GOOD, steps=[(50, "10s")], rollout=judged(_SCRAPED, _NEVER))
def test_own_query(ping: Deployment) -> None:
    """A query of one's own decides, a dry run beside it does not."""
    moved = time.time()
    ping.move_alias(BETTER)
    ping.settled(BETTER, since=moved)
    told = [verdicts(seen) for seen in ping.watch.history(moved) if verdicts(seen).get("scraped") == "Pass"]
    assert told
    assert {one["never"] for one in told} == {"Fail"}
