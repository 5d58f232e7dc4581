"""Giving a candidate up: at once, or as soon as somebody is ready who can take its requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from serin.api.reasons import Reason
from serin.rollout.memory import Memory
from serin.rollout.observed import Observed
from serin.rollout.pause import pause


def stranded(memory: Memory, observed: Observed) -> bool:
    """Whether requests go to the candidate that the stable revision could not answer: none of its replicas is ready."""
    stable, candidate, serving = memory.stable, memory.candidate, observed.serving
    if stable is None or candidate is None:
        return False
    return serving.health(stable.revision).ready == 0 and candidate.revision in serving.route.shares


def give_up(memory: Memory, observed: Observed, reason: Reason, message: str, now: datetime) -> Memory:
    """The candidate failed, and is rejected. Where that would take its requests to where nobody answers, it stays as it
    is until the stable revision is ready again, or a person decides: what is bad is better than nothing."""
    rollout = memory.rollout
    if rollout is None or (rollout.paused is not None and rollout.paused.failed is not None):
        return memory
    if not stranded(memory, observed):
        return memory.reject(reason, message, observed.serving.route, now)
    return replace(memory, rollout=pause(rollout, Reason.STABLE_UNAVAILABLE, message, now, failed=reason))


def make_good(memory: Memory, observed: Observed, now: datetime) -> Memory:
    """Reject the candidate for what was put off, now that the stable revision is ready again."""
    rollout, stable = memory.rollout, memory.stable
    if rollout is None or stable is None or rollout.paused is None or rollout.paused.failed is None:
        return memory
    if observed.serving.health(stable.revision).ready == 0:
        return memory
    return memory.reject(rollout.paused.failed, rollout.paused.message, observed.serving.route, now)
