"""Versions that do not pass their gates: nothing of them is deployed, and everybody is told why, and how to go on."""

import time
from collections.abc import Callable
from http import HTTPStatus

import pytest

from e2e import scientist
from e2e.scenarios.room import Deployment
from e2e.scenarios.room import Room
from e2e.scenarios.world import GOOD
from e2e.scenarios.world import MODEL
from e2e.scenarios.world import POOR
from e2e.scenarios.world import RETYPED
from e2e.scenarios.world import TABLE
from e2e.scenarios.world import WIDER
from e2e.scenarios.world import wait_until
from e2e.stack.kubectl import Object
from e2e.traffic import Traffic
from e2e.traffic import by_version
from e2e.watching import Seen

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

Record = Callable[[str, object], None]

_ENFORCE: Object = {"gates": {"signature": "Enforce"}}
_QUALITY: Object = {"gates": {"quality": [{"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "2%"}]}}
_TO_CANDIDATE = {"x-serin-revision": "candidate"}


@pytest.mark.parametrize(
    ("stable", "version", "broken"),
    [
        pytest.param(
            GOOD,
            RETYPED,
            "input '0' is tensor of float32 (-1, 1) and was tensor of float64 (-1, 1)",
            id="retyped",
            marks=pytest.mark.starting(alias=GOOD, steps=[(50, "5s")], rollout=_ENFORCE),
        ),
        pytest.param(
            TABLE,
            WIDER,
            "input 'input-1' (double) is required and new",
            id="added",
            marks=pytest.mark.starting(alias=TABLE, steps=[(50, "5s")], rollout=_ENFORCE),
        ),
    ],
)
def test_input_that_breaks_clients(ping: Deployment, measured: Record, stable: int, version: int, broken: str) -> None:
    words = f"the signature breaks clients of v{stable}: {broken}"
    with ping.traffic() as traffic:
        refused = _refused(ping, traffic, version, "SignatureIncompatible", words)
        # Clients were told: now it is deployed, with a warning for as long as it is on its way.
        ping.merge({"spec": {"rollout": {"gates": {"signature": "Warn"}, "steps": [{"weight": 0, "hold": "10m"}]}}})
        warned = ping.step(1, since=refused.at)
        assert warned.condition("GatesWarning")["status"] == "True"
        assert warned.condition("GatesWarning")["reason"] == "SignatureIncompatible"
        assert words in warned.condition("GatesWarning")["message"]
        assert f"Its gates warn: {words}" in ping.serin("why")
        assert _made_of(ping, refused.status["rejected"][0]["revision"])
        assert [event["type"] for event in _events(ping, f"v{version}: {words}")] == ["Warning"]
        # What the gate said is so: the request that is good for the one is refused by the other.
        status, text = ping.endpoint.ask(1.0, _TO_CANDIDATE)
        assert status in (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR), f"{status}: {text}"
        measured("what clients would have been answered", f"HTTP {status}: {text.strip().splitlines()[-1][:300]}")
        aborted = ping.order("abort", ping.revision(f"v{version}"))
        back = ping.rolled_back(since=aborted)
        _stable_serves(traffic, stable, back.at)
    assert back.condition("GatesWarning") == {}
    assert traffic.failures == []


@pytest.mark.starting(alias=TABLE, steps=[(50, "5s")], rollout=_QUALITY)
def test_metric_that_is_too_low_and_logged_better(ping: Deployment, room: Room, measured: Record) -> None:
    with ping.traffic() as traffic:
        _refused(ping, traffic, POOR, "QualityTooLow", f"f1 of v{POOR} is 0.7, below 0.8")
        scientist.log_metric(room.world.kubectl, MODEL, POOR, "f1", 0.85)
        tried = time.time()
        # Better, but not as good as what serves.
        assert f"v{POOR} is tried again" in ping.serin("retry")
        closer = ping.until("it is told anew", lambda seen: "is 0.85" in seen.message, since=tried)
        assert f"f1 of v{POOR} is 0.85, worse than 0.9 of v{TABLE} by more than 2%" in closer.message
        scientist.log_metric(room.world.kubectl, MODEL, POOR, "f1", 0.89)
        retried = time.time()
        ping.serin("retry")
        promoted = ping.settled(POOR, since=retried)
        measured("from the order to retry to the promotion", f"{promoted.at - retried:.0f} s")
        wait_until("the new one answers", lambda: len(traffic.answers(promoted.at + 1)) > 20, 15)
        assert {answer.version for answer in traffic.answers(promoted.at + 1)} == {f"v{POOR}"}
    assert promoted.status["rejected"] == []
    assert promoted.status["handled"]["retry"]["result"] == "Done"
    assert promoted.status["history"][0]["outcome"] == "Promoted"
    assert ping.columns()["READY"] == "True"
    assert traffic.failures == []


def _refused(ping: Deployment, traffic: Traffic, version: int, reason: str, words: str) -> Seen:
    """Let the alias point at the version, which is not deployed; whoever looks anywhere is told in words."""
    assert ping.watch.latest is not None
    stable = ping.watch.latest.stable
    moved = time.time()
    ping.move_alias(version)
    seen = ping.until("it is refused", lambda seen: seen.condition("Stalled").get("reason") == reason, since=moved)
    told = f"v{version} is not deployed: {words}; serving {stable}"
    assert seen.message == told
    assert seen.condition("Ready")["status"] == "False"
    assert seen.condition("Available")["status"] == "True"
    rejected = seen.status["rejected"][0]
    assert (rejected["version"], rejected["reason"]) == (f"v{version}", reason)
    wait_until("its event is there", lambda: _events(ping, told), 10)
    assert [event["type"] for event in _events(ping, told)] == ["Warning"]
    shown = ping.columns()
    assert shown.pop("AGE")
    assert shown == {
        "NAME": ping.name,
        "MODEL": MODEL,
        "STABLE": stable,
        "CANDIDATE": "",
        "WEIGHT": "",
        "STEP": "",
        "PHASE": "Failed",
        "READY": "False",
    }
    assert told in ping.serin("why")
    # Time enough for whatever might come of it after all.
    wait_until("it stays so", lambda: time.time() > seen.at + 10, 20)
    assert _made_of(ping, rejected["revision"]) == []
    assert traffic.failures == []
    assert by_version(traffic.answers()) == {stable: len(traffic.answers())}
    assert ping.watch.latest.message == told
    return seen


def _made_of(ping: Deployment, revision: str) -> list[str]:
    """What there is of a revision, or ever was: whatever makes or starts something leaves an event about it."""
    kinds = ("inferenceservices", "deployments", "pods", "events.events.k8s.io")
    found = [one for kind in kinds for one in ping.world.kubectl.list_all(kind, ping.namespace)]
    about = [one.get("regarding", {}).get("name") or one["metadata"]["name"] for one in found]
    return [name for name in about if name.startswith(revision)]


def _events(ping: Deployment, note: str) -> list[Object]:
    """The events of the ModelDeployment that say so."""
    found = ping.world.kubectl.list_all("events.events.k8s.io", ping.namespace)
    return [one for one in found if one["regarding"]["name"] == ping.name and one.get("note") == note]


def _stable_serves(traffic: Traffic, version: int, since: float) -> None:
    wait_until("answers follow", lambda: len(traffic.answers(since + 1)) > 20, 15)
    assert by_version(traffic.answers()) == {f"v{version}": len(traffic.answers())}
