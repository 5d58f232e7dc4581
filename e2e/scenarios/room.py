"""A namespace for one scenario, and the ModelDeployments in it with what a scenario does to them and asks of them."""

import json
import time
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from e2e import aliases
from e2e.demo.claims import MARGIN_AFTER
from e2e.demo.claims import MARGIN_BEFORE
from e2e.scenarios.world import MARK
from e2e.scenarios.world import MODEL
from e2e.scenarios.world import World
from e2e.serin import DOMAIN
from e2e.shares import Share
from e2e.stack import registry
from e2e.stack.kubectl import Object
from e2e.traffic import Endpoint
from e2e.traffic import Traffic
from e2e.traffic import by_version
from e2e.watching import Seen
from e2e.watching import Step
from e2e.watching import Watch

READY_SECONDS = 180.0
_RESOURCES = {"requests": {"cpu": "50m", "memory": "384Mi"}, "limits": {"memory": "1Gi"}}
_KIND = "modeldeployments.serin.dev"


@dataclass
class Room:
    """A namespace."""

    world: World
    namespace: str
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        registry.model_namespace(self.world.kubectl, self.namespace)
        self.world.kubectl.run("label", "namespace", self.namespace, f"{MARK}=true")

    def close(self) -> None:
        """End the watches and delete the namespace, without waiting for it."""
        self._open.close()
        self.world.kubectl.run("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    def deployment(self, name: str = "ping", **choices: Any) -> "Deployment":
        """Apply a ModelDeployment."""
        alias = choices.pop("alias", None)
        if alias is not None:
            aliases.move(self.world.kubectl, MODEL, self.alias(name), alias)
            choices["model"] = {"name": MODEL, "alias": self.alias(name)}
        manifest = manifest_of(self.namespace, name, **choices)
        self.world.kubectl.apply([manifest])
        watch = self._open.enter_context(Watch(self.world.kubectl, self.namespace, name))
        return Deployment(self.world, self.namespace, name, watch, manifest)

    def alias(self, name: str) -> str:
        """The alias that a ModelDeployment of this room follows: nobody else's."""
        return f"{self.namespace}-{name}"


def manifest_of(
    namespace: str,
    name: str,
    *,
    version: int | None = None,
    model: Object | None = None,
    steps: Sequence[tuple[int, str] | Object] = (),
    keep_previous: str = "5s",
    rollout: Object | None = None,
    **serving: Any,
) -> Object:
    """A ModelDeployment that hurries, with whatever else `serving` and `rollout` say."""
    written = [step if isinstance(step, dict) else {"weight": step[0], "hold": step[1]} for step in steps]
    return {
        "apiVersion": "serin.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": model or {"name": MODEL, "version": version},
            "serving": {"serviceAccountName": registry.SERVICE_ACCOUNT, "resources": _RESOURCES, **serving},
            "traffic": {"timeout": "5s"},
            "rollout": {
                "steps": written,
                "readiness": {"stableFor": "1s"},
                "keepPrevious": keep_previous,
                **(rollout or {}),
            },
        },
    }


@dataclass
class Deployment:
    """One ModelDeployment."""

    world: World
    namespace: str
    name: str
    watch: Watch
    manifest: Object

    @property
    def endpoint(self) -> Endpoint:
        """Where it is served."""
        return Endpoint(self.world.cluster.gateway(), f"{self.name}.{self.namespace}.{DOMAIN}", self.name)

    def traffic(self, rate: float = 40.0) -> Traffic:
        """A stream of requests, not started yet, to a route that works."""
        self.endpoint.wait()
        return Traffic(self.endpoint, rate=rate)

    # -- what is done to it

    def move_alias(self, version: int) -> None:
        """Let its alias point at another version."""
        aliases.move(self.world.kubectl, MODEL, f"{self.namespace}-{self.name}", version)

    def edit(self, **serving: Any) -> None:
        """Change fields of spec.serving."""
        self.merge({"spec": {"serving": serving}})

    def merge(self, patch: Object) -> None:
        """Change anything of it."""
        self.patch(_KIND, self.name, patch)

    def order(self, verb: str, revision: str) -> float:
        """Annotate it as a person would; the moment of it (unix time)."""
        moment = time.time()
        self._run("annotate", _KIND, self.name, "--overwrite", f"serin.dev/{verb}={revision}#scenario/{moment}")
        return moment

    def handled(self, verb: str, since: float) -> Object:
        """Wait until an order that was given since then is handled; what became of it."""

        def told(seen: Seen) -> Object | None:
            entry: Object | None = (seen.status.get("handled") or {}).get(verb)
            return entry if entry is not None and float(entry["value"].rpartition("/")[2]) >= since else None

        return self.watch.until(f"{verb} is handled", told, READY_SECONDS, since)

    def patch(self, kind: str, name: str, patch: Object) -> None:
        """Change another object of its namespace, as somebody's hand would."""
        self._run("patch", kind, name, "--type=merge", "-p", json.dumps(patch))

    def delete(self, kind: str, name: str, *options: str) -> None:
        """Delete an object of its namespace."""
        self._run("delete", kind, name, *options)

    def delete_itself(self, *options: str) -> None:
        """Delete the ModelDeployment."""
        self.delete(_KIND, self.name, *options)

    # -- what is asked of it

    def until(
        self, what: str, check: Callable[[Seen], object], seconds: float = READY_SECONDS, since: float = 0
    ) -> Seen:
        """Wait for a state; the first one since a moment that is so."""
        return self.watch.until(what, lambda seen: seen if check(seen) else None, seconds, since)

    def settled(self, version: int, seconds: float = READY_SECONDS, since: float = 0.0) -> Seen:
        """Wait until the version serves all, healthily."""
        return self.until(f"v{version} serves", lambda seen: seen.settled(f"v{version}"), seconds, since)

    def step(self, number: int, seconds: float = READY_SECONDS, since: float = 0.0) -> Seen:
        """Wait until a step of the rollout is established."""

        def established(seen: Seen) -> bool:
            return seen.rollout.get("step") == number and "stepStartedAt" in seen.rollout

        return self.until(f"step {number}", established, seconds, since)

    def rolled_back(self, seconds: float = READY_SECONDS, since: float = 0.0) -> Seen:
        """Wait until the candidate is given up."""
        return self.until("rolled back", lambda seen: seen.phase == "RolledBack", seconds, since)

    def get(self, kind: str, name: str) -> Object | None:
        """An object of its namespace, as it is now."""
        return self.world.kubectl.get(kind, name, self.namespace)

    def pods(self, version: str | None = None) -> list[Object]:
        """Its pods, or those of one version, without those that are going."""
        selector = f"serin.dev/modeldeployment={self.name}" + (f",serin.dev/version={version}" if version else "")
        pods = self.world.kubectl.list_all("pods", self.namespace, "-l", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def revision(self, version: str) -> str:
        """Name of the revision of a version that has a role now."""
        assert self.watch.latest is not None
        status = self.watch.latest.status
        roles = [status.get(role) or {} for role in ("stable", "candidate", "previous")]
        return next(str(role["revision"]) for role in roles if role.get("version") == version)

    def _run(self, verb: str, *arguments: str) -> None:
        self.world.kubectl.run(verb, "-n", self.namespace, *arguments)


def share_in(step: Step, traffic: Traffic) -> Share:
    """What the candidate got of the requests in a step."""
    answers = traffic.answers(step.start + MARGIN_AFTER, step.end - MARGIN_BEFORE)
    counted = by_version(answers)
    return Share(step.weight, counted.get(step.version, 0), sum(counted.values()))
