"""Gates: a version that does not pass is not deployed, whatever else goes on, and is looked at anew."""

from __future__ import annotations

from typing import Any

import pytest

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.analysis.signature import Field
from serin.analysis.signature import Scalar
from serin.analysis.signature import Schema
from serin.analysis.signature import Signature
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.api.status import Phase
from serin.api.status import Rejection
from serin.rollout.goal import name_of
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from serin.rollout.records import Origin
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import spec

F1 = {"metric": "f1", "atLeast": 0.8, "notWorseThanStable": "2%"}
STEPS = {"steps": [{"weight": 10, "hold": "5m"}], "readiness": {"stableFor": "0s"}}
GATED = {**STEPS, "gates": {}}
DOWN = Problem(Reason.REGISTRY_UNAVAILABLE, "registry default has not answered")
SIGNATURE = "the signature breaks clients of v1: input 'age' is string and was double"
QUALITY = "f1 of v2 is 0.7, below 0.8"


def record(version: int, type_: str = "double", **metrics: float) -> Record:
    signature = Signature(inputs=Schema((Field("age", Scalar(type_)),)))
    return Record(f"v{version}", signature, tuple(Metric(name, value) for name, value in metrics.items()))


def gated(gates: dict[str, Any] | None = None, *records: Record) -> Scene:
    """Healthy v1 with gates; v2 is declared and not looked at yet."""
    rollout = {**STEPS, "gates": {} if gates is None else gates}
    scene = healthy(1, rollout=STEPS).declare(2, rollout=rollout)
    scene.records = {int(one.version[1:]): one for one in records}
    return scene


def refused(scene: Scene, reason: Reason, words: str) -> None:
    """Nothing of the version is there, and the status says why."""
    assert list(scene.pods) == [scene.stable]
    assert scene.route.shares == {scene.stable: 100}
    assert (scene.status.candidate, scene.status.rollout) == (None, None)
    assert scene.status.phase is Phase.FAILED
    assert scene.status.message == f"v2 is not deployed: {words}; serving v1"
    assert scene.condition(ConditionType.READY) == ("False", reason)
    assert scene.condition(ConditionType.STALLED) == ("True", reason)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    assert scene.kstatus == "Failed"
    assert [(one.version, one.reason) for one in scene.status.rejected] == [("v2", reason)]


def test_a_signature_that_breaks_clients_is_not_deployed() -> None:
    scene = gated(None, record(1), record(2, "string"))
    scene.run(3600)
    refused(scene, Reason.SIGNATURE_INCOMPATIBLE, SIGNATURE)
    assert scene.told == [Reason.SIGNATURE_INCOMPATIBLE]
    assert scene.outcomes() == [("v1", "Promoted")]


def test_one_that_does_not_is() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.9))
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.status.message == "v2 has all traffic"
    assert scene.condition(ConditionType.GATES_WARNING) is None


def test_without_gates_nothing_is_asked() -> None:
    scene = healthy(1, rollout=STEPS).declare(2, rollout=STEPS)
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.asked == []


@pytest.mark.parametrize("gates", [{"signature": "Ignore"}, {"signature": "Ignore", "quality": []}])
def test_gates_that_look_at_nothing_ask_nothing(gates: dict[str, Any]) -> None:
    scene = gated(gates)
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.asked == []


def test_a_metric_that_is_too_low_is_looked_at_again_and_again() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.7))
    scene.run(600)
    refused(scene, Reason.QUALITY_TOO_LOW, QUALITY)
    scene.writes = 0
    scene.asked.clear()
    scene.run(600)
    assert scene.writes == 0
    assert len(scene.asked) >= 10
    assert not any(question.fresh for question in scene.asked)
    scene.records[2] = record(2, f1=0.6)
    scene.run(600)
    refused(scene, Reason.QUALITY_TOO_LOW, QUALITY.replace("0.7", "0.6"))
    assert scene.status.rejected[0].message.endswith(QUALITY.replace("0.7", "0.6"))
    # Somebody logs it anew.
    scene.records[2] = record(2, f1=0.9)
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.stable.startswith("fraud-v2-")
    assert scene.status.rejected == ()


def test_both_are_told_of() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, "string", f1=0.7))
    scene.settle()
    refused(scene, Reason.SIGNATURE_INCOMPATIBLE, f"{SIGNATURE}; {QUALITY}")


def test_other_gates_let_it_pass() -> None:
    scene = gated(None, record(1), record(2, "string"))
    scene.settle()
    scene.declare(2, rollout=STEPS)
    scene.run(3600)
    assert scene.status.message == "v2 has all traffic"
    assert scene.status.rejected == ()


@pytest.mark.parametrize(
    ("changes", "asked"),
    [({}, False), ({"digest": "f" * 64}, True), ({"registry": "other"}, True), ({"name": "other"}, True)],
)
def test_the_version_that_serves_is_not_judged_whatever_else_of_it_changes(
    changes: dict[str, Any], *, asked: bool
) -> None:
    """Somebody needs more memory for it, and meanwhile there is a gate that it would not pass."""
    rollout = {**STEPS, "gates": {"quality": [F1]}}
    scene = healthy(1, rollout=STEPS)
    scene.records = {1: record(1, f1=0.7)}
    scene.declare(1, rollout=rollout, serving={"resources": {"limits": {"memory": "4Gi"}}})
    scene.target = resolved(1, **changes)
    before = scene.stable
    scene.run(3600)
    assert bool(scene.asked) == asked
    assert (scene.status.phase, scene.stable != before) == ((Phase.FAILED, False) if asked else (Phase.HEALTHY, True))


def test_what_was_refused_of_the_version_that_serves_is_forgiven() -> None:
    """By an operator that judged it all the same."""
    rollout = {**STEPS, "gates": {"quality": [F1]}}
    scene = healthy(1, rollout=STEPS).declare(1, rollout=rollout, serving={"workers": 2})
    scene.records = {1: record(1, f1=0.7)}
    assert isinstance(scene.spec, ModelDeploymentSpec)
    name = name_of(scene.observed(), scene.spec)
    assert isinstance(name, str)
    told = Rejection(revision=name, version="v1", reason=Reason.QUALITY_TOO_LOW, at=scene.now)
    scene.status = scene.status.model_copy(update={"rejected": (told,)})
    scene.run(3600)
    assert (scene.status.phase, scene.stable, scene.status.rejected) == (Phase.HEALTHY, name, ())


def test_another_stable_version_lets_it_pass() -> None:
    scene = gated(None, record(1), record(2, "string"), record(3, "any"))
    scene.settle()
    refused(scene, Reason.SIGNATURE_INCOMPATIBLE, SIGNATURE)
    rollout = {**STEPS, "gates": {}}
    scene.declare(3, rollout=rollout).run(3600)
    assert scene.status.message == "v3 has all traffic"
    scene.records[3] = record(3, "string")
    scene.declare(2, rollout=rollout).run(3600)
    assert scene.status.message == "v2 has all traffic"


def test_a_warning_is_told_while_the_rollout_runs() -> None:
    scene = gated({"signature": "Warn"}, record(1), record(2, "string"))
    scene.run(60)
    assert scene.status.phase is Phase.PROGRESSING
    assert scene.condition(ConditionType.GATES_WARNING) == ("True", Reason.SIGNATURE_INCOMPATIBLE)
    assert scene.status.rollout is not None
    assert scene.status.rollout.warning == SIGNATURE
    assert scene.told.count(Reason.SIGNATURE_INCOMPATIBLE) == 1
    assert scene.condition(ConditionType.STALLED) is None
    scene.run(3600)
    assert scene.status.message == "v2 has all traffic"
    assert scene.condition(ConditionType.GATES_WARNING) is None
    assert scene.told.count(Reason.SIGNATURE_INCOMPATIBLE) == 1


def test_a_warning_does_not_let_a_bad_metric_pass() -> None:
    scene = gated({"signature": "Warn", "quality": [F1]}, record(1, f1=0.9), record(2, "string", f1=0.7))
    scene.settle()
    refused(scene, Reason.QUALITY_TOO_LOW, QUALITY)


def test_a_first_version_is_held_to_its_own_figures_only() -> None:
    rollout = {**STEPS, "gates": {"quality": [F1]}}
    scene = Scene(spec=spec(1, rollout=rollout), target=resolved(1), records={1: record(1, f1=0.7)})
    scene.run(600)
    assert scene.pods == {}
    assert scene.status.message == "v1 is not deployed: f1 of v1 is 0.7, below 0.8"
    assert scene.condition(ConditionType.READY) == ("False", Reason.QUALITY_TOO_LOW)
    scene.records[1] = record(1, f1=0.8)
    scene.run(600)
    assert scene.status.phase is Phase.HEALTHY
    assert {question.stable for question in scene.asked} == {None}


def test_a_first_version_with_a_signature_gate_alone_asks_nothing() -> None:
    scene = Scene(spec=spec(1, rollout={**STEPS, "gates": {}}), target=resolved(1))
    scene.run(600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.asked == []


def test_nothing_starts_before_the_registry_has_answered() -> None:
    scene = gated()
    scene.run(300)
    assert scene.status.phase is Phase.RESOLVING
    assert scene.condition(ConditionType.RECONCILING) == ("True", Reason.RESOLVING)
    assert list(scene.pods) == [scene.stable]
    assert scene.status.rejected == ()
    scene.records = {1: record(1), 2: record(2)}
    scene.run(3600)
    assert scene.status.message == "v2 has all traffic"


def test_a_registry_that_is_down_is_told_of() -> None:
    scene = gated()
    scene.down = DOWN
    scene.run(300)
    assert scene.condition(ConditionType.READY) == ("False", Reason.REGISTRY_UNAVAILABLE)
    assert list(scene.pods) == [scene.stable]


@pytest.mark.parametrize("down", [None, DOWN])
def test_what_was_refused_stays_so_while_the_registry_does_not_answer(down: Problem | None) -> None:
    """An operator that restarts, or a registry that is down, changes nothing."""
    scene = gated(None, record(1), record(2, "string"))
    scene.settle()
    before = scene.status
    scene.records, scene.down = {}, down
    scene.run(600)
    refused(scene, Reason.SIGNATURE_INCOMPATIBLE, SIGNATURE)
    assert (scene.status.message, scene.status.rejected) == (before.message, before.rejected)


def test_the_rollout_of_another_version_ends_all_the_same() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.9), record(3, f1=0.1))
    scene.run(60)
    assert scene.weight == 10
    scene.declare(3, rollout={**STEPS, "gates": {"quality": [F1]}}).look()
    assert scene.kstatus == "Failed", "it is not called healthy, not even for a moment"
    scene.run(600)
    assert scene.outcomes()[0] == ("v2", "Superseded")
    assert scene.status.message == "v3 is not deployed: f1 of v3 is 0.1, below 0.8; serving v1"
    assert list(scene.pods) == [scene.stable]


def test_a_rollout_that_runs_is_not_looked_at_again() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.9))
    scene.run(60)
    scene.records, scene.asked = {1: record(1, f1=0.9), 2: record(2, f1=0.1)}, []
    scene.run(3600)
    assert scene.status.message == "v2 has all traffic"
    assert scene.asked == []


def test_what_has_served_before_is_not_judged() -> None:
    scene = gated(None, record(1), record(2))
    scene.run(3600)
    scene.records, scene.asked = {1: record(1, "string"), 2: record(2)}, []
    scene.declare(1, rollout={**STEPS, "gates": {"quality": [F1]}}).run(3600)
    assert scene.status.message == "v1 has all traffic"
    assert scene.asked == []


def test_what_served_long_ago_is_not_judged() -> None:
    scene = gated(None, record(1), record(2, f1=0.9), record(3, f1=0.9))
    scene.run(3600)
    rollout = {**STEPS, "gates": {"quality": [F1]}}
    scene.declare(3, rollout=rollout).run(3600)
    assert scene.status.message == "v3 has all traffic"
    scene.asked.clear()
    scene.declare(1, rollout=rollout).run(3600)
    assert scene.status.message == "v1 has all traffic"
    assert scene.asked == []


def test_the_version_before_is_not_judged_though_its_promotion_is_forgotten() -> None:
    scene = gated(None, record(1), record(2))
    scene.run(3600)
    assert scene.status.fallback is not None
    scene.status = scene.status.model_copy(update={"history": ()})
    scene.asked.clear()
    scene.declare(1, rollout={**STEPS, "gates": {"quality": [F1]}}).run(3600)
    assert scene.status.message == "v1 has all traffic"
    assert scene.asked == []


def test_what_was_tried_and_never_served_is_judged_when_it_is_tried_again() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.9))
    scene.run(60)
    revision = scene.candidate
    scene.order(Verb.ABORT, revision).run(600)
    scene.records[2] = record(2, f1=0.7)
    scene.order(Verb.RETRY, revision).run(600)
    refused(scene, Reason.QUALITY_TOO_LOW, QUALITY)


def test_nothing_is_asked_while_it_is_suspended() -> None:
    scene = gated(None, record(1), record(2))
    scene.declare(2, rollout={**STEPS, "gates": {}}, suspend=True).run(600)
    assert scene.status.phase is Phase.SUSPENDED
    assert scene.asked == []


def test_undo_is_not_judged() -> None:
    scene = gated(None, record(1), record(2))
    scene.run(3600)
    scene.asked.clear()
    scene.records = {1: record(1, "string"), 2: record(2)}
    scene.order(Verb.UNDO, scene.stable).run(600)
    assert scene.stable.startswith("fraud-v1-")
    assert scene.status.phase is Phase.ROLLED_BACK
    assert scene.asked == []


def test_undo_goes_on_while_the_declared_version_is_refused() -> None:
    scene = gated(None, record(1), record(2), record(3, "string"))
    scene.run(7200)
    scene.declare(3, rollout={**STEPS, "gates": {}}).settle()
    assert scene.condition(ConditionType.READY) == ("False", Reason.SIGNATURE_INCOMPATIBLE)
    # Its replicas are gone, so the way back takes a rollout.
    scene.become_ready = False
    scene.order(Verb.UNDO, scene.stable).run(60)
    assert scene.candidate.startswith("fraud-v1-")
    scene.records[3] = record(3)
    scene.become_ready = True
    scene.run(30)
    assert ("v2", "Undone") in scene.outcomes()
    assert ("v1", "Promoted") in scene.outcomes()[:3]


def test_retry_asks_for_fresh_metrics() -> None:
    scene = gated({"quality": [F1]}, record(1, f1=0.9), record(2, f1=0.7))
    scene.settle()
    revision = scene.status.rejected[0].revision
    scene.asked.clear()
    scene.order(Verb.RETRY, revision, "anna/1").settle()
    assert [question.fresh for question in scene.asked][:2] == [True, False]
    assert scene.status.handled["retry"].result == "Done"
    refused(scene, Reason.QUALITY_TOO_LOW, QUALITY)
    scene.records[2] = record(2, f1=0.9)
    scene.order(Verb.RETRY, revision, "anna/2").run(3600)
    assert scene.status.message == "v2 has all traffic"


def test_what_was_rolled_back_is_not_started_by_its_gates() -> None:
    scene = gated(None, record(1), record(2))
    scene.run(60)
    scene.order(Verb.ABORT, scene.candidate).run(600)
    assert scene.status.phase is Phase.ROLLED_BACK
    assert [one.reason for one in scene.status.rejected] == [Reason.ABORTED]


def crashed(scene: Scene, *versions: int) -> None:
    """These versions pass their gates and are rejected for what they do."""
    for version in versions:
        scene.records[version] = record(version)
        scene.declare(version, rollout=GATED).settle()
        failure = Failure(Reason.LOAD_FAILED, "exit code 1", at=scene.now, hopeless=True)
        scene.fail(scene.candidate, failure).settle()


def turned_away(scene: Scene, *versions: int) -> None:
    for version in versions:
        scene.records[version] = record(version, "string")
        scene.declare(version, rollout=GATED).settle()
        assert scene.status.candidate is None


def known(scene: Scene) -> list[str]:
    return [one.version for one in scene.status.rejected]


def test_what_gates_refuse_takes_no_place_from_what_failed() -> None:
    """A version that crashed would be rolled out again if it were forgotten."""
    scene = gated(None, record(1))
    crashed(scene, 2)
    turned_away(scene, *range(3, 15))
    assert known(scene) == [*(f"v{version}" for version in range(14, 5, -1)), "v2"]
    scene.declare(2, rollout=GATED).run(600)
    assert (scene.status.phase, scene.status.candidate) == (Phase.ROLLED_BACK, None)
    crashed(scene, 20, 21)
    assert known(scene) == ["v21", "v20", *(f"v{version}" for version in range(14, 7, -1)), "v2"]


def test_of_what_gates_refuse_the_newest_is_told_also_where_no_place_is_left() -> None:
    scene = gated(None, record(1))
    crashed(scene, *range(2, 12))
    failed = [f"v{version}" for version in range(11, 1, -1)]
    turned_away(scene, 12, 13)
    assert known(scene) == ["v13", *failed]
    scene.order(Verb.RETRY, scene.status.rejected[0].revision).settle()
    assert scene.status.handled["retry"].result == "Done"
    crashed(scene, 14)
    assert known(scene) == ["v14", "v13", *failed[:-1]]


def test_versions_are_asked_for_where_they_are_from() -> None:
    scene = gated(None, record(1), record(2))
    scene.settle()
    question = scene.asked[0]
    assert question.candidate == Origin("default", "fraud-detector", 2, resolved(2).digest)
    assert question.stable == Origin("default", "fraud-detector", 1, resolved(1).digest)
    assert not question.metrics


def test_a_stable_version_of_another_model_is_asked_for_there() -> None:
    scene = gated(None, record(1), record(2))
    scene.target = resolved(2, name="fraud-boosted", registry="other")
    scene.settle()
    question = scene.asked[0]
    assert (question.candidate.model, question.candidate.registry) == ("fraud-boosted", "other")
    assert question.stable == Origin("default", "fraud-detector", 1, resolved(1).digest)


def test_a_status_that_does_not_say_where_the_stable_one_is_from() -> None:
    scene = gated(None, record(1), record(2))
    stable = scene.status.stable
    assert stable is not None
    scene.status = ModelDeploymentStatus(
        **{**dict(scene.status), "stable": stable.model_copy(update={"registry": None, "model": None})}
    )
    scene.settle()
    assert scene.asked[0].stable == Origin("default", "fraud-detector", 1, resolved(1).digest)
