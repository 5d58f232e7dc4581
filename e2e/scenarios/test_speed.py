"""How fast a bad candidate is found out: from the scrape that shows it to the last request that it gets."""

import os
import time
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime

import pytest

from e2e.scenarios.judging import ERRORS
from e2e.scenarios.judging import SCRAPE_SECONDS
from e2e.scenarios.judging import judged
from e2e.scenarios.room import Deployment
from e2e.scenarios.world import FAILING
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import wait_until
from e2e.stack import monitoring
from e2e.traffic import Answer
from e2e.watching import Seen
from e2e.watching import unix
from serin.analysis.queries import Series
from serin.analysis.verdict import Versions
from serin.analysis.verdict import judge
from serin.analysis.verdict import overall
from serin.api.analysis import Verdict
from serin.api.status import ModelDeploymentStatus
from serin.rollout import looks

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600, func_only=True)]

Record = Callable[[str, object], None]

_ROUNDS = 20 if os.environ.get("SERIN_LONG") else 3
_SECONDS = 2.0


@pytest.mark.starting(alias=GOOD, steps=[(50, "10m")], rollout=judged(ERRORS))
def test_bad_candidate_is_taken_back_as_soon_as_it_shows(ping: Deployment, measured: Record) -> None:
    found = []
    with ping.traffic() as traffic:
        since = time.time()
        ping.move_alias(FAILING)
        for _ in range(_ROUNDS):
            begun = ping.step(1, since=since)
            back = ping.rolled_back(since=begun.at)
            assert back.status["rejected"][0]["reason"] == "AnalysisFailed"
            wait_until("answers follow", lambda since=back.at: traffic.answers(since + 1), 15)  # type: ignore[misc]
            reached = [answer.sent for answer in traffic.answers(begun.at) if _at_candidate(answer)]
            found.append(max(reached) - _shown(ping, begun, back))
            since = ping.order("retry", back.status["rejected"][0]["revision"])
    told = ", ".join(f"{seconds:.1f}" for seconds in sorted(found))
    measured("from the sample that shows it to the last request at the candidate", f"{told} s")
    assert max(found) < SCRAPE_SECONDS + _SECONDS


def _at_candidate(answer: Answer) -> bool:
    """The stable version never fails."""
    return answer.version == f"v{FAILING}" or answer.error is not None


@dataclass(frozen=True)
class _Scrape:
    """One answer of a pod to Prometheus."""

    at: float
    """Unix time of its samples: when it was asked."""
    done: float
    """Unix time from which queries find them."""


def _shown(ping: Deployment, begun: Seen, back: Seen) -> float:
    """When the sample was taken that shows it: the first with which the operator's judge would have said Fail.

    It is given what it knew after its last look that did not fail, and Prometheus' answers as of each scrape since.
    """
    before = [seen for seen in ping.watch.history(begun.at) if seen.at < back.at and seen.rollout.get("step")][-1]
    status = ModelDeploymentStatus.model_validate(before.status)
    looked = unix(before.rollout.get("judgedAt") or before.rollout["stepStartedAt"])
    revisions = [before.status[role]["revision"] for role in ("stable", "candidate")]
    # What was under way at that look belongs to the next one.
    later = [one for one in _scrapes(ping, revisions, looked, back.at) if one.done > looked]
    shows = (one.at for one in later if _judged(ping, status, max(one.at, looked)) is Verdict.FAIL)
    first = next(shows, None)
    assert first is not None, f"none of {later} shows what the look after {looked} saw"
    return first


def _judged(ping: Deployment, status: ModelDeploymentStatus, moment: float) -> Verdict:
    """What the operator would have made of a look at that moment."""
    rollout, candidate, stable = status.rollout, status.candidate, status.stable
    assert rollout is not None
    assert rollout.course.analysis is not None
    assert candidate is not None
    assert stable is not None
    asked = looks.questions(ping.namespace, ping.name, status, datetime.fromtimestamp(moment, UTC))
    measured = {one.check: looks.answer(one, list(_answer(ping, one.query, moment)), None) for one in asked}
    versions = Versions(candidate.version, stable.version)
    return overall(judge(rollout.course.analysis, measured, status.analysis, versions))


def _answer(ping: Deployment, query: str | None, moment: float) -> Iterator[Series]:
    assert query is not None
    for one in monitoring.query(ping.world.kubectl, query, moment):
        yield Series(one["metric"], float(one["value"][1]))


def _scrapes(ping: Deployment, revisions: list[str], start: float, end: float) -> list[_Scrape]:
    """Those of both revisions' pods that may have shown something between two moments, in their order."""
    pods = f'namespace="{ping.namespace}",serin_dev_revision=~"{"|".join(revisions)}"'
    # From a little earlier: a scrape that takes long may have begun before.
    window = f"{end - start + SCRAPE_SECONDS:.0f}s"
    found = monitoring.query(ping.world.kubectl, f"scrape_duration_seconds{{{pods}}}[{window}]", end)
    pairs = [(float(at), float(seconds)) for series in found for at, seconds in series["values"]]
    return sorted((_Scrape(at, at + seconds) for at, seconds in pairs), key=lambda one: one.at)
