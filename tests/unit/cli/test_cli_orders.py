from __future__ import annotations

import json
import re

import pytest

from serin.cli import orders
from serin.cli.verbs import VERBS
from serin.cluster.session import Session
from serin.rollout import orders as orders_of_the_operator
from tests.unit.cli import objects
from tests.unit.cli.api_server import HANG_UP
from tests.unit.cli.api_server import ApiServer
from tests.unit.cli.api_server import Json
from tests.unit.cli.api_server import wire
from tests.unit.cli.conftest import Run

CANDIDATE, STABLE = objects.CANDIDATE, objects.STABLE
NEWER = "fraud-v14-99887766"
OLD = "fraud-v11-0a0a0a0a"

PAUSED: Json = {"paused": {"reason": "Paused", "message": "by jane", "since": "2026-11-20T22:12:00Z"}}
REJECTION = {"revision": CANDIDATE, "version": "v13", "reason": "LoadFailed", "message": "ValueError: no"}
OLDER = {"revision": OLD, "version": "v11", "reason": "Crashed", "message": "OOMKilled"}

FIRST = {**objects.rolling(step=0), "status": {**objects.rolling(step=0)["status"], "stable": None}}

GIVEN: dict[str, tuple[Json, str, str]] = {
    # verb: the object, the revision that is ordered about, what is said will happen
    "promote": (objects.rolling(), CANDIDATE, "v13 gets all requests as soon as its replicas are ready, skipping 1 of"),
    "approve": (objects.rolling(phase="AwaitingApproval"), CANDIDATE, "v13 may go on from step 3 to 50 %"),
    "abort": (objects.rolling(), CANDIDATE, "v13 loses its 25 % of the requests and is not tried again"),
    "pause": (objects.rolling(), CANDIDATE, "v13 stays at 25 % until resumed"),
    "resume": (objects.rolling(phase="Paused", **PAUSED), CANDIDATE, "v13 goes on from 25 %"),
    "retry": (
        objects.deployment(rejected=[REJECTION, OLDER]),
        CANDIDATE,
        "v13 is tried again from the first step, where it is what is declared; it was rejected: ValueError: no",
    ),
    "undo": (
        objects.deployment(previous=objects.role(OLD)),
        STABLE,
        "v11, still warm, gets all requests again; v12 is rejected",
    ),
}


def one_line(text: str) -> str:
    return " ".join(text.split())


def carry_out(api: ApiServer, result: str, message: str) -> None:
    """The operator answers every order that it sees."""

    def answer(stored: Json) -> None:
        (verb, value), *_ = stored["metadata"]["annotations"].items()
        handled = {verb.removeprefix("serin.dev/"): objects.order(verb, result, message, value)}
        api.put({**stored, "status": {**stored["status"], "handled": handled}})

    api.on_patch = answer


def annotated(api: ApiServer) -> Json:
    found: Json = api.of("fraud")["metadata"].get("annotations") or {}
    return found


def test_the_verbs_are_the_operators() -> None:
    assert set(GIVEN) == {verb.word for verb in VERBS} == set(orders_of_the_operator.Verb)


@pytest.mark.parametrize("verb", GIVEN)
def test_the_operator_reads_what_is_written(api: ApiServer, serin: Run, verb: str) -> None:
    """Revision and author, from the annotation, by the operator's own code."""
    api.put(GIVEN[verb][0])
    assert serin(verb, "fraud", "--no-wait").exit_code == 0
    [(word, value)] = orders_of_the_operator.annotated(annotated(api)).items()
    order = orders_of_the_operator.Order(orders_of_the_operator.Verb(word), value)
    assert (word, order.revision, order.by) == (verb, GIVEN[verb][1], "jane")


@pytest.mark.parametrize("verb", GIVEN)
def test_an_order_names_the_revision_and_who_gives_it(api: ApiServer, serin: Run, verb: str) -> None:
    body, revision, effect = GIVEN[verb]
    stored = api.put(body)
    carry_out(api, "Done", "as you say")
    given = serin(verb, "fraud")
    assert given.exit_code == 0, given.output
    told, answer = given.stdout.splitlines()
    assert told.startswith(f"{verb} {revision}: {effect}")
    assert answer == "done: as you say"
    value = f"{revision}#jane/2026-11-20T22:12:30.000Z"
    version = stored["metadata"]["resourceVersion"]
    assert api.patches == [{"metadata": {"resourceVersion": version, "annotations": {f"serin.dev/{verb}": value}}}]
    patch = api.requests.index("PATCH /apis/serin.dev/v1alpha1/namespaces/payments/modeldeployments/fraud")
    assert api.queries[patch] == {"fieldManager": "serin-cli"}


@pytest.mark.parametrize("verb", GIVEN)
def test_the_operator_has_the_last_word(api: ApiServer, serin: Run, verb: str) -> None:
    api.put(GIVEN[verb][0])
    carry_out(api, "Refused", "it is too late for that")
    given = serin(verb, "fraud")
    assert given.exit_code == 6
    assert f"{verb} was refused: it is too late for that" in one_line(given.stderr)


@pytest.mark.parametrize(
    ("verb", "body", "refusal"),
    [
        ("promote", objects.deployment(), "no rollout of fraud is running serin why fraud -n payments"),
        ("promote", objects.rejected(), "v13 was rejected; serin retry fraud -n payments tries it again"),
        (
            "abort",
            objects.deployment(previous=objects.role(OLD)),
            "v12 is promoted already; serin undo fraud -n payments",
        ),
        ("abort", FIRST, "v13 is the first version: nothing serves beside it"),
        ("promote", FIRST, "v13 is the first version: nothing serves beside it"),
        ("approve", objects.deployment(), "there is nothing to approve"),
        ("approve", objects.rolling(step=2), "nothing of fraud awaits approval; it is Progressing serin promote fraud"),
        ("approve", objects.rolling(approvedStep=3), "nothing of fraud awaits approval"),
        (
            "pause",
            objects.rolling(phase="Paused", **PAUSED),
            "paused already since 22:12:00Z (30s ago) serin resume",
        ),
        ("resume", objects.rolling(), "fraud is not paused; it is Progressing serin why fraud"),
        ("retry", objects.deployment(), "no revision of fraud is rejected"),
        ("undo", objects.rolling(), "a rollout of v13 is running serin abort fraud -n payments ends it"),
        ("undo", objects.deployment(), "no revision before v12 is known Declare the version you want in spec.model"),
        ("undo", objects.deployment(stable=None), "nothing of fraud has been promoted yet"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(
    api: ApiServer, serin: Run, verb: str, body: Json, refusal: str
) -> None:
    api.put(body)
    given = serin(verb, "fraud")
    assert given.exit_code == 6
    assert refusal in one_line(given.stderr)
    assert api.patches == []


@pytest.mark.parametrize("verb", GIVEN)
def test_nothing_is_ordered_of_what_is_suspended_or_going(api: ApiServer, serin: Run, verb: str) -> None:
    body = GIVEN[verb][0]
    api.put({**body, "spec": {**body["spec"], "suspend": True}})
    suspended = serin(verb, "fraud")
    assert (suspended.exit_code, "spec.suspend to false first" in one_line(suspended.stderr)) == (6, True)
    api.put({**body, "metadata": {**body["metadata"], "deletionTimestamp": "2026-11-20T22:12:00Z"}})
    going = serin(verb, "fraud")
    assert (going.exit_code, "is being deleted" in going.stderr) == (6, True)
    assert api.patches == []


def test_undo_without_a_warm_revision_goes_back_to_the_one_that_is_remembered(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment(fallback=objects.role(OLD, ready=0, replicas=0)))
    given = serin("undo", "fraud", "--no-wait")
    assert "v11 is deployed again and gets all requests once it is ready" in one_line(given.stdout)
    assert annotated(api)["serin.dev/undo"].startswith(f"{STABLE}#")


def test_another_revision_than_the_named_one_is_not_hit(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    late = serin("promote", "fraud", "--revision", "fraud-v12-0b0b0b0b")
    assert late.exit_code == 6
    assert f"--revision says fraud-v12-0b0b0b0b, but promote would be for {CANDIDATE} now" in one_line(late.stderr)
    assert api.patches == []
    assert serin("promote", "fraud", "--revision", CANDIDATE, "--no-wait").exit_code == 0


def test_any_rejected_revision_may_be_retried(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment(rejected=[REJECTION, OLDER]))
    assert serin("retry", "fraud", "--revision", OLD, "--no-wait").exit_code == 0
    assert annotated(api)["serin.dev/retry"].startswith("fraud-v11-0a0a0a0a#")
    unknown = serin("retry", "fraud", "--revision", STABLE)
    assert unknown.exit_code == 6
    assert f"Rejected of fraud: {CANDIDATE}, fraud-v11-0a0a0a0a" in one_line(unknown.stderr)


def test_a_conflict_is_overcome_while_it_is_the_same_revision(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.refuse("PATCH", 409, times=3)
    assert serin("promote", "fraud", "--no-wait").exit_code == 0
    assert annotated(api)["serin.dev/promote"].startswith(f"{CANDIDATE}#")


def test_an_order_never_hits_a_revision_that_nobody_looked_at(api: ApiServer, serin: Run) -> None:
    """Between the look and the write another version was declared: the write meets a conflict, and nothing is
    ordered about the newcomer."""
    api.put(objects.rolling())
    read = api.fault

    def meanwhile(request: str) -> tuple[int, str] | None:
        if request.startswith("PATCH"):
            newer = objects.rolling(step=1)
            newer["status"]["candidate"] = objects.role(NEWER)
            api.put(newer)
        return read(request)

    api.fault = meanwhile  # type: ignore[method-assign]
    given = serin("promote", "fraud")
    assert given.exit_code == 6
    refusal = f"meanwhile it would be for {NEWER}, no longer for {CANDIDATE}: nothing was ordered"
    assert refusal in one_line(given.stderr)
    assert annotated(api) == {}


def test_an_object_that_goes_meanwhile(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    read = api.fault

    def meanwhile(request: str) -> tuple[int, str] | None:
        if request.startswith("PATCH"):
            api.remove("fraud")
        return read(request)

    api.fault = meanwhile  # type: ignore[method-assign]
    given = serin("promote", "fraud")
    assert given.exit_code == 3
    assert "was deleted meanwhile" in given.stderr


def test_an_object_that_never_rests_is_given_up(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.refuse("PATCH", 409, times=orders.ATTEMPTS)
    given = serin("promote", "fraud")
    assert given.exit_code == 1
    assert "changes faster than an order can be written" in one_line(given.stderr)


@pytest.mark.parametrize(
    ("code", "stands"), [(HANG_UP, True), (500, True), (504, True), (422, False), (403, False)], ids=str
)
def test_an_order_whose_answer_was_lost_may_stand(api: ApiServer, serin: Run, code: int, stands: bool) -> None:
    """Whoever thinks that nothing happened gives another order."""
    api.put(objects.rolling())
    api.refuse("PATCH", code)
    given = serin("promote", "fraud")
    assert given.exit_code == 1
    told = "; the order may stand all the same, and the operator then carries it out serin status fraud -n payments"
    assert (told in one_line(given.stderr)) == stands


@pytest.mark.parametrize(
    "raw",
    [
        wire(502, b"<html>bad gateway", missing=300),
        wire(502, b"<html>bad gateway", "Content-Encoding: gzip"),
        wire(200, b"<html>log in"),
        wire(200, b"null"),
        wire(200, b'{"kind": "ModelDeployment"', missing=300),
    ],
    ids=["a refusal that is cut", "a refusal that is no gzip", "a page", "nothing", "an object that is cut"],
)
def test_an_order_whose_answer_came_mutilated_may_stand(api: ApiServer, serin: Run, raw: bytes) -> None:
    api.put(objects.rolling())
    api.answer("PATCH", raw)
    given = serin("promote", "fraud")
    assert given.exit_code == 1
    told = "; the order may stand all the same, and the operator then carries it out serin status fraud -n payments"
    assert told in one_line(given.stderr)


def test_an_order_that_was_refused_does_not_stand_however_little_of_it_came(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.answer("PATCH", wire(403, b"you may n", missing=300))
    given = serin("promote", "fraud")
    assert "you may not annotate ModelDeployment fraud: you may n" in one_line(given.stderr)
    assert "may stand" not in given.stderr


def test_an_operator_that_does_not_answer(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    given = serin("promote", "fraud", "--timeout", "100ms")
    assert given.exit_code == 5
    assert "the operator has not answered within 100ms; the order stands" in one_line(given.stderr)
    assert "serin.dev/promote" in annotated(api)


def given_as_json(verb: str, revision: str, effect: str, **answer: object) -> Json:
    return {
        "order": verb,
        "name": "fraud",
        "namespace": "payments",
        "revision": revision,
        "value": f"{revision}#jane/2026-11-20T22:12:30.000Z",
        "effect": effect,
        **answer,
    }


@pytest.mark.parametrize(("result", "code"), [("Done", 0), ("Refused", 6)])
def test_an_order_for_machines_is_what_was_given_and_the_answer(
    api: ApiServer, serin: Run, result: str, code: int
) -> None:
    api.put(objects.rolling())
    carry_out(api, result, "as you say")
    given = serin("pause", "fraud", "-o", "json")
    assert given.exit_code == code
    told = given_as_json("pause", CANDIDATE, "v13 stays at 25 % until resumed", result=result, message="as you say")
    assert json.loads(given.stdout) == told


def test_an_order_for_machines_without_an_answer(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    silent = given_as_json("pause", CANDIDATE, "v13 stays at 25 % until resumed", result=None, message="")
    late = serin("pause", "fraud", "-o", "json", "--timeout", "100ms")
    assert (late.exit_code, json.loads(late.stdout)) == (5, silent)
    at_once = serin("pause", "fraud", "-o", "json", "--no-wait")
    assert (at_once.exit_code, json.loads(at_once.stdout)) == (0, silent)


def test_an_order_that_is_not_given_tells_machines_nothing(api: ApiServer, serin: Run) -> None:
    api.put(objects.deployment())
    refused = serin("pause", "fraud", "-o", "json")
    assert (refused.exit_code, refused.stdout) == (6, "")


def test_whoever_stops_waiting_is_told_that_the_order_stands(
    api: ApiServer, serin: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.put(objects.rolling())

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(orders, "follow", interrupted)
    given = serin("promote", "fraud")
    assert given.exit_code == 130
    assert "no longer waiting for the answer: the order stands" in one_line(given.stderr)
    assert "serin status fraud -n payments shows the answer." in one_line(given.stderr)
    assert "serin.dev/promote" in annotated(api)


def test_whoever_stops_the_writing_is_told_that_the_order_may_stand(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    read = Session.patch

    def interrupted(*arguments: object) -> None:
        read(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "patch", interrupted)
        given = serin("promote", "fraud")
    assert given.exit_code == 130
    assert "stopped while the order was written: it may stand" in one_line(given.stderr)


def test_an_order_that_another_took_the_place_of(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())

    def overwrite(stored: Json) -> None:
        stored["metadata"]["annotations"]["serin.dev/promote"] = f"{CANDIDATE}#joe/t"
        api.put(stored)

    api.on_patch = overwrite
    given = serin("promote", "fraud")
    assert given.exit_code == 6
    assert f"another order took the place of this one: promote {CANDIDATE}#joe/t" in one_line(given.stderr)


def test_who_may_not_is_told_what_to_ask_for(api: ApiServer, serin: Run) -> None:
    api.put(objects.rolling())
    api.refuse("PATCH", 403, 'User "jane" cannot patch resource "modeldeployments"')
    given = serin("promote", "fraud")
    assert given.exit_code == 1
    assert "Ask for the ClusterRole view in the namespace to look, and edit to give orders" in one_line(given.stderr)


@pytest.mark.parametrize("verb", GIVEN)
def test_the_help_says_how_kubectl_does_it(serin: Run, verb: str) -> None:
    shown = serin(verb, "--help").stdout
    path = {"retry": ".status.rejected[0].revision", "undo": ".status.stable.revision"}.get(
        verb, ".status.candidate.revision"
    )
    assert f"revision=$(kubectl get modeldeployment NAME -n NAMESPACE \\\n      -o jsonpath='{{{path}}}')\n" in shown
    assert (
        "kubectl annotate --overwrite modeldeployment NAME -n NAMESPACE \\\n"
        f'      serin.dev/{verb}="$revision#$(date +%s)"\n'
    ) in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize(
    ("user", "written"),
    [
        ("jane@example.com", "jane@example.com"),
        ("arn:aws:eks:eu-west-1:1:cluster/x", "arn-aws-eks-eu-west-1-1-cluster-x"),
        ("Jane Doe#/\n", "Jane-Doe"),
        ("x" * 100, "x" * 63),
        ("###", "unknown"),
    ],
)
def test_who(user: str, written: str) -> None:
    assert orders.who(user) == written


def test_without_a_user_in_the_kubeconfig_it_is_the_one_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "joe")
    assert orders.who("") == "joe"


def test_each_order_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", orders.stamp())
