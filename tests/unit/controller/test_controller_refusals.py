"""Writes that are refused: what is carried out all the same, what is told, and when it is tried again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.reasons import Reason
from serin.controller.refusals import Blocked
from serin.controller.refusals import told
from serin.errors import ClusterError
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.fake_api import collect
from tests.unit.controller.test_controller_reconcile import KEY
from tests.unit.controller.test_controller_reconcile import Stage

Json = dict[str, Any]
Refusal = Callable[[Kind, str, Json], ClusterError | None]
DENIED = ClusterError(
    403, 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: no'
)
SILENT = ClusterError(
    500,
    'Internal error occurred: failed calling webhook "defaulter.kserve-webhook-server": failed to call webhook: '
    'Post "https://kserve-webhook-server-service.kserve.svc:443/mutate?timeout=10s": dial tcp: connection refused',
)
BAD_TIMEOUT = "45s"


class PickyApi(FakeApi):
    """Refuses creations and patches for as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: Refusal = nothing
        self.refused: list[str] = []

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        self._pick(kind, body["metadata"]["name"], body)
        return await super().create(kind, namespace, body)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        self._pick(kind, name, patch)
        return await super().patch(kind, namespace, name, patch, version=version)

    def _pick(self, kind: Kind, name: str, body: Json) -> None:
        error = self.refusal(kind, name, body)
        if error is not None:
            self.refused.append(f"{kind.kind} {name}")
            raise error


class Refused(Stage):
    """The operator before such an API server."""

    def __init__(self) -> None:
        self.picky = PickyApi()
        super().__init__(self.picky)
        self.declare(1)

    @property
    def stalled(self) -> tuple[str, str]:
        """Reason and message of the condition Stalled; empty where it is absent."""
        found = [(one["reason"], one["message"]) for one in self.status["conditions"] if one["type"] == "Stalled"]
        return found[0] if found else ("", "")

    def size(self, revision: str) -> int:
        found: int = self.api.of(WORKLOAD, "payments", f"{revision}-predictor")["spec"]["replicas"]
        return found

    def crash(self, revision: str) -> None:
        """A container of the revision's first pod ends."""
        ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-20T12:00:09Z", "message": "MemoryError"}
        container = {"name": "kserve-container", "restartCount": 0, "ready": False, "state": {"terminated": ended}}
        pod = self.api.of(POD, "payments", f"{revision}-predictor-0")
        self.api.put(POD, {**pod, "status": {"containerStatuses": [container]}})

    async def later(self, minutes: int) -> None:
        """That long, with a look a minute, while everybody else does their work."""
        for _ in range(minutes):
            self.now += timedelta(minutes=1)
            self.world()
            await self.insist()


def version_two(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """KServe's webhook refuses that version."""
    return DENIED if kind is INFERENCE_SERVICE and "-v2-" in name else None


def silent(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """KServe's webhook is being restarted."""
    return SILENT if kind is INFERENCE_SERVICE else None


def nothing(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """All is well."""
    return None


def bad_timeout(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """A cluster that lets no request take so long."""
    rules = (body.get("spec") or {}).get("rules") or []
    if kind is HTTP_ROUTE and any(rule.get("timeouts", {}).get("request") == BAD_TIMEOUT for rule in rules):
        return ClusterError(422, f'HTTPRoute "{name}" is invalid: spec.rules[0].timeouts.request: Invalid value')
    return None


def hostnames(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """A policy of the cluster against the host names of others."""
    if kind is HTTP_ROUTE and "hostnames" in (body.get("spec") or {}):
        return ClusterError(403, 'admission webhook "policy.example.com" denied the request: not your host name')
    return None


def strict(kind: Kind, *fields: str) -> ClusterError:
    """What the API server answers to a creation under strict validation."""
    unknown = ", ".join(f'unknown field "{field}"' for field in fields)
    handled = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    return ClusterError(400, f"{handled}: strict decoding error: {unknown}")


def strict_patch(kind: Kind, *fields: str) -> ClusterError:
    """The same for a patch: it quotes the object as it would be."""
    mine = 'strict decoding error: unknown field \\"spec.mine\\"'
    quoted = f'{{"metadata":{{"annotations":{{"mine":"{mine}"}}}},"spec":{{"secret":"canary"}}}}'
    verdict = strict(kind, *fields).message.rpartition("strict decoding error: ")[2]
    return ClusterError(422, f' "" is invalid: patch: Invalid value: "{quoted}": strict decoding error: {verdict}')


def without_percent(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """The standard channel of Gateway API 1.2."""
    rules = (body.get("spec") or {}).get("rules") or []
    mirrors = [one["requestMirror"] for rule in rules for one in rule.get("filters") or []]
    if kind is HTTP_ROUTE and any("percent" in one for one in mirrors):
        return strict_patch(kind, "spec.rules[2].filters[0].requestMirror.percent")
    return None


def misspelt(kind: Kind, name: str, body: Json) -> ClusterError | None:
    """KServe's schema, as far as node selectors go."""
    if kind is INFERENCE_SERVICE and "nodeSelecter" in body["spec"]["predictor"]:
        return strict(kind, "spec.predictor.nodeSelecter")
    return None


async def test_the_size_of_the_stable_version_is_kept_while_the_candidate_is_refused() -> None:
    stage = Refused()
    old = await stage.served()
    stage.picky.refusal = version_two
    stage.declare(2, serving={"minReplicas": 6})
    await stage.look()
    assert stage.stalled[0] == Reason.BACKEND_REFUSED
    assert stage.size(old) == 6
    workload = stage.api.of(WORKLOAD, "payments", f"{old}-predictor")
    stage.api.put(WORKLOAD, {**workload, "spec": {"replicas": 0}})
    await stage.look()
    assert stage.size(old) == 6, "by hand, too"


async def test_what_is_not_needed_goes_although_something_is_refused() -> None:
    stage = Refused()
    old = await stage.served()
    stage.declare(3)
    await stage.settle()
    assert len(stage.all(INFERENCE_SERVICE)) == 2
    stage.picky.refusal = version_two
    stage.declare(2)
    await stage.later(5)
    assert stage.stalled[0] == Reason.BACKEND_REFUSED
    assert stage.all(INFERENCE_SERVICE) == {old}


async def test_a_route_that_is_refused_keeps_nothing_else_from_being_put_back() -> None:
    stage = Refused()
    old = await stage.served()
    stage.picky.refusal = bad_timeout
    stage.declare(1, traffic={"timeout": BAD_TIMEOUT})
    stage.api.remove(INFERENCE_SERVICE, "payments", old)
    collect(stage.api)
    await stage.look()
    assert stage.all(INFERENCE_SERVICE) == {old}
    reason, message = stage.stalled
    assert reason == Reason.BACKEND_REFUSED
    assert "HTTPRoute fraud was refused" in message


async def test_of_several_refusals_the_routes_is_told() -> None:
    stage = Refused()
    await stage.served()
    stage.picky.refusal = lambda kind, name, body: bad_timeout(kind, name, body) or version_two(kind, name, body)
    stage.declare(2, traffic={"timeout": BAD_TIMEOUT})
    await stage.look()
    assert len(stage.picky.refused) == 2
    assert "HTTPRoute fraud was refused" in stage.stalled[1]


@pytest.mark.parametrize(
    ("refusal", "traffic", "words"),
    [
        (bad_timeout, {"timeout": BAD_TIMEOUT}, "timeouts.request"),
        (hostnames, {"hostnames": ["another.test"]}, "not your host name"),
    ],
)
async def test_traffic_is_taken_away_although_the_rest_of_the_route_is_refused(
    refusal: Refusal, traffic: Json, words: str
) -> None:
    stage = Refused()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    before = stage.api.of(HTTP_ROUTE, *KEY)["spec"]
    stage.picky.refusal = refusal
    stage.declare(2, traffic=traffic)
    await stage.look()
    assert words in stage.stalled[1]
    assert stage.shares() == {old: 90, new: 10}
    stage.crash(new)
    await stage.look()
    assert stage.shares() == {old: 100}
    assert stage.status["rejected"][0]["revision"] == new
    assert words in stage.stalled[1]
    after = stage.api.of(HTTP_ROUTE, *KEY)["spec"]
    assert (after["hostnames"], after["parentRefs"]) == (before["hostnames"], before["parentRefs"])
    assert {rule["timeouts"]["request"] for rule in after["rules"]} == {"30s"}
    await stage.later(4)
    assert stage.all(INFERENCE_SERVICE) == {old}
    stage.picky.refused.clear()
    await stage.look()
    assert stage.picky.refused == ["HTTPRoute fraud"], "there is no more traffic to move, so once is enough"
    stage.picky.refusal = nothing
    await stage.later(2)
    assert stage.stalled[0] == Reason.ROLLED_BACK


async def test_a_webhook_that_does_not_answer_is_tried_again_and_told_when_it_lasts() -> None:
    stage = Refused()
    old = await stage.served()
    stage.picky.refusal = silent
    stage.declare(2, serving={"minReplicas": 3})
    for _ in range(4):
        with pytest.raises(ClusterError, match="connection refused"):
            await stage.look()
        stage.now += timedelta(seconds=14)
    assert stage.status["phase"] == "Healthy", "a restart is no news"
    assert stage.size(old) == 3, "nor does it keep anything else"
    stage.now += timedelta(seconds=10)
    outcome = await stage.look()
    assert outcome.look_again_at == stage.now + timedelta(minutes=1)
    told = {one["type"]: one for one in stage.status["conditions"]}
    assert (told["Ready"]["status"], told["Ready"]["reason"]) == ("False", Reason.BACKEND_UNAVAILABLE)
    assert "connection refused" in told["Ready"]["message"]
    assert told["Ready"]["message"].endswith("serving v1")
    assert "Stalled" not in told, "it passes by itself"
    assert "Reconciling" in told
    assert not [name for (_, _, name), body in stage.api.objects.items() if body.get("type") == "Warning"]
    stage.picky.refusal = nothing
    new = await stage.until_progressing()
    assert stage.shares() == {old: 90, new: 10}


@pytest.mark.parametrize(
    "error",
    [
        ClusterError(500, "etcdserver: mvcc: database space exceeded"),
        ClusterError(503, "no leader"),
        ClusterError(504, ""),
    ],
    ids=["full", "without a leader", "late"],
)
async def test_a_kind_that_cannot_be_stored_is_told_when_it_lasts_and_keeps_nothing_else(error: ClusterError) -> None:
    stage = Refused()
    old = await stage.served()
    stage.picky.refusal = lambda kind, name, body: error if version_two(kind, name, body) else None
    stage.declare(2, serving={"minReplicas": 3})
    with pytest.raises(ClusterError) as raised:
        await stage.look()
    assert raised.value is error
    assert stage.status["phase"] == "Healthy", "it may pass"
    assert stage.size(old) == 3
    stage.now += timedelta(minutes=1)
    await stage.look()
    [ready] = [one for one in stage.status["conditions"] if one["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", Reason.BACKEND_UNAVAILABLE)
    assert re.search(rf"InferenceService fraud-v2-\w+ cannot be written: {re.escape(error.message)}", ready["message"])
    stage.picky.refusal = nothing
    await stage.until_progressing()


async def test_a_route_that_cannot_be_stored_is_told_and_traffic_is_moved_when_it_can_be() -> None:
    stage = Refused()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    stage.picky.refusal = lambda kind, *_: ClusterError(500, "etcdserver: no leader") if kind is HTTP_ROUTE else None
    stage.crash(new)
    for _ in range(2):
        with pytest.raises(ClusterError, match="no leader"):
            await stage.look()
        stage.now += timedelta(seconds=29)
    stage.now += timedelta(seconds=2)
    await stage.look()
    assert "HTTPRoute fraud cannot be written: etcdserver: no leader" in stage.status["message"]
    assert stage.shares() == {old: 90, new: 10}
    assert stage.all(INFERENCE_SERVICE) == {old, new}, "the route still names it"
    stage.picky.refusal = nothing
    stage.api.reads.clear()
    await stage.look()
    assert stage.api.reads[:1] == ["get ModelDeployment fraud"], "what got no good answer may be done"
    assert stage.shares() == {old: 100}


async def test_a_webhook_that_is_restarted_again_has_its_minute_again() -> None:
    stage = Refused()
    await stage.served()
    stage.picky.refusal = silent
    stage.declare(2)
    with pytest.raises(ClusterError):
        await stage.look()
    stage.picky.refusal = nothing
    await stage.look()
    stage.now += timedelta(minutes=2)
    stage.picky.refusal = silent
    stage.declare(3)
    with pytest.raises(ClusterError):
        await stage.look()


async def test_what_a_webhook_refuses_is_told_although_another_does_not_answer() -> None:
    stage = Refused()
    await stage.served()
    stage.picky.refusal = lambda kind, name, body: bad_timeout(kind, name, body) or silent(kind, name, body)
    stage.declare(2, traffic={"timeout": BAD_TIMEOUT})
    await stage.look()
    assert "HTTPRoute fraud was refused" in stage.stalled[1]


async def test_a_mirror_that_the_route_cannot_carry_is_told_and_traffic_is_moved_all_the_same() -> None:
    stage = Refused()
    old = await stage.served()
    stage.picky.refusal = without_percent
    steps = [{"weight": 10, "hold": "1m"}, {"weight": 20, "mirror": 20, "hold": "1m"}]
    stage.declare(2, rollout={"steps": steps, "readiness": {"stableFor": "0s"}})
    new = await stage.until_progressing()
    await stage.later(2)
    reason, message = stage.stalled
    assert reason == Reason.GATEWAY_API_TOO_OLD
    assert message == (
        "the cluster's Gateway API does not know spec.rules[2].filters[0].requestMirror.percent: "
        "install Gateway API 1.3 or newer, or mirror 100 %; serving v1 90 %, v2 10 %"
    )
    assert stage.shares() == {old: 90, new: 10}
    stage.crash(new)
    await stage.later(2)
    assert stage.shares() == {old: 100}
    assert stage.stalled[0] == Reason.ROLLED_BACK


@pytest.mark.parametrize(
    ("kind", "error", "reason", "words"),
    [
        (
            HTTP_ROUTE,
            strict(HTTP_ROUTE, "spec.rules[0].timeouts", "spec.rules[1].timeouts"),
            Reason.GATEWAY_API_TOO_OLD,
            "does not know spec.rules[0].timeouts, spec.rules[1].timeouts: install Gateway API 1.2 or newer",
        ),
        (
            HTTP_ROUTE,
            strict(HTTP_ROUTE, "spec.novel"),
            Reason.GATEWAY_API_TOO_OLD,
            "does not know spec.novel: install a newer Gateway API",
        ),
        (
            INFERENCE_SERVICE,
            strict(INFERENCE_SERVICE, "spec.predictor.model.lifecycle.preStop.sleep"),
            Reason.BACKEND_REFUSED,
            "the cluster's KServe does not know spec.predictor.model.lifecycle.preStop.sleep: upgrade KServe",
        ),
    ],
)
async def test_a_field_that_the_cluster_does_not_know_is_told(
    kind: Kind, error: ClusterError, reason: Reason, words: str
) -> None:
    stage = Refused()
    stage.picky.refusal = lambda of, name, body: error if of is kind else None
    await stage.look()
    stage.world()
    await stage.look()
    assert stage.stalled[0] == reason
    assert words in stage.stalled[1]


async def test_a_field_of_the_overrides_that_the_backend_does_not_know_is_told() -> None:
    stage = Refused()
    await stage.served()
    stage.picky.refusal = misspelt
    stage.declare(1, serving={"overrides": {"nodeSelecter": {"disk": "ssd"}}})
    await stage.look()
    assert stage.stalled == (
        Reason.INVALID_SPEC,
        "the cluster's KServe does not know spec.predictor.nodeSelecter: "
        "correct spec.serving.overrides, or upgrade KServe; serving v1",
    )


def test_what_a_refused_patch_quotes_is_not_told() -> None:
    problem = told(HTTP_ROUTE, "fraud", strict_patch(HTTP_ROUTE, *(f"spec.f{number}" for number in range(9))))
    assert isinstance(problem, Blocked)
    assert "canary" not in str(problem)
    assert "spec.mine" not in str(problem)
    assert "spec.f0, spec.f1, spec.f2 and 6 more" in str(problem)


FORBIDDEN_PODS = (
    'pods is forbidden: User "serin" cannot list resource "pods" in API group "" in the namespace "payments"'
)


async def fails(stage: Stage, minutes: int) -> None:
    """A look a minute, each of which fails."""
    for _ in range(minutes):
        with pytest.raises(ClusterError):
            await stage.look()
        stage.world()
        stage.now += timedelta(minutes=1)


async def ready_for_requests() -> tuple[Refused, str]:
    """The next look would give a candidate its first requests, and reads the pods before; the stable revision."""
    stage = Refused()
    old = await stage.served()
    stage.declare(2)
    for _ in range(2):
        await stage.look()
        stage.world()
    return stage, old


async def test_a_read_that_is_forbidden_is_told_at_once_and_holds_everything() -> None:
    stage, old = await ready_for_requests()
    for _ in range(9):
        stage.api.refuse("list", POD, 403, FORBIDDEN_PODS)
    with pytest.raises(ClusterError):
        await stage.look()
    assert stage.stalled == (Reason.FORBIDDEN, f"{FORBIDDEN_PODS}; serving v1")
    assert (stage.status["candidate"]["version"], stage.status["rollout"]["weight"]) == ("v2", 0)
    stage.api.written.clear()
    await fails(stage, 8)
    assert stage.api.written == [], "it is told once"
    assert stage.shares() == {old: 100}
    new = await stage.until_progressing()
    assert stage.shares() == {old: 90, new: 10}
    assert stage.stalled == ("", "")


async def test_what_fails_for_longer_than_a_minute_is_told_once() -> None:
    stage, old = await ready_for_requests()
    for number in range(9):
        stage.api.refuse("list", POD, 429, f"too many requests, {number}")
    before = stage.status
    await fails(stage, 1)
    assert stage.status == before, "it may pass"
    stage.api.written.clear()
    await fails(stage, 8)
    assert stage.api.written == ["status ModelDeployment fraud"], "whatever the words of each try"
    [ready] = [one for one in stage.status["conditions"] if one["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", Reason.BACKEND_UNAVAILABLE)
    assert ready["message"] == "the API server keeps failing: too many requests, 1; serving v1"
    assert stage.shares() == {old: 100}
    await stage.until_progressing()


async def test_a_first_version_that_cannot_even_be_read_is_told() -> None:
    stage = Refused()
    for _ in range(4):
        stage.api.refuse("create", INFERENCE_SERVICE, 409, "conflict")
        stage.api.refuse("get", INFERENCE_SERVICE, 403, 'inferenceservices "fraud" is forbidden')
    await fails(stage, 3)
    assert stage.stalled == (Reason.FORBIDDEN, 'inferenceservices "fraud" is forbidden')


@pytest.mark.parametrize("unanswered", [INFERENCE_SERVICE, HTTP_ROUTE])
async def test_a_write_that_is_not_answered_keeps_no_other_and_is_told_when_it_lasts(unanswered: Kind) -> None:
    stage = Refused()
    old = await stage.served()
    silence = ClusterError(0, "no answer from the API server: TimeoutError()")
    stage.picky.refusal = lambda kind, *_: silence if kind is unanswered else None
    stage.declare(2, serving={"minReplicas": 3}, traffic={"timeout": "20s"})
    with pytest.raises(ClusterError, match="no answer"):
        await stage.look()
    assert stage.size(old) == 3
    assert (len(stage.all(INFERENCE_SERVICE)) == 2) == (unanswered is HTTP_ROUTE)
    stage.now += timedelta(minutes=1)
    await stage.look()
    [ready] = [one for one in stage.status["conditions"] if one["type"] == "Ready"]
    assert ready["reason"] == Reason.BACKEND_UNAVAILABLE
    assert "cannot be written: no answer from the API server" in ready["message"]
    stage.picky.refusal = nothing
    await stage.until_progressing()


async def test_an_api_server_that_answers_no_write_is_asked_twice() -> None:
    """Each is waited for, and meanwhile nobody else is looked at."""
    stage = Refused()
    await stage.served()
    stage.declare(2)
    await stage.until_progressing()
    for name in stage.all(INFERENCE_SERVICE):
        stage.api.remove(INFERENCE_SERVICE, "payments", name)
    stage.api.remove(HTTP_ROUTE, *KEY)
    collect(stage.api)
    stage.picky.refusal = lambda *_: ClusterError(0, "no answer")
    with pytest.raises(ClusterError, match="no answer"):
        await stage.look()
    assert len(stage.picky.refused) == 2


async def test_a_deletion_that_is_forbidden_is_told_and_holds_nothing() -> None:
    stage = Refused()
    await stage.served()
    for _ in range(99):
        stage.api.refuse("delete", INFERENCE_SERVICE, 403, "inferenceservices is forbidden")
    stage.declare(2, rollout={"steps": [], "readiness": {"stableFor": "0s"}})
    for _ in range(16):
        with contextlib.suppress(ClusterError):
            await stage.look()
        stage.world()
        stage.now += timedelta(minutes=1)
    assert stage.status["stable"]["version"] == "v2"
    assert stage.stalled == (Reason.FORBIDDEN, "inferenceservices is forbidden; serving v2")
    stage.api.written.clear()
    await fails(stage, 3)
    assert "status ModelDeployment fraud" not in stage.api.written, "it is told once"
    stage.declare(3)
    for _ in range(16):
        with contextlib.suppress(ClusterError):
            await stage.look()
        stage.world()
        stage.now += timedelta(minutes=1)
    assert stage.status["stable"]["version"] == "v3"
    stage.api.faults.clear()
    await stage.later(16)
    assert (stage.stalled, stage.status["phase"]) == (("", ""), "Healthy")
    assert len(stage.all(INFERENCE_SERVICE)) == 1
