"""RolloutPolicy: a way to roll out that the platform team names once and ModelDeployments use.

It counts in the operator's own namespace. A running rollout goes on by what it started with when its policy changes.
"""

from __future__ import annotations

from serin.api.rollout import Rollout

DEFAULT_POLICY = "default"
"""Name of the policy of ModelDeployments that say nothing about their rollout."""


class RolloutPolicySpec(Rollout):
    """How new revisions take over in the ModelDeployments that name this policy."""
