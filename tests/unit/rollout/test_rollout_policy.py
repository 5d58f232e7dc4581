"""Rollout policies: a rollout goes by what it started with, and a policy that is missing starts none."""

from __future__ import annotations

import pytest

from serin.api.reasons import Reason
from serin.api.rollout import Rollout
from serin.api.status import ConditionType
from serin.api.status import Outcome
from serin.api.status import Phase
from serin.api.status import PolicyUse
from serin.rollout.observed import Declared
from serin.rollout.observed import Problem
from serin.rollout.orders import Verb
from tests.unit.rollout.scene import Scene
from tests.unit.rollout.scene import healthy
from tests.unit.rollout.scene import seconds

MISSING = Problem(Reason.POLICY_NOT_FOUND, "there is no RolloutPolicy cautious")


def says(*weights: int, digest: str = "1", **settings: object) -> Declared:
    """A RolloutPolicy named cautious, with steps of five minutes."""
    steps = [{"weight": weight, "hold": "5m"} for weight in weights]
    return Declared(Rollout.model_validate({"steps": steps, **settings}), PolicyUse(name="cautious", digest=digest))


def by_policy(declared: Declared | Problem) -> Scene:
    scene = healthy()
    scene.policy = declared
    scene.declare(2, rollout={"policy": "cautious"}).run(60)
    return scene


def test_a_rollout_goes_by_its_policy_and_says_which() -> None:
    scene = by_policy(says(10, 50))
    assert scene.weight == 10
    assert scene.status.rollout is not None
    assert scene.status.rollout.policy == PolicyUse(name="cautious", digest="1")
    assert "changed since" not in scene.status.rollout.waiting_for
    scene.run(700)
    assert scene.outcomes()[0] == ("v2", Outcome.PROMOTED)


def test_a_policy_that_changes_leaves_a_running_rollout_as_it_is() -> None:
    scene = by_policy(says(10, 50))
    scene.policy = says(90, digest="2")
    scene.run(300)
    assert scene.weight == 50
    assert scene.status.rollout is not None
    assert scene.status.rollout.waiting_for.endswith(
        "; RolloutPolicy cautious changed since: this rollout goes on as it started"
    )
    assert scene.status.rollout.policy == PolicyUse(name="cautious", digest="1")
    # The next one goes by what it says then.
    scene.run(310)
    scene.declare(3, rollout={"policy": "cautious"}).run(60)
    assert scene.weight == 90


def test_a_policy_that_is_deleted_leaves_a_running_rollout_as_it_is() -> None:
    scene = by_policy(says(10, 50))
    scene.policy = MISSING
    scene.run(300)
    assert (scene.weight, scene.status.phase) == (50, Phase.PROGRESSING)
    scene.run(310)
    assert scene.outcomes()[0] == ("v2", Outcome.PROMOTED)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND), "the next one will need it"


def test_a_rollout_whose_policy_is_gone_is_rolled_back_like_any_other() -> None:
    scene = by_policy(says(10, 50))
    scene.policy = MISSING
    scene.order(Verb.ABORT, scene.candidate)
    assert scene.look().look_again_at == scene.now + seconds(60), "it may be made again at any time"
    scene.settle()
    assert scene.route.shares == {scene.stable: 100}
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND)


def test_a_policy_that_is_missing_is_told_and_starts_nothing() -> None:
    scene = by_policy(MISSING)
    scene.outlast(86400)
    assert (scene.status.phase, scene.kstatus) == (Phase.FAILED, "Failed")
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND)
    assert scene.status.message.endswith("serving v1")
    assert (scene.status.candidate, scene.route.shares) == (None, {scene.stable: 100})
    scene.policy = says(10)
    scene.run(60)
    assert scene.weight == 10


def test_a_first_version_waits_for_its_policy_too() -> None:
    scene = Scene()
    scene.policy = MISSING
    scene.run(60)
    assert (scene.condition(ConditionType.STALLED), scene.pods) == (("True", Reason.POLICY_NOT_FOUND), {})


def test_another_version_waits_for_a_missing_policy_and_the_rollout_before_it_holds() -> None:
    scene = by_policy(says(10, 50))
    candidate = scene.candidate
    scene.policy = MISSING
    scene.declare(3, rollout={"policy": "cautious"}).run(3600)
    assert (scene.candidate, scene.weight) == (candidate, 10)
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND)
    # Somebody can still take it back.
    scene.order(Verb.ABORT, candidate).run(60)
    assert scene.route.shares == {scene.stable: 100}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (MISSING, Reason.POLICY_NOT_FOUND),
        (Problem(Reason.INVALID_POLICY, "because"), Reason.INVALID_POLICY),
        (says(10, analysis={"checks": [{"name": "a", "query": "{{ b", "atMost": 1}]}), Reason.INVALID_QUERY),
    ],
)
def test_going_back_takes_no_policy_and_what_is_wrong_with_it_is_told_afterwards(
    policy: Declared | Problem, reason: Reason
) -> None:
    scene = by_policy(says(50))
    stable = scene.stable
    scene.policy = policy
    scene.declare(1, rollout={"policy": "gone"}).settle()
    assert (scene.outcomes()[0], scene.route.shares) == (("v2", Outcome.REVERTED), {stable: 100})
    assert scene.condition(ConditionType.STALLED) == ("True", reason)
    assert scene.status.message.endswith("serving v1")


def test_what_is_wrong_is_told_while_an_order_goes_back() -> None:
    """Nothing ends here because of what is declared, so nothing is put off."""
    scene = by_policy(says())
    scene.run(3600)
    assert scene.status.fallback is not None
    scene.become_ready, scene.policy = False, MISSING
    scene.order(Verb.UNDO, scene.stable).settle()
    assert scene.candidate == scene.status.fallback.revision
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND)


def test_nothing_is_wrong_with_what_an_order_goes_back_to() -> None:
    """Also in the very decision that carries the order out: what it begins needs no policy any more."""
    scene = by_policy(says())
    scene.run(3600)
    scene.become_ready, scene.policy = False, MISSING
    scene.declare(1, rollout={"policy": "cautious"}).settle()
    assert scene.condition(ConditionType.STALLED) == ("True", Reason.POLICY_NOT_FOUND)
    scene.order(Verb.UNDO, scene.stable).look()
    assert (scene.status.phase, scene.condition(ConditionType.STALLED)) == (Phase.ROLLING_BACK, None)


@pytest.mark.parametrize("reason", [Reason.POLICY_NOT_FOUND, Reason.INVALID_POLICY])
def test_a_policy_that_goes_while_nothing_rolls_is_told_and_serving_goes_on(reason: Reason) -> None:
    scene = healthy()
    scene.policy = Problem(reason, "because")
    scene.run(60)
    assert scene.condition(ConditionType.READY) == ("False", reason)
    assert scene.condition(ConditionType.AVAILABLE) == ("True", Reason.SERVING)
    scene.policy = None
    scene.run(60)
    assert scene.status.phase is Phase.HEALTHY
