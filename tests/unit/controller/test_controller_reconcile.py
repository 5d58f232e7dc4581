"""One look at a ModelDeployment, from the caches to the writes: which, in what order, and after which errors."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.api.kinds import AUTOSCALER
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import EVENT
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import POD
from serin.api.kinds import REVISION_LABEL
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.api.modeldeployment import Model
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.cluster.client import CONFLICT
from serin.controller import gather
from serin.controller.cache import Children
from serin.controller.cache import Parents
from serin.controller.gather import Gatherer
from serin.controller.measure import Measurer
from serin.controller.perform import Performer
from serin.controller.policies import Policies
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.reconcile import PATIENCE
from serin.controller.reconcile import Outcome
from serin.controller.reconcile import Reconciler
from serin.controller.telemetry import Telemetry
from serin.errors import ClusterError
from serin.rollout.doubt import Doubt
from serin.rollout.observed import Problem
from serin.rollout.records import Question
from serin.rollout.records import Records
from serin.serving.backend import LiveObjects
from serin.serving.kserve import KServe
from tests.unit.controller.fake_api import FakeApi
from tests.unit.controller.fake_api import collect
from tests.unit.controller.fake_api import kserve_controls
from tests.unit.rollout.scene import PLATFORM
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import resolved

Json = dict[str, Any]
KEY = Key("payments", "fraud")
CHILDREN = (INFERENCE_SERVICE, HTTP_ROUTE, AUTOSCALER, WORKLOAD, POD)
STEPS = {"steps": [{"weight": 10, "hold": "5m"}], "readiness": {"stableFor": "0s"}}


class Stage:
    """The operator's rings around the core, over an API server that is played."""

    def __init__(self, api: FakeApi | None = None, **sections: Any) -> None:
        self.api, self.now, self.gone = api or FakeApi(), START, []  # type: ignore[var-annotated]
        self.sections = {"rollout": STEPS, **sections}
        self.resolves: Resolved | Problem = resolved(1)
        self.parents, self.children, self.telemetry = Parents(), Children(), Telemetry()
        self.going: set[str] = set()
        self.asked: list[Question] = []
        self.answers: Records | Problem | None = None
        self.doubts: list[Doubt | None] = []
        if api is None:
            self.declare(1)
        self.policies = Policies("serin-system", Queue(), self.parents)
        self.measurer = Measurer(None, Queue(), lambda: self.now, self.telemetry.measured)
        backend, client = KServe(), self.api.client
        self.reconciler = Reconciler(
            Gatherer(self.parents, self.children, self, self.policies, self.measurer, backend, client, PLATFORM),
            Performer(client, self.children, backend),
            client,
            self.parents,
            self.telemetry,
            lambda: self.now,
            "operator-0",
            self.gone.append,
        )

    async def target(
        self, key: Key, model: Model, pinned: Resolved | None, doubt: Doubt | None = None
    ) -> tuple[Resolved | Problem, None]:
        assert key == KEY
        self.doubts.append(doubt)
        assert model.name == "fraud-detector"
        return self.resolves, None

    async def records(self, key: Key, question: Question) -> Records | Problem | None:
        assert key == KEY
        self.asked.append(question)
        return self.answers

    def leaving(self, namespace: str) -> bool:
        return namespace in self.going

    def declare(self, version: int, **sections: Any) -> None:
        self.resolves = resolved(version)
        self.sections |= sections
        spec = {"model": {"name": "fraud-detector", "version": version}, **self.sections}
        before = self.api.objects.get((MODEL_DEPLOYMENT.kind, *KEY))
        status = before["status"] if before is not None else {"observedGeneration": -1}
        self.api.put(
            MODEL_DEPLOYMENT, {"metadata": {"name": "fraud", "namespace": "payments"}, "spec": spec, "status": status}
        )

    def watch(self) -> None:
        """The watches catch up with the API server."""
        for (kind, _, _), body in list(self.api.objects.items()):
            if kind == MODEL_DEPLOYMENT.kind:
                self.parents.put(body)
            for one in CHILDREN:
                if kind == one.kind:
                    self.children.put(one, body)
        for one in CHILDREN:
            for key, uid in self.children.known(one):
                if self.api.objects.get((one.kind, *key), {"metadata": {"uid": ""}})["metadata"]["uid"] != uid:
                    self.children.forget(one, key, uid)

    async def look(self) -> Outcome:
        self.watch()
        return await self.reconciler.reconcile(KEY)

    async def insist(self, *, watches: bool = True) -> None:
        """Look as often as the queue would: a conflict is found, put right, and looked at again."""
        for _ in range(5):
            if watches:
                self.watch()
            try:
                await self.reconciler.reconcile(KEY)
            except ClusterError as error:
                if error.status != CONFLICT:
                    raise
            else:
                return
        raise AssertionError("conflicts without an end")

    def world(self) -> None:
        """KServe, the kubelets and the gateway do their work."""
        kserve_controls(self.api)
        for (kind, _, _), body in list(self.api.objects.items()):
            if kind == WORKLOAD.kind:
                self.pods(body)
            if kind == HTTP_ROUTE.kind:
                self.accept(body)

    def pods(self, workload: Json) -> None:
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        made = workload["metadata"]
        for number in range(workload["spec"]["replicas"]):
            own = {"name": f"{made['name']}-{number}", "namespace": made["namespace"], "labels": made["labels"]}
            if (POD.kind, own["namespace"], own["name"]) not in self.api.objects:
                metadata = {**own, "ownerReferences": [{"uid": made["uid"], "controller": True}]}
                self.api.put(POD, {"metadata": metadata, "status": {"conditions": [ready]}})

    def accept(self, route: Json) -> None:
        generation = route["metadata"]["generation"]
        conditions = [
            {"type": kind, "status": "True", "observedGeneration": generation} for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [{"parentRef": parent, "conditions": conditions} for parent in route["spec"]["parentRefs"]]
        if route.get("status") != {"parents": parents}:
            self.api.put(HTTP_ROUTE, {**route, "status": {"parents": parents}})

    async def settle(self) -> None:
        for _ in range(10):
            self.api.written.clear()
            await self.look()
            self.world()
            if not self.api.written:
                return
        raise AssertionError(f"still writes: {self.api.written}")

    async def served(self, version: int = 1) -> str:
        """This version has all traffic; the name of its revision."""
        await self.settle()
        status = self.status
        assert status["phase"] == "Healthy", status["message"]
        assert status["stable"]["version"] == f"v{version}"
        name: str = status["stable"]["revision"]
        return name

    @property
    def status(self) -> Json:
        found: Json = self.api.of(MODEL_DEPLOYMENT, *KEY)["status"]
        return found

    def shares(self) -> dict[str, int]:
        """Percent of each revision that gets requests by the route."""
        rule = self.api.of(HTTP_ROUTE, *KEY)["spec"]["rules"][-1]
        weights = {one["name"].removesuffix("-predictor"): one["weight"] for one in rule["backendRefs"]}
        return {name: weight for name, weight in weights.items() if weight}

    async def until_progressing(self) -> str:
        """The candidate's first step has begun; the name of its revision."""
        for _ in range(6):
            await self.look()
            self.world()
            if self.status["phase"] == "Progressing":
                name: str = self.status["candidate"]["revision"]
                return name
        raise AssertionError(f"does not move: {self.status['message']}")

    def uid_of(self, kind: Kind, name: str) -> str:
        """As the watches last told."""
        return next(uid for key, uid in self.children.known(kind) if key.name == name)

    def service(self, name: str) -> Json:
        return self.api.of(INFERENCE_SERVICE, "payments", name)

    def all(self, kind: Kind) -> set[str]:
        return {name for one, _, name in self.api.objects if one == kind.kind}


async def test_from_a_declaration_to_traffic_and_then_no_write() -> None:
    stage = Stage()
    outcome = await stage.look()
    name = stage.status["candidate"]["revision"]
    assert stage.api.written == [f"create InferenceService {name}", "status ModelDeployment fraud"]
    assert outcome == Outcome("requeue_after", START + timedelta(minutes=10))
    stage.world()
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == ["create HTTPRoute fraud"], "what only waits for the gateway is not told yet"
    stage.world()
    stage.api.written.clear()
    assert await stage.look() == Outcome("success")
    assert stage.api.written == ["status ModelDeployment fraud"]
    stage.api.written.clear()
    stage.api.reads.clear()
    assert await stage.look() == Outcome("success")
    assert (stage.api.written, stage.api.reads) == ([], [])


async def test_the_registry_is_told_what_is_in_doubt() -> None:
    stage = Stage()
    await stage.look()
    assert stage.doubts.pop() is None
    await stage.look()
    assert stage.doubts.pop() is Doubt.UNSERVED
    stage = Stage()
    await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    await stage.look()
    assert stage.doubts.pop() is None
    abort(stage, new)
    await stage.insist()
    stage.doubts.clear()
    body = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    metadata = {**body["metadata"], "annotations": {"serin.dev/retry": new}}
    stage.api.put(MODEL_DEPLOYMENT, {**body, "metadata": metadata})
    await stage.look()
    await stage.look()
    assert stage.doubts == [Doubt.RETRIED, None]


async def test_the_route_is_written_before_anything_else() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    assert stage.shares() == {old: 90, new: 10}
    # It fails: traffic is taken away first, then it is told, and the object stays while it drains.
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-20T12:00:09Z", "message": "MemoryError"}
    container = {"name": "kserve-container", "restartCount": 0, "ready": False, "state": {"terminated": ended}}
    pod = stage.api.of(POD, "payments", f"{new}-predictor-0")
    stage.api.put(POD, {**pod, "status": {"containerStatuses": [container]}})
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == ["patch HTTPRoute fraud", "status ModelDeployment fraud"]
    assert stage.shares() == {old: 100}
    assert stage.status["rejected"][0]["revision"] == new
    assert stage.all(INFERENCE_SERVICE) == {old, new}
    stage.world()
    await stage.look()
    assert stage.all(INFERENCE_SERVICE) == {old, new}, "its last requests may be under way"
    stage.now += timedelta(seconds=31)
    await stage.settle()
    assert stage.all(INFERENCE_SERVICE) == {old}


def crash(stage: Stage, new: str, message: str = "MemoryError") -> None:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-20T12:00:09Z", "message": message}
    container = {"name": "kserve-container", "restartCount": 0, "ready": False, "state": {"terminated": ended}}
    pod = stage.api.of(POD, "payments", f"{new}-predictor-0")
    stage.api.put(POD, {**pod, "status": {"containerStatuses": [container]}})


def force_away(stage: Stage, new: str) -> None:
    stage.api.remove(POD, "payments", f"{new}-predictor-0")


def abort(stage: Stage, new: str) -> None:
    body = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    metadata = {**body["metadata"], "annotations": {"serin.dev/abort": new}}
    stage.api.put(MODEL_DEPLOYMENT, {**body, "metadata": metadata})


@pytest.mark.parametrize("happens", [crash, abort, force_away])
async def test_no_step_is_taken_on_what_silent_watches_last_told(happens: Callable[[Stage, str], None]) -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    await stage.look()
    assert stage.shares() == {old: 90, new: 10}
    stage.now += timedelta(hours=1)
    happens(stage, new)
    stage.api.written.clear()
    outcome = await stage.reconciler.reconcile(KEY)
    assert (stage.api.written, outcome) == ([], Outcome("requeue_after", stage.now))
    await stage.reconciler.reconcile(KEY)
    assert new not in stage.shares()


@pytest.mark.parametrize("happens", [crash, abort, force_away])
async def test_no_step_is_taken_on_what_was_overtaken_while_the_registry_answered(
    happens: Callable[[Stage, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caches know it by then, but the decision does not."""
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    await stage.look()
    stage.now += timedelta(hours=1)
    words = stage.reconciler._gatherer._logs.add_words

    async def meanwhile(namespace: str, live: LiveObjects) -> LiveObjects:
        found = await words(namespace, live)
        monkeypatch.undo()
        happens(stage, new)
        stage.watch()
        return found

    monkeypatch.setattr(stage.reconciler._gatherer._logs, "add_words", meanwhile)
    stage.api.written.clear()
    outcome = await stage.reconciler.reconcile(KEY)
    assert (stage.api.written, outcome) == ([], Outcome("requeue_after", stage.now))
    await stage.reconciler.reconcile(KEY)
    assert new not in stage.shares()
    assert stage.shares() == {old: 100}


async def test_a_route_that_changed_while_the_registry_answered_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another operator has taken the candidate back: what was decided before gives it nothing."""
    stage = Stage()
    old = await stage.served()
    before = stage.api.of(HTTP_ROUTE, *KEY)
    stage.declare(2)
    new = await stage.until_progressing()
    await stage.look()
    assert stage.shares() == {old: 90, new: 10}
    words = stage.reconciler._gatherer._logs.add_words

    async def meanwhile(namespace: str, live: LiveObjects) -> LiveObjects:
        found = await words(namespace, live)
        monkeypatch.undo()
        stage.api.put(HTTP_ROUTE, before)
        stage.watch()
        return found

    monkeypatch.setattr(stage.reconciler._gatherer._logs, "add_words", meanwhile)
    stage.declare(2, serving={"minReplicas": 2})
    await stage.look()
    assert stage.shares() == {old: 100}


async def test_a_step_is_taken_after_one_look_at_what_is() -> None:
    stage = Stage()
    await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    await stage.look()
    stage.now += timedelta(hours=1)
    stage.api.reads.clear()
    await stage.reconciler.reconcile(KEY)
    assert stage.shares()[new] > 10
    assert stage.api.reads == ["get ModelDeployment fraud", "list Pod"]


@pytest.mark.parametrize("most", [1, 4], ids=["a fixed size", "an autoscaler"])
async def test_a_spec_that_cannot_be_read_keeps_nobody_from_taking_the_traffic_back(most: int) -> None:
    """Of everything else nothing is written, and nothing is deleted."""
    stage = Stage(serving={"minReplicas": 1, "maxReplicas": most})
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    stage.declare(2, novel={"of": "a later release"})
    before, scalers = stage.api.of(HTTP_ROUTE, *KEY)["spec"], stage.all(AUTOSCALER)
    await stage.look()
    stage.api.put(
        MODEL_DEPLOYMENT,
        {
            **stage.api.of(MODEL_DEPLOYMENT, *KEY),
            "metadata": {"name": "fraud", "namespace": "payments", "annotations": {"serin.dev/abort": new}},
        },
    )
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == ["patch HTTPRoute fraud", "status ModelDeployment fraud"]
    after = stage.api.of(HTTP_ROUTE, *KEY)["spec"]
    assert (after["hostnames"], after["parentRefs"]) == (before["hostnames"], before["parentRefs"])
    assert [rule["timeouts"] for rule in after["rules"]] == [before["rules"][0]["timeouts"]]
    assert stage.shares() == {old: 100}
    stage.world()
    stage.now += timedelta(hours=1)
    await stage.settle()
    assert (stage.all(INFERENCE_SERVICE), stage.all(AUTOSCALER)) == ({old, new}, scalers)


async def test_a_failed_candidate_stays_until_its_rejection_is_written() -> None:
    """Gone before it is remembered as rejected, it would be made again, and fail again."""
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    await stage.look()
    new = stage.status["candidate"]["revision"]
    kserve_controls(stage.api)
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-20T12:00:09Z"}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {"name": "kserve-container", "restartCount": 2, "ready": False, "state": waiting}
    labels = stage.service(new)["metadata"]["labels"]
    pod = {"name": "p", "namespace": "payments", "labels": labels}
    container["lastState"] = {"terminated": ended}
    stage.api.put(POD, {"metadata": pod, "status": {"containerStatuses": [container]}})
    stage.api.refuse("status", MODEL_DEPLOYMENT, 500, "etcdserver: request timed out")
    with pytest.raises(ClusterError, match="timed out"):
        await stage.look()
    assert stage.all(INFERENCE_SERVICE) == {old, new}
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == ["status ModelDeployment fraud", f"delete InferenceService {new}"]
    assert stage.status["rejected"][0]["revision"] == new


async def test_a_revision_made_before_a_crash_stays_while_the_registry_is_not_reached() -> None:
    """After a start the registry is known a moment later than the cluster."""
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    stage.api.refuse("status", MODEL_DEPLOYMENT, 0, "killed")
    with pytest.raises(ClusterError, match="killed"):
        await stage.look()
    [new] = stage.all(INFERENCE_SERVICE) - {old}
    target, stage.resolves = stage.resolves, Problem(Reason.REGISTRY_UNAVAILABLE, "not asked yet")
    stage.api.written.clear()
    await stage.insist()
    assert stage.all(INFERENCE_SERVICE) == {old, new}
    stage.resolves = target
    stage.world()
    await stage.insist()
    assert not [one for one in stage.api.written if "InferenceService" in one]
    assert stage.status["candidate"]["revision"] == new


async def test_nothing_is_deleted_by_an_old_declaration() -> None:
    stage = Stage()
    old = await stage.served()
    before = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    stage.declare(2)
    stage.api.refuse("status", MODEL_DEPLOYMENT, 0, "killed")
    with pytest.raises(ClusterError, match="killed"):
        await stage.look()
    services = stage.all(INFERENCE_SERVICE)
    assert len(services) == 2
    # Another operator, whose view of the parent is that of before, and of everything else is as of now.
    later = Stage(stage.api)
    later.parents.put(before)
    for (kind, _, _), body in stage.api.objects.items():
        for one in CHILDREN:
            if kind == one.kind:
                later.children.put(one, body)
    await later.reconciler.reconcile(KEY)
    assert later.all(INFERENCE_SERVICE) == services
    assert old in services


async def test_a_server_that_answers_every_second_read_keeps_nothing_from_going() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    await stage.look()
    [new] = stage.all(INFERENCE_SERVICE) - {old}
    stage.declare(1)
    real, asked = stage.api.get, Counter[str]()

    async def every_second(kind: Kind, namespace: str | None, name: str) -> Json | None:
        asked[kind.kind] += 1
        if asked[kind.kind] % 2:
            raise ClusterError(503, "away")
        return await real(kind, namespace, name)

    stage.api.get = every_second  # type: ignore[method-assign]
    for _ in range(20):
        with contextlib.suppress(ClusterError):
            await stage.look()
    assert stage.all(INFERENCE_SERVICE) == {old}, new


async def test_no_traffic_is_moved_by_an_old_status() -> None:
    """One whose view is that of a step ago is refused by the route's version, and then looks before it tries again."""
    stage = Stage()
    await stage.served()
    stage.declare(2)
    for _ in range(2):
        await stage.look()
        stage.world()
    before = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    route = stage.api.of(HTTP_ROUTE, *KEY)
    await stage.until_progressing()
    stage.now += timedelta(minutes=6)
    await stage.settle()
    assert stage.shares() == {stage.status["stable"]["revision"]: 100}
    promoted = stage.shares()
    later = Stage(stage.api)
    later.now, later.resolves = stage.now, stage.resolves
    later.parents.put(before)
    for (kind, _, _), body in stage.api.objects.items():
        for one in CHILDREN:
            if kind == one.kind:
                later.children.put(one, route if one is HTTP_ROUTE else body)
    seen = []
    real = stage.api.patch

    async def witness(kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        body = await real(kind, namespace, name, patch, version=version)
        seen.append(stage.shares())
        return body

    stage.api.patch = witness  # type: ignore[method-assign]
    await later.insist(watches=False)
    assert all(shares == promoted for shares in [*seen, stage.shares()])


@pytest.mark.parametrize("done", [True, False])
async def test_a_deletion_is_not_asked_for_again_while_no_watch_tells(done: bool) -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    await stage.settle()
    stage.now += timedelta(minutes=6)
    await stage.settle()
    stage.now += timedelta(days=1)
    stage.watch()
    await stage.insist()
    stage.world()
    stage.now += timedelta(minutes=1)
    stage.watch()
    if not done:
        body = stage.service(old)
        stage.api.put(INFERENCE_SERVICE, {**body, "status": {"address": "changed a moment ago"}})
    stage.api.written.clear()
    await stage.insist(watches=False)
    await stage.insist(watches=False)
    deletions = [f"delete InferenceService {old}"] * (1 if done else 2)
    assert [one for one in stage.api.written if one.startswith("delete")] == deletions
    assert stage.all(INFERENCE_SERVICE) == {stage.status["stable"]["revision"]}


async def test_a_status_that_only_waits_is_held_back_and_told_a_moment_later() -> None:
    stage = Stage()
    await stage.look()
    stage.world()
    assert await stage.look() == Outcome("requeue_after", START + PATIENCE)
    stage.api.written.clear()
    stage.now += PATIENCE / 2
    assert await stage.look() == Outcome("requeue_after", START + PATIENCE), "the watch showed the operator's own write"
    assert stage.api.written == []
    stage.now += PATIENCE / 2
    await stage.look()
    assert stage.api.written == ["status ModelDeployment fraud"]
    assert "waiting for the gateway" in stage.status["message"]


async def test_a_refusal_is_told_and_tried_again() -> None:
    stage = Stage()
    stage.api.refuse("create", INFERENCE_SERVICE, 403, 'admission webhook "x" denied the request: no')
    outcome = await stage.look()
    assert outcome.look_again_at == START + timedelta(minutes=1)
    stalled = next(one for one in stage.status["conditions"] if one["type"] == "Stalled")
    assert (stalled["reason"], "denied the request: no" in stalled["message"]) == (Reason.BACKEND_REFUSED, True)
    await stage.served()


@pytest.mark.parametrize(
    ("kind", "status", "message", "reason"),
    [
        (INFERENCE_SERVICE, 404, "the server could not find the requested resource", Reason.BACKEND_NOT_INSTALLED),
        (INFERENCE_SERVICE, 404, "404 page not found\n", Reason.BACKEND_NOT_INSTALLED),
        (INFERENCE_SERVICE, 403, "cannot create resource inferenceservices", Reason.FORBIDDEN),
        (INFERENCE_SERVICE, 422, "spec.predictor is invalid", Reason.BACKEND_REFUSED),
        (INFERENCE_SERVICE, 500, 'admission webhook "x" denied the request: a bug', Reason.BACKEND_REFUSED),
        (HTTP_ROUTE, 404, "the server could not find the requested resource", Reason.GATEWAY_API_NOT_INSTALLED),
    ],
)
async def test_what_people_must_know(kind: Kind, status: int, message: str, reason: Reason) -> None:
    stage = Stage()
    if kind is HTTP_ROUTE:
        await stage.look()
        stage.world()
    stage.api.refuse("create", kind, status, message)
    await stage.look()
    assert [one["reason"] for one in stage.status["conditions"] if one["type"] == "Stalled"] == [reason]


@pytest.mark.parametrize("status", [0, 401, 404, 408, 409, 429, 500, 503])
async def test_what_passes_is_left_to_the_queue(status: int) -> None:
    stage = Stage()
    stage.api.refuse("create", INFERENCE_SERVICE, status, "try again")
    with pytest.raises(ClusterError):
        await stage.look()
    assert stage.api.written == [f"create InferenceService {stage.api.written[0].split()[-1]}"]
    await stage.served()


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        (None, "was made by somebody else"),
        ({"kind": "Team", "name": "risk", "uid": "r", "controller": True}, "belongs to Team risk"),
    ],
)
async def test_an_object_of_that_name_is_never_taken_over(owner: Json | None, words: str) -> None:
    stage = Stage()
    await stage.look()
    name = stage.status["candidate"]["revision"]
    theirs = {
        "metadata": {"name": name, "namespace": "payments", **({"ownerReferences": [owner]} if owner else {})},
        "spec": {"predictor": {"theirs": True}},
    }
    stage.api.remove(INFERENCE_SERVICE, "payments", name)
    stage.api.put(INFERENCE_SERVICE, theirs)
    await stage.look()
    stalled = next(one for one in stage.status["conditions"] if one["type"] == "Stalled")
    assert stalled["reason"] == Reason.NAME_CONFLICT
    assert words in stalled["message"]
    assert stage.service(name)["spec"] == {"predictor": {"theirs": True}}


async def test_a_name_that_is_taken_rejects_nothing_and_is_used_once_it_is_free() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    await stage.look()
    [new] = stage.all(INFERENCE_SERVICE) - {old}
    stage.api.remove(INFERENCE_SERVICE, "payments", new)
    stage.api.put(INFERENCE_SERVICE, {"metadata": {"name": new, "namespace": "payments"}, "spec": {"theirs": True}})
    for _ in range(30):
        await stage.insist()
        stage.now += timedelta(minutes=1)
    assert stage.status["rejected"] == []
    assert [one["reason"] for one in stage.status["conditions"] if one["type"] == "Stalled"] == [Reason.NAME_CONFLICT]
    assert "was made by somebody else" in stage.status["message"]
    stage.api.remove(INFERENCE_SERVICE, "payments", new)
    assert await stage.until_progressing() == new


async def test_what_an_earlier_deployment_of_this_name_left_is_waited_for() -> None:
    stage = Stage()
    await stage.look()
    name = stage.status["candidate"]["revision"]
    body = stage.service(name)
    body["metadata"]["ownerReferences"][0]["uid"] = "of-before"
    body["metadata"]["labels"] = {}
    stage.api.put(INFERENCE_SERVICE, body)
    with pytest.raises(ClusterError) as refused:
        await stage.look()
    assert refused.value.status == 409


async def test_a_revision_is_not_made_again_before_its_former_self_is_gone() -> None:
    """Its Deployment and its pods are found by name and labels, and would be counted as the new one's."""
    stage = Stage()
    name = await stage.served()
    uid = stage.service(name)["metadata"]["uid"]
    stage.api.remove(INFERENCE_SERVICE, "payments", name)
    for kind, left in ((WORKLOAD, f"{name}-predictor"), (POD, f"{name}-predictor-0")):
        await stage.look()
        assert stage.all(INFERENCE_SERVICE) == set()
        assert stage.status["phase"] == "Failed"
        stage.api.remove(kind, "payments", left)
    await stage.insist()
    assert stage.service(name)["metadata"]["uid"] != uid
    assert stage.status["phase"] != "Healthy"
    stage.world()
    assert await stage.served() == name


@pytest.mark.parametrize("kind", [WORKLOAD, POD])
async def test_what_is_left_is_read_live_where_no_watch_tells_that_it_went(kind: Kind) -> None:
    stage = Stage()
    name = await stage.served()
    stage.api.remove(INFERENCE_SERVICE, "payments", name)
    stage.children.forget(INFERENCE_SERVICE, Key("payments", name), stage.uid_of(INFERENCE_SERVICE, name))
    collect(stage.api)
    if kind is POD:
        workload = f"{name}-predictor"
        stage.children.forget(WORKLOAD, Key("payments", workload), stage.uid_of(WORKLOAD, workload))
    await stage.insist(watches=False)
    assert stage.all(INFERENCE_SERVICE) == {name}


async def test_what_is_left_for_a_minute_is_told() -> None:
    stage = Stage()
    name = await stage.served()
    stage.api.remove(INFERENCE_SERVICE, "payments", name)
    waits = await stage.look()
    assert "former" not in str(stage.status)
    assert waits.look_again_at == stage.now + timedelta(minutes=1)
    stage.now += timedelta(minutes=1)
    told = await stage.look()
    assert told.look_again_at == stage.now + timedelta(minutes=1)
    ready = next(one for one in stage.status["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "NameConflict")
    assert f"is made when Deployment {name}-predictor of a former one is gone" in ready["message"]
    assert "kube-controller-manager" in ready["message"]
    collect(stage.api)
    assert await stage.served() == name


async def test_edits_by_hand_are_put_back() -> None:
    stage = Stage()
    name = await stage.served()
    body = stage.service(name)
    body["spec"]["predictor"]["model"]["storageUri"] = "s3://elsewhere"
    body["spec"]["predictor"]["nodeName"] = "mine"
    fields: Json = {"f:spec": {"f:predictor": {"f:nodeName": {}}}}
    body["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "fieldsV1": fields}]
    stage.api.put(INFERENCE_SERVICE, body)
    route = stage.api.of(HTTP_ROUTE, *KEY)
    route["spec"]["rules"][0]["matches"][0]["headers"] = [{"name": "x", "value": "y"}]
    stage.api.put(HTTP_ROUTE, route)
    await stage.settle()
    predictor = stage.service(name)["spec"]["predictor"]
    assert (predictor["model"]["storageUri"], "nodeName" in predictor) == ("s3://models/1", False)
    assert stage.api.of(HTTP_ROUTE, *KEY)["spec"]["rules"][0]["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/"}}
    ]


@pytest.mark.parametrize("labels", [{}, {DEPLOYMENT_LABEL: "another"}, {REVISION_LABEL: "another"}])
@pytest.mark.parametrize("kind", [INFERENCE_SERVICE, HTTP_ROUTE])
async def test_labels_that_were_changed_by_hand_are_put_back(kind: Kind, labels: Json) -> None:
    stage = Stage()
    name = await stage.served() if kind is INFERENCE_SERVICE else (await stage.served() and "fraud")
    body = stage.api.of(kind, "payments", name)
    before = dict(body["metadata"]["labels"])
    body["metadata"]["labels"] = {**labels} if not labels else {**before, **labels}
    if kind is HTTP_ROUTE and REVISION_LABEL in labels:
        del body["metadata"]["labels"][DEPLOYMENT_LABEL]
    stage.api.put(kind, body)
    await stage.insist()
    after = stage.api.of(kind, "payments", name)["metadata"]["labels"]
    assert {key: after[key] for key in before} == before
    await stage.settle()


@pytest.mark.parametrize("kind", [INFERENCE_SERVICE, HTTP_ROUTE])
async def test_objects_deleted_by_hand_are_made_again_even_if_the_watch_missed_it(kind: Kind) -> None:
    stage = Stage()
    revision = await stage.served()
    name = revision if kind is INFERENCE_SERVICE else "fraud"
    stage.api.remove(kind, "payments", name)
    collect(stage.api)
    # Nothing tells the caches; another change leads to a write, whose answer does.
    stage.declare(1, traffic={"timeout": "31s"}, serving={"overrides": None})
    if kind is INFERENCE_SERVICE:
        stage.watch()
    else:
        stage.parents.put(stage.api.of(MODEL_DEPLOYMENT, *KEY))
        with pytest.raises(ClusterError):
            await stage.reconciler.reconcile(KEY)
    await stage.reconciler.reconcile(KEY)
    assert name in stage.all(kind)


async def test_a_stale_view_is_refused_and_then_read_live() -> None:
    stage = Stage()
    await stage.served()
    stage.declare(2)
    stage.watch()
    stage.declare(3)
    with pytest.raises(ClusterError) as refused:
        await stage.reconciler.reconcile(KEY)
    assert refused.value.status == 409
    stage.resolves = resolved(3)
    await stage.reconciler.reconcile(KEY)
    assert stage.status["candidate"]["version"] == "v3"


async def test_an_old_list_of_parents_brings_back_nothing_that_was_given_up() -> None:
    """After a restart a lagging API server may show a rollout that has ended, and the child is gone already."""
    stage = Stage()
    await stage.served()
    stage.declare(2)
    await stage.look()
    candidate = stage.status["candidate"]["revision"]
    old = copy.deepcopy(stage.api.of(MODEL_DEPLOYMENT, *KEY))
    stage.declare(1)
    for _ in range(8):
        stage.now += timedelta(seconds=60)
        stage.world()
        await stage.insist()
    assert (INFERENCE_SERVICE.kind, KEY.namespace, candidate) not in stage.api.objects
    again = Stage(stage.api)
    again.now, again.resolves = stage.now, resolved(2)
    again.parents.put(old)
    for one in CHILDREN:
        for (kind, _, _), body in stage.api.objects.items():
            if kind == one.kind:
                again.children.put(one, body)
    stage.api.written.clear()
    await again.reconciler.reconcile(KEY)
    assert stage.api.written == []
    again.resolves = resolved(1)
    await again.reconciler.reconcile(KEY)
    assert stage.api.written == [], "what is live is settled"


async def test_a_route_that_went_with_its_parent_is_not_made_again() -> None:
    """The garbage collector's deletion of the child may be seen before that of the parent."""
    stage = Stage()
    await stage.served()
    stage.children.forget(HTTP_ROUTE, KEY, stage.api.of(HTTP_ROUTE, *KEY)["metadata"]["uid"])
    for kind in (HTTP_ROUTE, MODEL_DEPLOYMENT):
        stage.api.objects.pop((kind.kind, KEY.namespace, KEY.name))
    stage.api.written.clear()
    await stage.reconciler.reconcile(KEY)
    assert (await stage.reconciler.reconcile(KEY)).result == "gone"
    assert stage.api.written == []


@pytest.mark.parametrize("status", [0, 500, 504])
async def test_a_status_whose_write_got_no_answer_is_read_before_the_next_decision(status: int) -> None:
    """It may be done. On the one of before, traffic that was taken away could be given again."""
    stage = Stage()
    stage.api.refuse("status", MODEL_DEPLOYMENT, status, "no answer", done=True)
    with pytest.raises(ClusterError):
        await stage.look()
    stage.api.written.clear()
    await stage.reconciler.reconcile(KEY)
    assert "get ModelDeployment fraud" in stage.api.reads
    assert stage.api.written == [], "it was done"


async def test_nothing_is_deleted_that_the_route_names_although_the_cache_does_not_know() -> None:
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    real = stage.api.patch

    async def loses(kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        body = await real(kind, namespace, name, patch, version=version)
        if len(stage.shares()) > 1:
            raise ClusterError(0, "no answer")
        return body

    # The route gets 10 % for the candidate, but no answer and no watch tells.
    stage.api.patch = loses  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="no answer"):
        await stage.until_progressing()
    stage.api.patch = real  # type: ignore[method-assign]
    new = stage.status["candidate"]["revision"]
    assert stage.shares() == {old: 90, new: 10}
    stage.declare(1)
    stage.parents.put(stage.api.of(MODEL_DEPLOYMENT, *KEY))
    await stage.insist(watches=False)
    assert new in stage.all(INFERENCE_SERVICE)
    await stage.insist()
    assert stage.shares() == {old: 100}
    stage.world()
    await stage.look()
    stage.now += timedelta(seconds=31)
    await stage.settle()
    assert stage.all(INFERENCE_SERVICE) == {old}


async def test_a_patch_that_changes_nothing_holds_nothing_back() -> None:
    """An API server or a webhook that adds to a list of the route must not keep the status from being told."""
    stage = Stage()
    await stage.served()
    stage.declare(2)
    await stage.look()
    stage.world()
    real = stage.api.patch

    async def adds(kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        if kind is HTTP_ROUTE:
            return stage.api.of(kind, namespace, name)
        return await real(kind, namespace, name, patch, version=version)

    stage.api.patch = adds  # type: ignore[method-assign]
    outcome = await stage.look()
    assert outcome.look_again_at != stage.now + PATIENCE


async def test_a_change_of_size_is_one_write_of_the_scale() -> None:
    stage = Stage()
    name = await stage.served()
    stage.declare(1, serving={"minReplicas": 3})
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == [f"scale Deployment {name}-predictor", "status ModelDeployment fraud"]
    assert stage.api.of(WORKLOAD, "payments", f"{name}-predictor")["spec"]["replicas"] == 3


async def test_a_range_of_sizes_is_an_autoscaler_and_goes_with_it() -> None:
    stage = Stage()
    name = await stage.served()
    stage.declare(1, serving={"maxReplicas": 4, "scaling": {"target": 60}})
    await stage.settle()
    assert stage.api.of(AUTOSCALER, "payments", name)["spec"]["maxReplicas"] == 4
    stage.declare(1, serving={})
    await stage.settle()
    assert stage.all(AUTOSCALER) == set()


async def test_a_deployment_that_is_gone_leaves_nothing_behind() -> None:
    stage = Stage()
    await stage.served()
    stage.api.remove(MODEL_DEPLOYMENT, *KEY)
    stage.parents.drop(KEY, "uid-101")
    stage.api.written.clear()
    assert await stage.reconciler.reconcile(KEY) == Outcome("gone")
    assert (stage.gone, stage.api.written) == ([KEY], [])


async def test_a_deployment_that_is_being_deleted_is_not_written_to() -> None:
    stage = Stage()
    await stage.served()
    body = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    body["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z"
    stage.api.put(MODEL_DEPLOYMENT, body)
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == []


async def test_events_tell_what_happened_once() -> None:
    stage = Stage()
    await stage.served()
    told = [body["reason"] for (kind, _, _), body in stage.api.objects.items() if kind == EVENT.kind]
    assert sorted(told) == [Reason.DEPLOYING, Reason.PROMOTED]


async def fails_with_a_log() -> Stage:
    """The first version's container ended; why is in its log alone."""
    stage = Stage()
    await stage.look()
    name = stage.status["candidate"]["revision"]
    kserve_controls(stage.api)
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": "2026-11-20T12:00:09Z"}
    container = {"name": "kserve-container", "restartCount": 1, "ready": False, "state": {"terminated": ended}}
    labels = stage.service(name)["metadata"]["labels"]
    pod = {"name": "p", "namespace": "payments", "labels": labels}
    stage.api.put(POD, {"metadata": pod, "status": {"containerStatuses": [container]}})
    stage.api.logs["p"] = "Traceback\nValueError: password=hunter2 is no number\nINFO: bye\n"
    return stage


@pytest.mark.parametrize(("status", "asked"), [(429, 2), (503, 2), (0, 1), (403, 1)])
async def test_a_log_is_asked_for_once_more_where_the_server_was_busy(status: int, asked: int) -> None:
    stage = await fails_with_a_log()
    stage.api.refuse("log", POD, status)
    await stage.look()
    assert len([one for one in stage.api.reads if one.startswith("log")]) == asked
    assert ("ValueError" in stage.status["message"]) == (asked == 2)


async def test_a_kubelet_that_does_not_answer_for_a_log_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may take its node with it. The API server then waits half a minute for its kubelet, at every look."""
    stage = Stage()
    old = await stage.served()
    stage.declare(2)
    new = await stage.until_progressing()
    crash(stage, new, message="")
    asked: list[str] = []

    async def silent(namespace: str, pod: str, container: str, *, previous: bool) -> str:
        asked.append(pod)
        await asyncio.Event().wait()
        return ""

    monkeypatch.setattr(stage.api, "log", silent)
    monkeypatch.setattr(gather, "LOG_SECONDS", 0.01)
    async with asyncio.timeout(10):
        await stage.look()
        assert stage.shares() == {old: 100}
        assert "ended (Error, exit code 1)" in stage.status["rejected"][0]["message"]
        await stage.look()
    assert asked == [f"{new}-predictor-0"]


async def test_last_words_are_read_once() -> None:
    stage = await fails_with_a_log()
    await stage.look()
    await stage.look()
    assert [one for one in stage.api.reads if one.startswith("log")] == ["log payments/p kserve-container current"]
    assert "ValueError: password=*** is no number" in stage.status["message"]


@pytest.mark.parametrize("raw", [{"model": {}}, {"model": {"name": "a", "version": 1}, "novel": True}])
async def test_a_spec_that_this_operator_cannot_read_changes_nothing(raw: Json) -> None:
    stage = Stage()
    name = await stage.served()
    body = stage.api.of(MODEL_DEPLOYMENT, *KEY)
    stage.api.put(MODEL_DEPLOYMENT, {**body, "spec": raw})
    stage.api.written.clear()
    await stage.look()
    assert stage.api.written == ["status ModelDeployment fraud"]
    assert (stage.status["stable"]["revision"], stage.shares()) == (name, {name: 100})
    assert "correct it" in stage.status["message"]


async def test_gates_hold_a_version_until_the_registry_has_answered() -> None:
    stage = Stage()
    for _ in range(4):
        await stage.look()
        stage.world()
        stage.now += timedelta(seconds=30)
    assert stage.status["phase"] == "Healthy"
    assert stage.asked == []
    stage.declare(2, rollout={**STEPS, "gates": {"quality": [{"metric": "f1", "atLeast": 0.8}]}})
    await stage.look()
    assert stage.status["phase"] == "Resolving"
    question = stage.asked[0]
    assert (question.candidate.version, question.metrics) == (2, True)
    stage.answers = Records(question, Record("v2", metrics=(Metric("f1", 0.7),)), Record("v1"))
    await stage.look()
    assert stage.status["message"] == "v2 is not deployed: f1 of v2 is 0.7, below 0.8; serving v1"
    assert stage.status["rejected"][0]["reason"] == Reason.QUALITY_TOO_LOW
    told = [body["reason"] for (kind, _, _), body in stage.api.objects.items() if kind == EVENT.kind]
    assert told.count(Reason.QUALITY_TOO_LOW) == 1
    before = len(stage.api.written)
    await stage.look()
    assert len(stage.api.written) == before
    stage.answers = Records(question, Record("v2", metrics=(Metric("f1", 0.8),)), Record("v1"))
    await stage.look()
    assert stage.status["candidate"]["version"] == "v2"


def nested(levels: int) -> Json:
    """Objects in each other."""
    found: Json = {}
    for _ in range(levels - 1):
        found = {"a": found}
    return found


@pytest.mark.parametrize("levels", [33, 300, 1200, 4000])
@pytest.mark.usefixtures("any_depth")
async def test_overrides_that_are_nested_too_deep_are_told_and_what_serves_goes_on(levels: int) -> None:
    """pydantic writes no JSON of more than a few hundred levels, Python by default reads none of more than 1,000."""
    stage = Stage()
    old = await stage.served()
    stage.declare(2, serving={"overrides": nested(levels)})
    await stage.look()
    [stalled] = [one for one in stage.status["conditions"] if one["type"] == "Stalled"]
    assert stalled["reason"] == Reason.INVALID_SPEC
    assert "overrides are nested deeper than 32 levels" in stalled["message"]
    assert "take out what lies deeper" in stalled["message"]
    assert stage.shares() == {old: 100}
    stage.declare(2, serving={"overrides": nested(32)})
    await stage.until_progressing()
