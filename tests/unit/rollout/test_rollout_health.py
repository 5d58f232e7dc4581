"""Whether a revision can carry a share of the traffic: replicas, readiness without a break, and crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from serin.api.reasons import Reason
from serin.rollout.health import capacity
from serin.rollout.health import hopeless
from serin.rollout.health import ready_at
from serin.rollout.observed import Failure
from serin.rollout.observed import Health
from tests.unit.rollout.scene import START
from tests.unit.rollout.scene import seconds

FELL = Failure(Reason.LOAD_FAILED, "pod a ended (Error, exit code 1)", at=START)
NO_STORE = Failure(Reason.DOWNLOAD_FAILED, "pod b: connection refused", at=START + seconds(60), hopeless=True)


@pytest.mark.parametrize(
    ("replicas", "weight", "needed"),
    [(1, 0, 1), (1, 1, 1), (4, 25, 1), (4, 26, 2), (3, 50, 2), (4, 100, 4), (200, 100, 200), (150, 2, 3)],
)
def test_replicas_for_a_share(replicas: int, weight: int, needed: int) -> None:
    assert capacity(replicas, weight) == needed


def test_the_last_replica_that_is_needed_says_since_when() -> None:
    health = Health(ready_since=(START, START + seconds(8), START + seconds(60)))
    assert ready_at(health, 2, seconds(10)) == START + seconds(18)
    assert ready_at(health, 3, seconds(10)) == START + seconds(70)
    assert ready_at(health, 4, seconds(10)) is None


@pytest.mark.parametrize(
    ("trial_since", "counts"),
    [
        (None, False),
        (START, True),
        # The kubelet writes whole seconds: it may have been after the step began.
        (START + seconds(0.9), True),
        (START + seconds(1), False),
    ],
)
def test_a_crash_counts_once_the_candidate_is_on_trial(trial_since: datetime | None, *, counts: bool) -> None:
    assert hopeless(Health(failures=(FELL,)), trial_since) == (
        replace(FELL, reason=Reason.CRASHED) if counts else None
    ), "it crashed and did not fail to load"


def test_a_model_that_never_stood_failed_to_load() -> None:
    never = replace(FELL, hopeless=True)
    assert hopeless(Health(failures=(never,)), None) == never


@pytest.mark.parametrize("reason", [Reason.CRASHED, Reason.DOWNLOAD_FAILED, Reason.CONTAINER_CONFIG_ERROR])
def test_only_the_model_server_crashes_on_trial(reason: Reason) -> None:
    """A proxy or a download that ended has the words of its container, and had no request."""
    assert hopeless(Health(failures=(replace(FELL, reason=reason),)), START) is None


@pytest.mark.parametrize(
    ("ready", "trial_since", "gives_up"), [(0, None, True), (1, None, False), (0, START, False), (1, START, False)]
)
def test_a_store_that_is_away_is_no_reason_against_a_revision_that_it_gave_before(
    ready: int, trial_since: datetime | None, *, gives_up: bool
) -> None:
    health = Health(ready_since=(START,) * ready, failures=(NO_STORE,))
    assert hopeless(health, trial_since) == (NO_STORE if gives_up else None)


def test_downloads_that_fail_do_not_hide_a_crash_on_trial() -> None:
    health = Health(ready_since=(START,), failures=(NO_STORE, FELL))
    assert hopeless(health, START) == replace(FELL, reason=Reason.CRASHED)


@pytest.mark.parametrize(
    ("trial_since", "started_at", "counts"),
    [
        (None, None, True),
        (None, START, True),
        (None, START + seconds(0.9), True),
        (None, START + seconds(1), False),
        (START, START - seconds(60), True),
        (START + seconds(1), START - seconds(60), False),
    ],
)
def test_a_start_that_failed_repeatedly_counts_in_the_rollout_in_which_it_did(
    trial_since: datetime | None, started_at: datetime | None, *, counts: bool
) -> None:
    loops = replace(FELL, reason=Reason.CONTAINER_CONFIG_ERROR, hopeless=True)
    assert hopeless(Health(failures=(loops,)), trial_since, started_at) == (loops if counts else None)


def test_a_failure_that_tells_no_moment_is_one_of_now() -> None:
    lasts = replace(FELL, at=None, hopeless=True)
    assert hopeless(Health(failures=(lasts,)), START, START) == lasts
