"""How many replicas all the traffic needs, where autoscalers find that, and how many of them the candidate shall have.

While a rollout runs neither revision has all the traffic, and both keep replicas beyond what they need. What an
autoscaler has given one of them beyond that is for its share.
"""

from __future__ import annotations

import math
from datetime import datetime

from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import Revision
from serin.api.status import RolloutStatus
from serin.rollout.aim import replicas_for
from serin.rollout.course import ALL
from serin.rollout.course import crowd
from serin.rollout.observed import Observed


def size(
    rollout: RolloutStatus,
    candidate: Revision,
    stable: Revision | None,
    observed: Observed,
    spec: ModelDeploymentSpec,
    now: datetime,
) -> tuple[RolloutStatus, Revision]:
    """Rollout and candidate with what is needed now. With less traffic a revision shrinks, so the most counts."""
    if stable is None or spec.serving.most_replicas == spec.serving.min_replicas:
        return rollout, candidate
    # One that got everything only moments ago may have lost some of what it shall keep for that, and one that had a
    # fixed number until now some of that.
    base = stable.replicas if rollout.base is None else rollout.base
    kept, ready = (base, stable.floor), observed.serving.health(stable.revision).ready
    shown = _shown(rollout, candidate, stable, observed, spec)
    most = max(number for number in (ready, *kept, shown) if number is not None)
    if most != rollout.base:
        # More are asked for only now: their startup deadline begins.
        rollout = rollout.model_copy(update={"base": most, "waiting_since": None})
    # Never fewer again in this rollout: what it has beyond that is its autoscaler's, and not left from before.
    return rollout, candidate.model_copy(update={"floor": replicas_for(spec, candidate, rollout, now)})


def _shown(
    rollout: RolloutStatus, candidate: Revision, stable: Revision, observed: Observed, spec: ModelDeploymentSpec
) -> int | None:
    """Replicas for everything, from those for the larger share, where one more or less counts least."""
    if rollout.step_started_at is None:
        return None
    serving, to_candidate, to_stable = observed.serving, rollout.weight + (rollout.mirror or 0), ALL - rollout.weight
    if to_candidate >= to_stable:
        share, ready, asked = to_candidate, serving.health(candidate.revision).ready, candidate.replicas
    else:
        share, ready, asked = to_stable, serving.health(stable.revision).ready, crowd(spec, rollout.base)
    return min(math.ceil(ready * ALL / share), spec.serving.most_replicas) if ready > asked else None
