"""A namespace for one scenario, and the ModelDeployments in it with what a scenario does to them and asks of them."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from e2e import scientist
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
_CLI = (sys.executable, "-c", "import sys; from serin.cli.app import main; sys.argv[0] = 'serin'; main()")
_OPERATOR = Path(__file__).parents[2] / "operator"


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
            scientist.move_alias(self.world.kubectl, MODEL, self.alias(name), alias)
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
        scientist.move_alias(self.world.kubectl, MODEL, f"{self.namespace}-{self.name}", version)

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

    def serin(self, verb: str, *options: str) -> str:
        """What the command line says about it, in lines as wide as they want to be."""
        argv = [
            *_CLI,
            verb,
            self.name,
            "-n",
            self.namespace,
            f"--kubeconfig={self.world.cluster.kubeconfig()}",
            *options,
        ]
        environment = {**os.environ, "PYTHONPATH": str(_OPERATOR), "COLUMNS": "1000"}
        done = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"serin {verb}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

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

    def columns(self) -> dict[str, str]:
        """What `kubectl get modeldeployments` shows of it, by the columns' titles."""
        table = self.world.kubectl.run("get", _KIND, self.name, "-n", self.namespace)
        titles, line = table.splitlines()
        # Cells may be empty, or have spaces in them: they begin where their title does.
        starts = [found.start() for found in re.finditer(r"\S+", titles)]
        ends = [*starts[1:], None]
        return {titles[one:end].strip(): line[one:end].strip() for one, end in zip(starts, ends, strict=True)}

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
