"""What a played gateway says to a route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.integration.pods import now

Json = dict[str, Any]


@dataclass(frozen=True)
class Gateway:
    """Accepts routes, refuses them, or says nothing."""

    refusal: str | None = None
    silent: bool = False

    def answer(self, route: Json) -> Json | None:
        """The status of the route, or None where it has been told that already."""
        if self.silent:
            return None
        generation = route["metadata"]["generation"]
        conditions = [
            ("Accepted", "NotAllowedByListeners" if self.refusal else "Accepted", self.refusal),
            ("ResolvedRefs", "ResolvedRefs", None),
        ]
        told = [
            {
                "type": kind,
                "status": "False" if refusal else "True",
                "reason": reason,
                "message": refusal or "",
                "observedGeneration": generation,
            }
            for kind, reason, refusal in conditions
        ]
        before = (route.get("status") or {}).get("parents") or []
        known = [
            [{key: one[key] for key in one if key != "lastTransitionTime"} for one in parent["conditions"]]
            for parent in before
        ]
        parents = route["spec"]["parentRefs"]
        if len(known) == len(parents) and all(sorted(one, key=_type) == sorted(told, key=_type) for one in known):
            return None
        timed = [{**one, "lastTransitionTime": now()} for one in told]
        return {
            "parents": [
                {"parentRef": parent, "controllerName": "example.com/played", "conditions": timed} for parent in parents
            ]
        }


ACCEPTING = Gateway()


def _type(condition: Json) -> str:
    return str(condition["type"])
