"""What must be true of every run, whatever went wrong in it, beside that its end is that of a run without a fault."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.quantities import seconds
from tests.crashes.view import Change
from tests.crashes.view import Json
from tests.crashes.view import Past

SERVICE_SUFFIX = "-predictor"
# Times in the status are in milliseconds, and a clock may be read a moment before it is written.
SLACK_SECONDS = 0.002


def violations(past: Past) -> Iterator[str]:
    """Every promise that was broken at any moment."""
    alive: set[str] = set()
    rejected: set[str] = set()
    owner = ""
    weights: dict[str, int] = {}
    for change in past.ordered():
        if change.kind is MODEL_DEPLOYMENT:
            owner = "" if change.event == "DELETED" else change.body["metadata"]["uid"]
            rejected = {one["revision"] for one in (change.body.get("status") or {}).get("rejected") or ()}
        elif change.kind is INFERENCE_SERVICE:
            going = change.event == "DELETED" or "deletionTimestamp" in change.body["metadata"]
            (alive.discard if going else alive.add)(change.name)
            if going and owner == _owner(change.body) and change.name in weights:
                yield f"{change.name} was removed while the route named it"
                weights.pop(change.name)
        elif change.kind is HTTP_ROUTE and owner == _owner(change.body):
            if change.event == "DELETED":
                weights = {}
                yield "the route was deleted"
                continue
            before, weights = weights, _weights(change.body)
            if before != weights:
                yield from _of_route(weights, alive, rejected)


def _of_route(weights: dict[str, int], alive: set[str], rejected: set[str]) -> Iterator[str]:
    if weights.keys() - alive:
        yield f"a route named {sorted(weights.keys() - alive)}, of which there is no InferenceService"
    if any(weights.get(revision) for revision in rejected):
        yield f"a route gave weight to a rejected revision: {weights}"
    if sum(weights.values()) != 100:
        yield f"weights of a route were {weights}"


def course(past: Past) -> list[str]:
    """Who got requests by the route, one state after the other. Who is only named may come and go earlier or later."""
    said: list[str] = []
    for change in past.ordered():
        if change.kind is HTTP_ROUTE and change.event != "DELETED":
            named = sorted(_weights(change.body).items())
            text = " + ".join(f"{_version(name)} {weight} %" for name, weight in named if weight)
            if not said or said[-1] != text:
                said.append(text)
    return said


def clocks(past: Past) -> Iterator[str]:
    """Every step begins once, and lasts as long as it is to hold."""
    began: dict[tuple[str, int], tuple[str, float, str]] = {}
    for change in past.ordered():
        rollout = _rollout(change)
        if rollout is None or not rollout.get("stepStartedAt"):
            continue
        candidate, step = change.body["status"]["candidate"]["revision"], rollout["step"]
        started = rollout["stepStartedAt"]
        key = (f"{candidate} since {rollout['startedAt']}", step)
        if key in began and began[key][0] != started:
            yield f"step {step} of {candidate} began twice: {began[key][0]} and {started}"
        before = began.get((key[0], step - 1))
        if key not in began and before is not None and _instant(started) - before[1] < seconds(before[2]):
            yield f"step {step - 1} of {candidate} was to hold {before[2]}: {before[0]} to {started}"
        plan = rollout.get("plan") or rollout.get("course", {}).get("steps") or ()
        hold = plan[step - 1]["hold"] if 0 < step <= len(plan) else "0s"
        began[key] = (started, _instant(started) - SLACK_SECONDS, hold)


def broken(log: Path) -> list[str]:
    """What the operator itself calls a bug."""
    return [line[:2000] for line in log.read_text().splitlines() if "this is a bug" in line or "Traceback" in line][:3]


def _rollout(change: Change) -> Json | None:
    if change.kind is not MODEL_DEPLOYMENT or change.event == "DELETED":
        return None
    found: Json | None = (change.body.get("status") or {}).get("rollout")
    return found


def _owner(body: Json) -> str:
    return next((str(one["uid"]) for one in body["metadata"].get("ownerReferences") or () if one.get("controller")), "")


def _weights(route: Json) -> dict[str, int]:
    return {
        one["name"].removesuffix(SERVICE_SUFFIX): one.get("weight", 1)
        for rule in route["spec"].get("rules") or ()
        for one in rule.get("backendRefs") or ()
    }


def _version(revision: str) -> str:
    """Of ``fraud-v13-1a2b3c4d`` the ``v13``."""
    return revision.split("-")[-2]


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
