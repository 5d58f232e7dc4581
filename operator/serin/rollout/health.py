"""Whether a revision can carry a share of the traffic, and what its pods say where it cannot."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from datetime import timedelta

from serin.api.reasons import Reason
from serin.rollout.observed import Failure
from serin.rollout.observed import Health

NO_POD = "it has no pod, and nobody says why: is the backend's controller running, and new enough?"


def capacity(min_replicas: int, weight: int) -> int:
    """Replicas that a revision needs for ``weight`` percent of the requests, at least 1."""
    return max(1, math.ceil(min_replicas * weight / 100))


def ready_at(health: Health, replicas: int, stable_for: timedelta) -> datetime | None:
    """When ``replicas`` will have been ready for ``stable_for`` without a break; None while they are not ready.

    Counted from the pods' own Ready conditions, so a restarted operator comes to the same moment.
    """
    if health.ready < replicas:
        return None
    return health.ready_since[replicas - 1] + stable_for


def hopeless(health: Health, trial_since: datetime | None, started_at: datetime | None = None) -> Failure | None:
    """The failure that ends a candidate at once: a start that failed repeatedly, or any end of its server on trial.

    What came before the trial, or before the rollout, was of another time: pods of a revision that is retried may
    still say why it failed then.
    """
    since = _told(trial_since)
    begun = since or _told(started_at)
    # Its artifacts never change: one replica has had them, so a store that is away is what keeps them from another.
    fetched = health.ready > 0 or trial_since is not None
    for failure in health.failures:
        on_trial = since is not None and failure.at is not None and failure.at >= since
        if on_trial and failure.reason is Reason.LOAD_FAILED:
            # The pod cannot tell a model that fell from one that never stood; the step that runs can.
            return replace(failure, reason=Reason.CRASHED)
        old = failure.at is not None and begun is not None and failure.at < begun
        if failure.hopeless and not old and not (fetched and failure.reason is Reason.DOWNLOAD_FAILED):
            return failure
    return None


def _told(moment: datetime | None) -> datetime | None:
    """A moment as the kubelet writes it: in whole seconds."""
    return None if moment is None else moment.replace(microsecond=0)


def overdue(health: Health, deadline: str) -> Failure:
    """What is said of a revision that was not ready in time."""
    told = f"not ready within {deadline}"
    if health.failures:
        return Failure(health.failures[0].reason, f"{told}: {health.failures[0].message}")
    return Failure(Reason.STARTUP_DEADLINE_EXCEEDED, told + (f": {NO_POD}" if health.without_pods else ""))


def trouble(health: Health) -> Failure | None:
    """What keeps the revision from becoming ready, as far as its pods know."""
    return health.failures[0] if health.failures else None
