"""What is declared: which revision that is, what it is called, and what is said where it cannot be done."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from serin.api.base import to_wire
from serin.api.kinds import REVISION_LABEL
from serin.api.modeldeployment import NAME_MAX_LENGTH
from serin.api.modeldeployment import NAME_PATTERN
from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import Protocol
from serin.api.reasons import SENTENCES
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.rollout.conditions import shorten
from serin.rollout.decide import decide
from serin.rollout.observed import Failure
from serin.rollout.observed import Platform
from serin.rollout.observed import Problem
from serin.rollout.observed import Route
from serin.rollout.observed import Runtime
from serin.rollout.orders import Verb
from serin.rollout.revision import KSERVE_NAME_OVERHEAD
from serin.rollout.revision import revision_name
from tests.unit.rollout.scene import GATEWAY
from tests.unit.rollout.scene import MLSERVER
from tests.unit.rollout.scene import PLATFORM
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import seconds
from tests.unit.rollout.scene import spec

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def name_of(version: int = 1, serving: dict[str, Any] | None = None, **facts: Any) -> str:
    name = revision_name("fraud", "payments", resolved(version, **facts), spec(version, serving=serving or {}).serving)
    assert isinstance(name, str)
    return name


@pytest.mark.parametrize(
    "serving",
    [
        {"minReplicas": 3},
        {"maxReplicas": 9},
        {"maxReplicas": 9, "scaling": {"metric": "Memory", "target": 50}},
        {"startupDeadline": "1h"},
        {"env": []},
        {"protocol": "v2"},
        {"backend": "KServe"},
    ],
)
def test_what_changes_no_pod_is_no_new_revision(serving: dict[str, Any]) -> None:
    assert name_of(serving=serving) == name_of()


@pytest.mark.parametrize(
    "serving",
    [
        {"runtime": "other"},
        {"protocol": "v1"},
        {"resources": {"requests": {"cpu": "2"}}},
        {"resources": {"limits": {"cpu": "2"}}},
        {"serviceAccountName": "models"},
        {"env": [{"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "value": "2"}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]},
        {"workers": 2},
        {"overrides": {"nodeSelector": {"gpu": "yes"}}},
        {"overrides": {}},
    ],
)
def test_what_changes_a_pod_is_a_new_revision_and_every_one_another(serving: dict[str, Any]) -> None:
    assert name_of(serving=serving) not in {name_of(), name_of(serving={**serving, "workers": 7})}


@pytest.mark.parametrize(
    "facts", [{"run_id": "x"}, {"artifact_uri": "s3://else"}, {"digest": "0"}, {"name": "other"}, {"registry": "other"}]
)
def test_another_model_under_the_same_number_is_a_new_revision(facts: dict[str, Any]) -> None:
    assert name_of(**facts) != name_of()


@pytest.mark.parametrize("facts", [{"alias": "champion"}, {"resolved_at": START}, {"flavors": ("a", "b")}])
def test_by_which_name_a_version_was_found_is_no_difference(facts: dict[str, Any]) -> None:
    assert name_of(**facts) == name_of()


@given(
    name=st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) <= NAME_MAX_LENGTH),
    other=st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: len(name) <= NAME_MAX_LENGTH),
    namespace_length=st.integers(1, 63),
    version=st.integers(1, 10**9),
)
@example(name="n" * NAME_MAX_LENGTH, other="fraud", namespace_length=1, version=1)
@example(name="n" * NAME_MAX_LENGTH, other="fraud", namespace_length=2, version=10**9)
def test_names_fit_into_what_kserve_makes_of_them(name: str, other: str, namespace_length: int, version: int) -> None:
    namespace = "n" * namespace_length
    named = revision_name(name, namespace, resolved(version), spec().serving)
    if isinstance(named, Problem):
        assert named.reason is Reason.NAME_TOO_LONG
        # It says how long the namespace's name may be, and that is true.
        longest = int(re.findall(r"at most (\d+)", named.message)[0])
        assert longest < namespace_length
        assert isinstance(revision_name(name, "n" * longest, resolved(version), spec().serving), str)
        assert isinstance(revision_name(name, "n" * (longest + 1), resolved(version), spec().serving), Problem)
        return
    assert len(named) <= 63 - KSERVE_NAME_OVERHEAD - namespace_length
    assert len(f"isvc.{named}-predictor") <= 63, "KServe's pods have it as a label"
    assert DNS_1035.fullmatch(named)
    if other != name:
        assert named != revision_name(other, namespace, resolved(version), spec().serving)


EVERYTHING = {
    "runtime": "r",
    "protocol": "v1",
    "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
    "serviceAccountName": "models",
    "env": [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
    ],
    "workers": 2,
    "overrides": {"nodeSelector": {"gpu": "yes"}},
}


@pytest.mark.parametrize(("serving", "name"), [({}, "fraud-v1-5bcbb577"), (EVERYTHING, "fraud-v1-da106c56")])
def test_another_release_of_the_operator_calls_everything_as_this_one_does(serving: dict[str, Any], name: str) -> None:
    """With other names an upgrade of the operator would be a rollout of every model."""
    assert name_of(serving=serving) == name


def test_names_that_are_shortened_alike_stay_apart() -> None:
    namespace = "n" * 37
    first, second = (revision_name(name, namespace, resolved(1), spec().serving) for name in ("fraud", "fred"))
    assert isinstance(first, str)
    assert isinstance(second, str)
    assert (first[:2], first != second) == (second[:2], True)


@pytest.mark.parametrize(("length", "fits"), [(38, True), (39, False)])
def test_one_character_of_the_name_is_enough(length: int, *, fits: bool) -> None:
    named = revision_name("fraud", "n" * length, resolved(1), spec().serving)
    assert isinstance(named, str) == fits
    assert not fits or str(named).startswith("f-v1-")


def test_a_namespace_without_room_is_told() -> None:
    scene = Scene(namespace="n" * 45)
    scene.settle()
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.NAME_TOO_LONG)
    assert scene.pods == {}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"model": {"storageUri": "s3://elsewhere/1"}}, "model.storageUri: spec.model says what is served"),
        (
            {"model": {"storageUri": None}, "storageUris": [{"uri": "s3://elsewhere/1"}]},
            "model.storageUri: spec.model says what is served",
        ),
        ({"storageUris": [{"uri": "s3://elsewhere/1"}]}, "storageUris: spec.model says what is served"),
        ({"model": {"storage": {"path": "elsewhere/1"}}}, "model.storage: spec.model says what is served"),
        ({"model": {"storage": None}}, "model.storage: spec.model says what is served"),
        ({"model": {"runtime": "mine"}}, "model.runtime: spec.serving.runtime says by which"),
        ({"name": "mine"}, "name: by its own name the route finds what serves"),
        ({"minReplicas": None}, "minReplicas: say it in spec.serving"),
        ({"minReplicas": 3}, "minReplicas: say it in spec.serving"),
        ({"nodeSelector": {"a": "b"}, "maxReplicas": 3}, "maxReplicas: say it in spec.serving"),
        ({"canaryTrafficPercent": 10}, "canaryTrafficPercent: spec.rollout says how requests move"),
        ({"labels": {REVISION_LABEL: "mine"}}, f"labels.{REVISION_LABEL}: by it the operator knows its pods"),
    ],
)
def test_an_override_by_which_the_status_would_not_be_true_is_refused(overrides: dict[str, Any], told: str) -> None:
    scene = healthy().declare(2, serving={"overrides": overrides})
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert f"spec.serving.overrides must not set {told}" in scene.status.message
    assert scene.status.message.endswith("; serving v1")
    assert (scene.status.candidate, len(scene.pods)) == (None, 1)
    scene.declare(2).run(600)
    assert scene.status.phase is Phase.HEALTHY


@pytest.mark.parametrize("model", [None, [], "mine"])
def test_an_override_without_the_model_is_refused(model: object) -> None:
    scene = healthy().declare(2, serving={"overrides": {"model": model, "containers": [{"name": "kserve-container"}]}})
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert "spec.serving.overrides must not take model away: spec.model says what is served" in scene.status.message
    assert (scene.status.candidate, len(scene.pods)) == (None, 1)


@pytest.mark.parametrize(
    "overrides", [{"model": {}}, {"labels": {"team": "a"}}, {"labels": None}, {"model": {"name": "x"}}]
)
def test_any_other_override_is_the_persons_own(overrides: dict[str, Any]) -> None:
    scene = healthy().declare(2, serving={"overrides": overrides})
    scene.run(600)
    assert scene.status.phase is Phase.HEALTHY


ROOM = 262144
LEFT = ROOM - len('{"backend":"KServe","protocol":"v2","env":[],"overrides":{"annotations":{"a":""}}}')


@pytest.mark.parametrize(
    ("text", "most"),
    # One byte, two bytes, and six as Go writes it.
    [("x", LEFT), ("ü", LEFT // 2), ("<", LEFT // 6)],
)
def test_what_makes_the_pods_leaves_room_for_a_status_that_keeps_three_of_it(text: str, most: int) -> None:
    scene = healthy().declare(2, serving={"overrides": {"annotations": {"a": text * (most + 1)}}})
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert re.match(
        r"spec.serving has 26\d{4} bytes of env, overrides and resources, above 262144", scene.status.message
    )
    assert "put long values into a ConfigMap" in scene.status.message
    assert (scene.status.candidate, len(scene.pods)) == (None, 1)
    scene.declare(2, serving={"overrides": {"annotations": {"a": text * most}}}).run(600)
    assert (scene.status.phase, scene.stable[:9]) == (Phase.HEALTHY, "fraud-v2-")
    scene.declare(3, serving={"overrides": {"annotations": {"a": text * most}}}).run(600)
    stored = json.dumps(to_wire(scene.status), ensure_ascii=False)
    assert scene.status.previous is not None
    assert len(stored.encode()) + 5 * stored.count("<") < 3 * ROOM


def test_env_counts_as_well() -> None:
    env = [{"name": f"A{number}", "value": "x" * 32000} for number in range(8)]
    overrides = {"annotations": {"a": "x" * 6144}}
    scene = healthy().declare(2, serving={"env": env, "overrides": overrides})
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    scene.declare(2, serving={"env": env}).run(600)
    assert scene.status.phase is Phase.HEALTHY


def test_what_serves_by_an_override_that_is_refused_now_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an upgrade of the operator: only what comes next has to do without it."""
    serving = {"overrides": {"model": {"storageUri": "s3://elsewhere/1"}}}
    with monkeypatch.context() as before:
        before.setattr("serin.rollout.revision.RESERVED_OVERRIDES", {})
        scene = healthy(serving=serving)
    scene.run(3600)
    assert (scene.status.phase, scene.told) == (Phase.HEALTHY, [])
    scene.declare(2, serving=serving).settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.INVALID_SPEC)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)


def test_a_spec_that_cannot_be_read_touches_nothing() -> None:
    scene = rolling({10: "5m"})
    scene.run(60)
    before = scene.status
    scene.spec = Problem(Reason.INVALID_SPEC, "spec.serving.novel: unknown: upgrade the operator")
    assert not scene.look().may_wait, "what is wrong is told at once"
    decision = scene.run(86400)
    assert decision.plan is None
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert before.rollout is not None
    told = {"waiting_for": "a spec that can be read", "waiting_reason": Reason.INVALID_SPEC}
    waiting = before.rollout.model_copy(update=told)
    assert (scene.status.rollout, scene.status.candidate) == (waiting, before.candidate)
    assert scene.condition(ConditionType.CANDIDATE_READY) == ("True", Reason.CANDIDATE_READY)
    assert scene.status.url == before.url
    assert scene.status.message.endswith("; serving v1 90 %, v2 10 %")
    assert scene.told[-1] == Reason.INVALID_SPEC


def test_suspended_touches_nothing_and_goes_on_where_it_was() -> None:
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(60)
    rollout = {"steps": [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "5m"}]}
    decision = scene.declare(2, rollout=rollout, suspend=True).settle()
    assert decision.plan is None
    assert (scene.status.phase, scene.kstatus) == (Phase.SUSPENDED, "InProgress")
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert (scene.condition(ConditionType.STALLED), scene.condition(ConditionType.RECONCILING)) == (None, None)
    assert scene.run(86400).look_again_at is None
    assert scene.route.weights[scene.candidate] == 10
    # Its ten seconds of readiness and fifty of its step were over.
    scene.declare(2, rollout=rollout).run(249)
    assert scene.weight == 10
    scene.run(1)
    assert scene.weight == 50


@pytest.mark.parametrize("remembered", [False, True], ids=["asked for anew", "as it was remembered"])
def test_the_time_of_a_resolution_is_that_of_the_first_one(*, remembered: bool) -> None:
    scene = healthy()
    before = scene.status.resolved
    assert before is not None
    scene.target = before if remembered else resolved(1)
    scene.run(60)
    assert scene.status.resolved == before
    assert before.resolved_at is not None


def test_no_deadline_passes_while_it_is_suspended() -> None:
    rollout = {"steps": [{"weight": 10, "hold": "5m"}], "deadline": "10m", "onInconclusive": "Rollback"}
    scene = rolling({}, rollout=rollout)
    scene.run(60)
    scene.declare(2, rollout=rollout, suspend=True).run(86400)
    scene.declare(2, rollout=rollout).run(60)
    assert (scene.status.phase, scene.weight) == (Phase.PROGRESSING, 10)


def test_replicas_that_were_waited_for_have_their_whole_deadline_after_a_suspension() -> None:
    scene = healthy()
    scene.become_ready = False
    scene.declare(2, serving={"startupDeadline": "10m"}).run(60)
    scene.declare(2, serving={"startupDeadline": "10m"}, suspend=True).run(86400)
    scene.declare(2, serving={"startupDeadline": "10m"}).run(599)
    assert scene.outcomes() == [("v1", "Promoted")]
    scene.run(1)
    assert scene.outcomes() == [("v2", "RolledBack"), ("v1", "Promoted")]


def test_what_a_person_paused_stays_so_after_a_suspension() -> None:
    scene = rolling({10: "5m"})
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    rollout = {"steps": [{"weight": 10, "hold": "5m"}]}
    scene.declare(2, rollout=rollout, suspend=True).run(60)
    assert scene.declare(2, rollout=rollout).run(3600).status.phase is Phase.PAUSED


def test_replicas_lost_in_a_pause_by_a_person_have_their_whole_deadline_after_a_suspension() -> None:
    sections: dict[str, Any] = {"rollout": {"steps": [{"weight": 10, "hold": "5m"}]}}
    scene = rolling({10: "5m"})
    scene.run(60)
    scene.order(Verb.PAUSE, scene.candidate).run(60)
    scene.become_ready = False
    scene.ready(scene.candidate, 0).run(60)
    scene.declare(2, **sections, suspend=True).run(3600)
    scene.declare(2, **sections).run(599)
    assert scene.outcomes() == [("v1", "Promoted")]
    scene.run(1)
    assert scene.outcomes() == [("v2", "RolledBack"), ("v1", "Promoted")]


def test_a_deployment_that_is_being_deleted_is_left_alone() -> None:
    scene = rolling({10: "5m"})
    scene.run(60)
    before = scene.status
    scene.deleting = True
    decision = scene.run(60)
    assert (decision.plan, decision.look_again_at, decision.events) == (None, None, ())
    assert (scene.status, scene.kstatus) == (before, "Terminating")


def test_no_runtime_can_serve_it() -> None:
    scene = healthy()
    scene.declare(2)
    scene.target = resolved(2, flavors=("spark",))
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.NO_RUNTIME)
    for word in ("spark", "kserve-mlserver", "python_function", "serving v1"):
        assert word in scene.status.message


@pytest.mark.parametrize(
    ("flavors", "runtimes", "words"),
    [
        ((), (MLSERVER,), "has the flavors none; a runtime"),
        (("spark",), (), "which offer none: log"),
        (("python_function",), (replace(MLSERVER, protocol=Protocol.V1),), "by protocol v2 is not among"),
    ],
)
def test_what_is_missing_of_a_runtime_is_told(
    flavors: tuple[str, ...], runtimes: tuple[Runtime, ...], words: str
) -> None:
    scene = Scene(target=resolved(1, flavors=flavors), platform=replace(PLATFORM, runtimes=runtimes))
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.NO_RUNTIME)
    assert words in scene.status.message


def test_the_first_runtime_that_fits_is_chosen_and_stays_when_the_settings_change() -> None:
    other = Runtime("other", "MLServer", Protocol.V2, "mlflow", ("python_function",))
    scene = healthy()
    name = scene.stable
    scene.platform = replace(scene.platform, runtimes=(other, MLSERVER))
    scene.run(3600)
    assert (scene.stable, scene.status.stable and scene.status.stable.template.runtime) == (name, "kserve-mlserver")
    scene.declare(2).run(60)
    assert scene.status.stable is not None
    assert scene.status.stable.template.runtime == "other"


def test_a_runtime_that_is_named_must_fit_too() -> None:
    scene = Scene(spec=spec(1, serving={"runtime": "absent"}))
    scene.settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.NO_RUNTIME)
    assert "runtime absent" in scene.status.message


@pytest.mark.parametrize("stable", [False, True])
def test_without_a_gateway_nothing_is_deployed_and_a_route_stays(*, stable: bool) -> None:
    scene = healthy() if stable else Scene()
    route = scene.route
    scene.platform = Platform(runtimes=(MLSERVER,))
    scene.run(60)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.GATEWAY_NOT_CONFIGURED)
    assert scene.route is route


NOWHERE = Platform(domain="elsewhere.test", runtimes=(MLSERVER,))


@pytest.mark.parametrize("how", ["abort", "crash", "revert"])
def test_a_rollout_is_taken_back_though_the_settings_lost_their_gateways(how: str) -> None:
    scene = rolling({50: "1h"})
    scene.run(60)
    candidate, stable, before = scene.candidate, scene.stable, scene.route
    scene.platform = NOWHERE
    scene.run(60)
    assert scene.route is before, "it goes on as it is"
    if how == "abort":
        scene.order(Verb.ABORT, candidate)
    elif how == "crash":
        scene.fail(candidate, Failure(Reason.LOAD_FAILED, "exit code 1", at=scene.now))
    else:
        scene.declare(1)
    scene.settle()
    assert scene.route.shares == {stable: 100}
    assert (scene.route.gateways, scene.route.hostnames) == ((GATEWAY,), ("fraud.payments.models.test",))
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.GATEWAY_NOT_CONFIGURED)
    assert scene.status.url == "http://fraud.payments.models.test"
    scene.run(60)
    assert list(scene.pods) == [stable]


def test_a_route_that_was_deleted_is_not_made_again_without_a_gateway() -> None:
    scene = healthy()
    scene.platform = NOWHERE
    scene.route = Route()
    plan = scene.look().plan
    assert plan is not None
    assert plan.route is None
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.GATEWAY_NOT_CONFIGURED)


def test_nothing_moves_forward_without_a_gateway_that_is_declared() -> None:
    scene = rolling({10: "1m", 50: "1m"})
    scene.run(30)
    scene.platform = NOWHERE
    scene.run(3600)
    assert scene.weight == 10
    scene.platform = PLATFORM
    scene.run(30)
    assert scene.weight == 50


def test_names_and_gateways_by_default_and_as_declared() -> None:
    scene = Scene()
    scene.run(20)
    plan = scene.look().plan
    assert plan is not None
    assert plan.route is not None
    assert (plan.route.hostnames, plan.route.gateways) == (("fraud.payments.models.test",), (GATEWAY,))
    assert scene.status.url == "http://fraud.payments.models.test"
    mine = {"hostnames": ["a.test", "b.test"], "gateways": [{"name": "g", "namespace": "n"}], "timeout": "5s"}
    plan = scene.declare(1, traffic=mine).look().plan
    assert plan is not None
    assert plan.route is not None
    assert plan.route.hostnames == ("a.test", "b.test")
    assert (plan.route.gateways, plan.route.timeout) == ((GatewayRef(name="g", namespace="n"),), "5s")


@pytest.mark.parametrize(
    ("names", "url"),
    [(["b.test", "a.test"], "http://b.test"), (["*.c.test", "a.test"], "http://a.test"), (["*.c.test"], None)],
)
def test_url_is_a_name_that_can_be_called(names: list[str], url: str | None) -> None:
    scene = healthy().declare(1, traffic={"hostnames": names})
    scene.settle()
    assert scene.route.hostnames == tuple(names)
    assert scene.status.url == url


@pytest.mark.parametrize(
    "reason",
    [
        Reason.REGISTRY_NOT_FOUND,
        Reason.NAMESPACE_NOT_ALLOWED,
        Reason.MODEL_NOT_FOUND,
        Reason.VERSION_NOT_FOUND,
        Reason.ALIAS_NOT_FOUND,
        Reason.ARTIFACT_NOT_FOUND,
        Reason.ARTIFACT_NOT_ALLOWED,
        Reason.NOT_A_MODEL,
        Reason.REGISTRY_REFUSED,
    ],
)
def test_whatever_the_registry_refuses_is_told_and_serving_goes_on(reason: Reason) -> None:
    scene = healthy()
    scene.declare(2)
    scene.target = Problem(reason, "because")
    scene.run(60)
    assert (scene.condition(ConditionType.READY), scene.kstatus) == (("False", reason), "Failed")
    assert scene.condition(ConditionType.MODEL_RESOLVED) == ("False", reason)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.route.shares == {scene.stable: 100}
    assert scene.told == [reason]


def test_a_declaration_that_cannot_be_met_holds_the_rollout_of_the_one_before() -> None:
    scene = rolling({10: "5m", 50: "5m"})
    scene.run(60)
    scene.target = Problem(Reason.ALIAS_NOT_FOUND, "gone")
    scene.run(3600)
    assert scene.weight == 10
    scene.target = resolved(2)
    scene.run(20)
    assert scene.weight == 50


def test_transition_times_move_only_with_the_status() -> None:
    scene = healthy()
    before = {one.type: one for one in scene.status.conditions}
    scene.wait(60)
    scene.target = Problem(Reason.MODEL_NOT_FOUND, "there is no model")
    scene.settle()
    between = {one.type: one for one in scene.status.conditions}
    assert between[ConditionType.READY].last_transition_time == scene.now
    assert between[ConditionType.AVAILABLE] == before[ConditionType.AVAILABLE]
    failed = scene.now
    scene.wait(60)
    scene.target = Problem(Reason.VERSION_NOT_FOUND, "there is no version")
    scene.settle()
    after = {one.type: one for one in scene.status.conditions}
    assert after[ConditionType.READY].last_transition_time == failed
    assert after[ConditionType.READY].reason is Reason.VERSION_NOT_FOUND


def test_a_change_of_the_spec_alone_is_seen_in_the_status() -> None:
    scene = healthy()
    scene.declare(1).settle()
    assert scene.status.observed_generation == scene.generation == 2
    assert {one.observed_generation for one in scene.status.conditions} == {2}


def test_long_words_of_others_do_not_break_the_status() -> None:
    scene = healthy()
    scene.target = Problem(Reason.ARTIFACT_NOT_FOUND, "x" * 40_000)
    scene.settle()
    assert len(scene.status.message) <= 1024
    assert all(len(one.message) <= 1024 for one in scene.status.conditions)


def test_every_reason_has_a_sentence_and_a_word_of_its_own() -> None:
    assert set(SENTENCES) == set(Reason)
    for reason, sentence in SENTENCES.items():
        # metav1.Condition's pattern of a reason.
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", reason), reason
        assert sentence.endswith("."), reason
    assert len(set(SENTENCES.values())) == len(SENTENCES)


def test_a_status_that_nobody_has_written_is_never_ready() -> None:
    decision = decide(Scene().observed(), START)
    assert ModelDeploymentStatus().observed_generation == -1
    assert decision.status.observed_generation == 1


@pytest.mark.parametrize("length", [1023, 1024, 1025, 5000])
def test_only_what_is_too_long_is_cut_and_by_no_more_than_it_must(length: int) -> None:
    message = "x" * length
    kept = shorten(message)
    assert kept == (message if length <= 1024 else message[:1023] + "…")


def test_a_status_is_read_as_it_was_written_whatever_the_clock_says() -> None:
    """It has milliseconds: a time that is told more finely would be another one with the next look, and a write."""
    scene = Scene(now=START + seconds(0.123456))
    scene.look()
    assert scene.status.candidate is not None
    assert scene.status.candidate.since == START + seconds(0.123)


def test_replicas_that_are_declared_while_it_is_suspended_are_not_told_as_wanted() -> None:
    scene = healthy(1, serving={"minReplicas": 2})
    scene.declare(1, serving={"minReplicas": 5}, suspend=True).settle()
    assert scene.status.stable is not None
    assert scene.status.stable.replicas == 2
