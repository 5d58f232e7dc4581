"""What ``serin why`` says would change the state, in states that the operator's own ``decide`` comes to.

It is true, and whoever follows it is not sent in circles.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from serin.analysis.checks import Sample
from serin.analysis.checks import Unknown
from serin.api.analysis import Tally
from serin.api.reasons import Reason
from serin.cli import times
from serin.cli.changes import changes
from serin.cli.exits import CommandError
from serin.cli.seen import Seen
from serin.cli.verbs import VERBS
from serin.cli.verbs import Order
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.cli import objects
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.conftest import Run
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds
from tests.unit.rollout.scene import spec

AT = "fraud -n payments"
PODS = "kubectl get pods -n payments -l serin.dev/modeldeployment=fraud."
REPLICAS = f"Replicas that become ready; their pods say what keeps them: {PODS}"
GIVEN_UP = "At spec.serving.startupDeadline v2 is given up."
ROUTE = "The gateway's controller has to accept the HTTPRoute fraud; look whether it runs."
FIRST = "v1 is the first version: to serve another one instead, declare that."
BY_ITSELF = "It goes on by itself once the cause is mended; the operator looks again at least every minute."
NEXT = "Another version or alias target, or a changed spec.serving, starts a rollout."
RESUME = f"serin resume {AT} lets it go on."
APPROVE = f"serin approve {AT} lets v2 go on."
PROMOTE = f"serin promote {AT} gives v2 everything now, without further steps."
PROMOTE_THEN = f"serin promote {AT} gives v2 everything as soon as that is there, without further steps."
PAUSE = f"serin pause {AT} keeps it where it is."
ABORT = f"serin abort {AT} takes v2 back."
UNDO = f"serin undo {AT} goes back to v1."
RETRY = f"serin retry {AT} tries v2 again as it is."
UNSUSPEND = "Set spec.suspend to false where the manifest comes from: then the operator works on it again."
AWAY = Problem(Reason.REGISTRY_UNAVAILABLE, "the registry does not answer")
TWO = {10: "5m", 50: "5m"}
APPROVAL = [{"weight": 10, "hold": "5m", "approval": True}]
CHECK = {"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}}
ANALYSIS = {"every": "30s", "minRequests": 100, "checks": [CHECK]}


def first() -> Scene:
    scene = Scene(become_ready=False)
    scene.settle()
    return scene


def first_that_is_late() -> Scene:
    scene = first()
    scene.run(1200)
    return scene


def first_that_is_paused() -> Scene:
    scene = first()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    return scene


def in_step(length: float = 60, **rollout: Any) -> Scene:
    scene = rolling(TWO, rollout=rollout)
    scene.run(length)
    return scene


def deploying() -> Scene:
    scene = rolling(TWO)
    scene.become_ready = False
    scene.settle()
    return scene


def without_the_registry() -> Scene:
    scene = in_step()
    scene.down = AWAY
    scene.run(600)
    return scene


def without(role: str) -> Scene:
    """Replicas of this role went, and come no more."""
    scene = in_step()
    scene.become_ready = False
    scene.ready(getattr(scene, role), 0).run(1 if role == "candidate" else 600)
    return scene


def without_the_gateway(refusal: str | None = None) -> Scene:
    scene = rolling(TWO)
    scene.accepts = False
    scene.run(60)
    scene.route = replace(scene.route, refusal=refusal)
    scene.settle()
    return scene


def judged(measured: Sample | Unknown | None, length: float = 600, **rollout: Any) -> Scene:
    scene = rolling(TWO, rollout={"analysis": ANALYSIS, **rollout})
    if measured is not None:
        scene.measured["errors"] = measured
    scene.run(length)
    return scene


def counted(requests: int, bad: int) -> Sample:
    moment = healthy().now
    stable = Tally(requests=1000, bad=5)
    return Sample(Tally(requests=requests, bad=bad), stable, since=moment, at=moment + seconds(60))


def paused() -> Scene:
    scene = in_step()
    scene.order(Verb.PAUSE, scene.candidate).settle()
    return scene


def promoting() -> Scene:
    scene = in_step()
    scene.accepts = False
    scene.order(Verb.PROMOTE, scene.candidate).settle()
    return scene


def in_use(length: float = 700) -> Scene:
    scene = rolling(TWO)
    scene.run(length)
    return scene


def cold_undo(*, gateway: bool = False) -> Scene:
    scene = in_use(10_000)
    scene.become_ready, scene.accepts = gateway, not gateway
    scene.order(Verb.UNDO, scene.stable).run(60 if gateway else 0)
    return scene


def undone() -> Scene:
    scene = in_use()
    scene.order(Verb.UNDO, scene.stable).run(60)
    return scene


def undone_cold() -> Scene:
    scene = in_use(10_000)
    scene.order(Verb.UNDO, scene.stable).run(60)
    return scene


def aborted(*, gateway: bool = True) -> Scene:
    scene = in_step()
    scene.accepts = gateway
    scene.order(Verb.ABORT, scene.candidate).run(1)
    return scene


def aborted_after_another() -> Scene:
    """v3 was rejected, and v2, which was rejected before, is declared again."""
    scene = aborted()
    scene.declare(3, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).run(60)
    scene.order(Verb.ABORT, scene.candidate, "late").run(60)
    scene.declare(2, rollout={"steps": [{"weight": 10, "hold": "5m"}]}).run(60)
    return scene


def short_of_replicas() -> Scene:
    scene = healthy(serving={"minReplicas": 2})
    scene.become_ready = False
    scene.ready(scene.stable, 1).settle()
    return scene


def serving_nobody() -> Scene:
    scene = in_use()
    scene.become_ready = False
    scene.ready(scene.stable, 0).settle()
    return scene


def with_a_route_that_is_not_accepted() -> Scene:
    scene = healthy()
    scene.route, scene.accepts = replace(scene.route, accepted=False), False
    scene.settle()
    return scene


def suspended(scene: Scene) -> Scene:
    scene.spec = spec(1, suspend=True)
    scene.settle()
    return scene


def without_an_alias() -> Scene:
    scene = in_step()
    scene.target = Problem(Reason.ALIAS_NOT_FOUND, "there is no alias champion")
    scene.settle()
    return scene


def of_no_registry() -> Scene:
    scene = Scene(target=Problem(Reason.REGISTRY_NOT_FOUND, "there is no ModelRegistry prod"))
    scene.settle()
    return scene


STATES: dict[str, tuple[Callable[[], Scene], str, list[str]]] = {
    # what it is: how it comes about, phase and reason, what would change it
    "first": (first, "Deploying/WaitingForReplicas", [REPLICAS, FIRST]),
    "first, late": (
        first_that_is_late,
        "Failed/StartupDeadlineExceeded",
        ["Find out why it is slow, or raise spec.serving.startupDeadline.", BY_ITSELF, FIRST],
    ),
    "first, paused": (first_that_is_paused, "Paused/Paused", ["Somebody who resumes it moves it on.", RESUME, FIRST]),
    "deploying": (deploying, "Deploying/WaitingForReplicas", [REPLICAS, GIVEN_UP, PROMOTE_THEN, PAUSE, ABORT]),
    "held": (in_step, "Progressing/Progressing", ["The end of the hold moves it on.", PROMOTE, PAUSE, ABORT]),
    "held, judged": (
        lambda: judged(None, 60),
        "Progressing/Progressing",
        ["The end of the hold moves it on, once every check passes.", PROMOTE, PAUSE, ABORT],
    ),
    "held, judged for show": (
        lambda: in_step(analysis={**ANALYSIS, "checks": [{**CHECK, "dryRun": True}]}),
        "Progressing/Progressing",
        ["The end of the hold moves it on.", PROMOTE, PAUSE, ABORT],
    ),
    "held, and approved later": (
        lambda: in_step(steps=APPROVAL, analysis=ANALYSIS),
        "Progressing/Progressing",
        ["The end of the hold moves it on, once every check passes and somebody approves it.", PROMOTE, PAUSE, ABORT],
    ),
    "held, with a deadline": (
        lambda: in_step(deadline="4h", onInconclusive="Promote"),
        "Progressing/Progressing",
        ["The end of the hold moves it on.", "At its deadline v2 gets everything.", PROMOTE, PAUSE, ABORT],
    ),
    "too few requests": (
        lambda: judged(counted(20, 0)),
        "Progressing/AnalysisInconclusive",
        ["More requests to v2 decide it: then it moves on, or fails.", PROMOTE, PAUSE, ABORT],
    ),
    "nothing measured": (
        lambda: judged(Unknown("Prometheus does not answer")),
        "Progressing/AnalysisError",
        [
            "What the checks ask has to be answered again: look at Prometheus, and at the check that the message "
            "names. Until then nothing moves forward.",
            PROMOTE,
            PAUSE,
            ABORT,
        ],
    ),
    "frozen": (
        lambda: judged(counted(400, 60), onFailure="Freeze"),
        "Paused/Frozen",
        [
            f"Look at the check that failed: serin status {AT}. Resumed, the step begins anew and is judged anew.",
            RESUME,
            PROMOTE,
            ABORT,
        ],
    ),
    "approval": (
        lambda: in_step(steps=APPROVAL, length=400),
        "AwaitingApproval/AwaitingApproval",
        ["Somebody who approves it moves it on.", APPROVE, PROMOTE, PAUSE, ABORT],
    ),
    "approval until a deadline that takes back": (
        lambda: in_step(steps=APPROVAL, length=400, deadline="4h", onInconclusive="Rollback"),
        "AwaitingApproval/AwaitingApproval",
        [
            "Somebody who approves it moves it on.",
            "At its deadline v2 is taken back.",
            APPROVE,
            PROMOTE,
            PAUSE,
            ABORT,
        ],
    ),
    "approval until a deadline that would promote": (
        lambda: in_step(steps=APPROVAL, length=400, deadline="4h", onInconclusive="Promote"),
        "AwaitingApproval/AwaitingApproval",
        [
            "Somebody who approves it moves it on.",
            "At its deadline it stops until somebody decides.",
            APPROVE,
            PROMOTE,
            PAUSE,
            ABORT,
        ],
    ),
    "registry away": (
        without_the_registry,
        "Progressing/RegistryUnavailable",
        ["The registry has to answer again; the operator asks by itself.", PROMOTE, PAUSE, ABORT],
    ),
    "stable without replicas": (
        lambda: without("stable"),
        "Progressing/StableUnavailable",
        [
            f"Replicas of v1 that are ready again; their pods say what is wrong: {PODS}",
            PROMOTE,
            PAUSE,
            ABORT,
        ],
    ),
    "candidate without replicas": (
        lambda: without("candidate"),
        "Progressing/WaitingForReplicas",
        [REPLICAS, GIVEN_UP, PROMOTE_THEN, PAUSE, ABORT],
    ),
    "gateway silent": (without_the_gateway, "Deploying/WaitingForGateway", [ROUTE, PROMOTE_THEN, PAUSE, ABORT]),
    "gateway refuses": (
        lambda: without_the_gateway("no such listener"),
        "Deploying/RouteRefused",
        [
            "Correct spec.traffic.hostnames or gateways: the message has the gateway's own words.",
            PROMOTE_THEN,
            PAUSE,
            ABORT,
        ],
    ),
    "promoting": (promoting, "Promoting/WaitingForGateway", [ROUTE, ABORT]),
    "bake": (
        lambda: in_step(length=1000, bake="1h"),
        "Baking/Baking",
        [
            "The end of the bake promotes v2.",
            f"serin promote {AT} gives v2 everything for good, without the rest of the bake.",
            PAUSE,
            ABORT,
        ],
    ),
    "paused": (paused, "Paused/Paused", ["Somebody who resumes it moves it on.", RESUME, PROMOTE, ABORT]),
    "past its deadline": (
        lambda: in_step(deadline="4m", length=400),
        "Paused/DeadlineExceeded",
        [
            "The rollout took longer than its deadline: find out what held it up before you let it go on.",
            RESUME,
            PROMOTE,
            ABORT,
        ],
    ),
    "the alias is gone": (
        without_an_alias,
        "Failed/AliasNotFound",
        ["Correct spec.model.alias, or set the alias in the registry.", BY_ITSELF, PROMOTE, PAUSE, ABORT],
    ),
    "no registry": (
        of_no_registry,
        "Failed/RegistryNotFound",
        ["Correct spec.model.registry, or have the platform team make that ModelRegistry.", BY_ITSELF],
    ),
    "healthy": (healthy, "Healthy/Healthy", [NEXT]),
    "healthy, the one before is warm": (in_use, "Healthy/Healthy", [NEXT, UNDO]),
    "healthy, the one before is cold": (lambda: in_use(10_000), "Healthy/Healthy", [NEXT, UNDO]),
    "short of replicas": (short_of_replicas, "Deploying/WaitingForReplicas", [REPLICAS]),
    "serves nobody": (
        serving_nobody,
        "Failed/StableUnavailable",
        [f"Replicas of v2 that are ready again; their pods say what is wrong: {PODS}", BY_ITSELF, UNDO],
    ),
    "route written anew": (with_a_route_that_is_not_accepted, "Promoting/WaitingForGateway", [ROUTE]),
    "going back to one that is cold": (
        cold_undo,
        "RollingBack/WaitingForReplicas",
        [REPLICAS, f"serin abort {AT} ends that: v2 stays."],
    ),
    "going back, gateway silent": (
        lambda: cold_undo(gateway=True),
        "RollingBack/WaitingForGateway",
        [ROUTE, f"serin abort {AT} ends that: v2 stays."],
    ),
    "undone": (
        undone,
        "RolledBack/RolledBack",
        ["Declare another version, or mend what was wrong and declare that.", RETRY],
    ),
    "undone, the one that was in use is warm": (
        undone_cold,
        "RolledBack/RolledBack",
        ["Declare another version, or mend what was wrong and declare that.", RETRY],
    ),
    "aborted": (
        aborted,
        "RolledBack/RolledBack",
        ["Declare another version, or mend what was wrong and declare that.", RETRY],
    ),
    "aborted, then another": (
        aborted_after_another,
        "RolledBack/RolledBack",
        [
            "Declare another version, or mend what was wrong and declare that.",
            f"serin retry {AT} --revision REVISION tries v2 again as it is.",
        ],
    ),
    "losing its traffic": (
        lambda: aborted(gateway=False),
        "RollingBack/RollingBack",
        ["The gateway's word that v1 has all traffic again ends it."],
    ),
    "suspended": (lambda: suspended(healthy()), "Suspended/Suspended", [UNSUSPEND]),
    "suspended in a rollout": (lambda: suspended(in_step()), "Suspended/Suspended", [UNSUSPEND]),
}


@cache
def played(state: str) -> Scene:
    return STATES[state][0]()


def scene_of(state: str) -> Scene:
    """In that state, and nobody else's."""
    return deepcopy(played(state))


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> str:
    scene = played(request.param)
    monkeypatch.setattr(times, "now", lambda: scene.now)
    api.put(objects.of(scene))
    return str(request.param)


def test_what_would_change_it(serin: Run, state: str) -> None:
    _, told, expected = STATES[state]
    shown = serin("why", "fraud", "-o", "json")
    assert shown.exit_code == 0, shown.output
    explained = json.loads(shown.stdout)
    sections = {section["title"]: section["sentences"] for section in explained["sections"]}
    found = [re.sub(r"--revision fraud-v2-\w+", "--revision REVISION", one) for one in sections["What would change it"]]
    assert (f"{explained['phase']}/{explained['reason']}", found) == (told, expected)
    assert (explained["name"], explained["namespace"]) == ("fraud", "payments")


def test_people_are_told_the_same_in_80_columns(serin: Run, state: str) -> None:
    shown = serin("why", "fraud").stdout
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())
    explained = json.loads(serin("why", "fraud", "-o", "json").stdout)
    plain = " ".join(shown.split())
    for section in explained["sections"]:
        assert " ".join(f"{section['title']} {' '.join(section['sentences'])}".split()) in plain


ORDERED = re.compile(r"serin (\w+) fraud -n payments(?: --revision (\S+))?")
KNOWN = {verb.word: verb for verb in VERBS}
NOTHING_TO_ORDER = {
    "first",
    "first, late",
    "no registry",
    "healthy",
    "short of replicas",
    "route written anew",
    "losing its traffic",
    "suspended",
    "suspended in a rollout",
}


def orders_in(text: str) -> list[tuple[str, str | None]]:
    """The orders that a text tells people to give: verb and revision."""
    return [(verb, revision or None) for verb, revision in ORDERED.findall(text) if verb in KNOWN]


def given(scene: Scene, verb: str, revision: str | None = None) -> Order | CommandError:
    """The order, or why the command line gives none."""
    try:
        return KNOWN[verb].order(Seen(objects.of(scene)), revision)
    except CommandError as refused:
        return refused


@pytest.mark.parametrize("state", STATES)
def test_every_order_that_is_named_is_carried_out(state: str) -> None:
    """Neither the command line nor the operator refuses what was told to be done."""
    named = orders_in("\n".join(changes(Seen(objects.of(played(state))))))
    assert named or state in NOTHING_TO_ORDER
    for verb, revision in named:
        scene = scene_of(state)
        order = given(scene, verb, revision)
        assert isinstance(order, Order), order
        scene.order(Verb(verb), order.revision, "here/now").settle()
        handled = scene.status.handled[verb]
        assert handled.result == "Done", handled.message


@pytest.mark.parametrize("state", STATES)
def test_a_refusal_names_no_order_that_would_be_refused(state: str) -> None:
    for verb in KNOWN:
        refused = given(played(state), verb)
        if isinstance(refused, Order):
            continue
        assert refused.remedy
        for other, revision in orders_in(refused.remedy):
            assert isinstance(given(played(state), other, revision), Order), (refused.remedy, other)


@pytest.mark.parametrize("state", [state for state in STATES if not state.startswith("suspended")])
def test_what_is_refused_here_the_operator_refuses(state: str) -> None:
    """And what it carries out is not refused here."""
    for verb in KNOWN:
        scene = scene_of(state)
        role = scene.status.stable if verb == "undo" else scene.status.candidate
        if verb == "retry":
            revision = scene.status.rejected[0].revision if scene.status.rejected else "nothing"
        else:
            revision = role.revision if role is not None else "nothing"
        scene.order(Verb(verb), revision, "here/now").settle()
        handled = scene.status.handled[verb]
        here = given(played(state), verb)
        assert isinstance(here, Order) == (handled.result == "Done"), (verb, here, handled.message)
