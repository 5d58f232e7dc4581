"""What is pinned and is asked for again, and what the answer begins: nothing for what serves."""

from __future__ import annotations

from typing import Any

import pytest

from serin.analysis.gates import Metric
from serin.analysis.gates import Record
from serin.analysis.gates import Unreadable
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.reasons import Reason
from serin.api.status import Phase
from serin.api.status import Resolved
from serin.rollout.doubt import Doubt
from serin.rollout.doubt import doubt_of
from serin.rollout.observed import Failure
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import resolved
from tests.unit.rollout.scene import rolling
from tests.unit.rollout.scene import spec

NOT_THERE = Failure(Reason.DOWNLOAD_FAILED, "NoSuchBucket: modles", hopeless=True)


def doubt(scene: Scene) -> Doubt | None:
    assert isinstance(scene.spec, ModelDeploymentSpec)
    return doubt_of("fraud", scene.namespace, scene.spec, scene.status, scene.orders)


def elsewhere(version: int) -> Resolved:
    """The same version, where it really is."""
    return resolved(version).model_copy(update={"artifact_uri": f"s3://mended/{version}"})


def taken_back() -> Scene:
    """v2, of which the pods could not fetch the artifacts, beside a healthy v1."""
    scene = rolling({10: "5m"})
    scene.settle()
    scene.fail(scene.candidate, NOT_THERE).run(3600)
    assert scene.status.phase is Phase.ROLLED_BACK
    return scene


def test_what_serves_or_is_on_its_way_is_in_no_doubt() -> None:
    assert doubt(healthy()) is None
    scene = rolling({10: "5m"})
    scene.run(60)
    assert doubt(scene) is None


def test_without_a_resolution_there_is_no_doubt() -> None:
    assert doubt(Scene()) is None


def test_what_never_served_is_in_doubt_until_it_gets_requests() -> None:
    scene = Scene(become_ready=False)
    scene.run(60)
    assert doubt(scene) is Doubt.UNSERVED
    scene.become_ready = True
    scene.run(3600)
    assert doubt(scene) is None


def test_a_first_version_whose_location_was_mended_begins_anew() -> None:
    scene = Scene(become_ready=False)
    scene.settle()
    first = scene.candidate
    scene.fail(first, NOT_THERE).run(60)
    scene.become_ready, scene.target = True, elsewhere(1)
    scene.run(3600)
    assert scene.stable != first
    assert scene.status.stable is not None
    assert scene.status.stable.template is not None
    assert scene.status.stable.template.artifact_uri == "s3://mended/1"


def test_what_was_taken_back_is_in_doubt_by_the_order_to_try_it_again() -> None:
    scene = taken_back()
    assert doubt(scene) is None
    rejected = scene.status.rejected[0].revision
    scene.order(Verb.RETRY, rejected)
    assert doubt(scene) is Doubt.RETRIED
    scene.target = elsewhere(2)
    scene.run(60)
    # The order is carried out: that is told but once.
    assert doubt(scene) is None
    assert scene.candidate != rejected
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.status.resolved is not None
    assert scene.status.resolved.artifact_uri == "s3://mended/2"


def test_a_retry_that_waits_for_the_registry_is_known_to_another_operator() -> None:
    """The order is carried out, and nothing has begun yet."""
    scene = taken_back()
    scene.order(Verb.RETRY, scene.status.rejected[0].revision)
    scene.target = Problem(Reason.RESOLVING, "asking")
    scene.run(60)
    assert (scene.status.rejected, scene.status.candidate) == ((), None)
    assert doubt(scene) is Doubt.RETRIED
    scene.target = elsewhere(2)
    scene.run(60)
    assert doubt(scene) is None
    assert scene.weight == 10


def test_what_was_taken_back_and_gone_is_not_taken_for_retried() -> None:
    scene = taken_back()
    scene.target = Problem(Reason.ALIAS_NOT_FOUND, "gone")
    scene.run(60)
    assert doubt(scene) is Doubt.GONE


@pytest.mark.parametrize("revision", ["fraud-v9-00000000", "stable"])
def test_an_order_for_another_revision_is_no_doubt(revision: str) -> None:
    scene = taken_back()
    scene.order(Verb.RETRY, scene.stable if revision == "stable" else revision)
    assert doubt(scene) is None


def test_nothing_is_asked_for_while_nothing_is_carried_out() -> None:
    scene = taken_back()
    scene.order(Verb.RETRY, scene.status.rejected[0].revision)
    scene.spec = spec(2, suspend=True)
    assert doubt(scene) is None


def test_what_a_gate_refused_is_not_resolved_anew_by_a_retry() -> None:
    """It was never deployed. The metrics are read anew, and nothing may take the order from that."""
    gates: dict[str, Any] = {"signature": "Ignore", "quality": [{"metric": "auc", "atLeast": 0.9}]}
    scene = healthy()
    scene.records = {number: Record(f"v{number}", Unreadable("none"), (Metric("auc", 0.5),)) for number in (1, 2)}
    scene.declare(2, rollout={"gates": gates}).run(60)
    assert scene.status.rejected[0].reason is Reason.QUALITY_TOO_LOW
    scene.order(Verb.RETRY, scene.status.rejected[0].revision)
    assert doubt(scene) is None


@pytest.mark.parametrize("reason", [Reason.MODEL_NOT_FOUND, Reason.ALIAS_NOT_FOUND, Reason.REGISTRY_NOT_FOUND])
def test_what_was_gone_is_in_doubt(reason: Reason) -> None:
    scene = healthy()
    scene.target = Problem(reason, "gone")
    scene.run(60)
    assert doubt(scene) is Doubt.GONE
    # Told again as what is being asked for: that is no answer yet.
    scene.target = Problem(Reason.RESOLVING, "asking")
    scene.run(60)
    assert doubt(scene) is Doubt.GONE
    scene.target = resolved(1)
    scene.run(60)
    assert doubt(scene) is None
    assert scene.status.phase is Phase.HEALTHY


def test_a_registry_that_is_down_is_no_doubt() -> None:
    scene = healthy()
    scene.down = Problem(Reason.REGISTRY_UNAVAILABLE, "no answer")
    scene.run(60)
    assert doubt(scene) is None


def test_a_version_that_was_made_anew_is_rolled_out_by_steps() -> None:
    """It bears the number of the one in use, and has earned nothing."""
    scene = healthy(1, rollout={"steps": [{"weight": 10, "hold": "5m"}]})
    before = scene.stable
    scene.target = resolved(1).model_copy(update={"run_id": "r9", "digest": "d9", "artifact_uri": "s3://models/9"})
    scene.run(60)
    assert (scene.stable, scene.weight) == (before, 10)
    scene.run(3600)
    assert scene.status.phase is Phase.HEALTHY
    assert scene.stable != before
