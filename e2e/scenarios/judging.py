"""Rollouts that are judged often, and what their checks say."""

from e2e.stack.kubectl import Object
from e2e.watching import Seen

SCRAPE_SECONDS = 5.0
"""How often Prometheus asks a pod."""
EVERY_SECONDS = 5.0
ERRORS: Object = {"name": "errors", "measure": "ErrorRate", "notWorseThanStable": {}}


def judged(*checks: Object, least: int = 60, **rollout: object) -> Object:
    """A rollout that is judged often."""
    return {"analysis": {"every": f"{EVERY_SECONDS:.0f}s", "minRequests": least, "checks": list(checks)}, **rollout}


def verdicts(seen: Seen) -> dict[str, str]:
    """What each check says."""
    return {one["check"]: one["verdict"] for one in seen.status.get("analysis") or []}
