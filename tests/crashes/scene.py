"""What a workload works with: one ModelDeployment in a namespace of its own, and an operator that is started again
whenever it was killed."""

from __future__ import annotations

import asyncio
import json
import random
import string
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from serin.api.group import GROUP
from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from tests.crashes.faults import Fault
from tests.crashes.house import House
from tests.crashes.process import Process
from tests.crashes.proxy import Moment
from tests.crashes.proxy import Proxy
from tests.crashes.view import Past
from tests.integration.pods import Act

Json = dict[str, Any]
Steps = Sequence[Json]

NAME = "fraud"
MODEL = "fraud-detector"
RESTART_SECONDS = 0.2
# From the status to the event that tells of it, and no timer of a prepared scene is shorter.
CALM_SECONDS = 0.3


class Scene:
    """One run's namespace. ``begin`` arms the fault that the run is for."""

    def __init__(self, house: House, fault: Fault, moment: Moment) -> None:
        self.namespace = "run-" + "".join(random.choices(string.ascii_lowercase, k=8))  # noqa: S311 (a name)
        self.fault = fault
        self.begun_at = 0
        """Version of the last change before the workload began."""
        self.exits = 0
        """How often the operator ended by itself."""
        self.starts = 0
        self.cpu = 0.0
        self.log = house.folder / f"{self.namespace}.log"
        self._house = house
        self._moment = moment
        self._process: Process | None = None
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None
        self.patience = fault.patience
        self.proxy = Proxy(house.upstream, self.namespace, self.kill)
        self.past: Past = house.view.of(self.namespace)

    async def open(self) -> None:
        """The namespace, its registry, and an operator that starts."""
        url = await self.proxy.start()
        self._kubeconfig = self._house.folder / f"{self.namespace}.kubeconfig"
        self._kubeconfig.write_text(json.dumps(_kubeconfig(url)))
        kube = self._house.kube
        await kube.create(NAMESPACE, None, {"metadata": {"name": self.namespace}})
        spec = {"url": self._house.registry_url, "pollInterval": "10m"}
        await kube.create(MODEL_REGISTRY, self.namespace, {"metadata": {"name": "default"}, "spec": spec})
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """The operator ends; the garbage collector does the rest beside the next run."""
        self._closing = True
        if self._keeper is not None:
            self._keeper.cancel()
        await self.kill()
        await self.proxy.stop()
        if self.past.get(MODEL_DEPLOYMENT, NAME) is not None:
            await self._delete(MODEL_DEPLOYMENT, NAME)
        self._kubeconfig.unlink()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is dead. It is started again by itself."""
        if self._process is not None and not self._process.ended.is_set():
            self.cpu += self._process.cpu_seconds()
            self._killed = True
            self._process.kill()
            await self._process.ended.wait()

    async def begin(self) -> None:
        """The workload begins, once nothing of its preparation is left to be written."""
        await self.calm(CALM_SECONDS)
        if self.fault.stale:
            await self.proxy.remember(
                [f"{kind.path(None)}" for kind in (MODEL_DEPLOYMENT, INFERENCE_SERVICE, HTTP_ROUTE, WORKLOAD, POD)]
            )
        self.begun_at = self.past.latest()
        self.proxy.arm(self.fault, self._moment)
        if self.fault.restarts:
            await self.kill()

    async def calm(self, seconds: float) -> None:
        """Wait until nothing was written for so long."""
        loop = asyncio.get_running_loop()
        seen, since = self.past.latest(), loop.time()
        while (left := max(since, self.proxy.touched) + seconds - loop.time()) > 0:
            await asyncio.sleep(left)
            if self.past.latest() != seen:
                seen, since = self.past.latest(), loop.time()

    async def serve(self, version: int, *, steps: Steps, keep: str = "0s") -> None:
        """A ModelDeployment that serves this version, with nothing under way."""
        await self.deploy(version, steps=steps, keep=keep)
        await self.healthy(version)

    async def deploy(self, version: int, *, steps: Steps = (), keep: str = "0s") -> None:
        """Create the ModelDeployment. ``keep``: how long a revision stays after the next one was promoted."""
        spec = {
            "model": {"name": MODEL, "version": version},
            "traffic": {"gateways": [{"name": "public", "namespace": "gateways"}], "timeout": "100ms"},
            "rollout": {"steps": list(steps), "readiness": {"stableFor": "0s"}, "keepPrevious": keep},
        }
        body = {"metadata": {"name": NAME, "namespace": self.namespace}, "spec": spec}
        await self._house.kube.create(MODEL_DEPLOYMENT, self.namespace, body)

    async def declare(self, version: int, *, steps: Steps | None = None) -> None:
        """Declare another version."""
        spec: Json = {"model": {"version": version}}
        if steps is not None:
            spec["rollout"] = {"steps": list(steps)}
        await self._house.kube.patch(MODEL_DEPLOYMENT, self.namespace, NAME, {"spec": spec})

    async def order(self, verb: str, role: str) -> None:
        """Give an order for the revision that has a role, as the command line does."""
        body = self.past.get(MODEL_DEPLOYMENT, NAME) or {}
        revision = body["status"][role]["revision"]
        order = {f"{GROUP}/{verb}": f"{revision}#anna/2026-11-20T22:10:05.123Z"}
        await self._house.kube.patch(MODEL_DEPLOYMENT, self.namespace, NAME, {"metadata": {"annotations": order}})

    async def delete(self) -> None:
        """Delete the ModelDeployment."""
        await self._delete(MODEL_DEPLOYMENT, NAME)
        await self.past.until(lambda: self.past.get(MODEL_DEPLOYMENT, NAME) is None, "it is deleted", self.patience)

    async def pods(self, version: int, act: Act) -> None:
        """What the pods of a version do from now on."""
        await asyncio.to_thread(self._house.stage.pods, self.namespace, f"{NAME}-v{version}-", act)

    async def healthy(self, version: int) -> None:
        """Wait until this version has all traffic and nothing is under way."""
        await self.phase("Healthy", version)

    async def phase(self, phase: str, version: int | None = None) -> None:
        """Wait for a phase of the present generation, and for a stable version where one is named."""

        def reached(status: Json) -> bool:
            stable = (status.get("stable") or {}).get("version")
            return status.get("phase") == phase and (version is None or stable == f"v{version}")

        await self._until(reached, f"phase {phase}")

    async def step(self, step: int) -> None:
        """Wait until a step is established."""

        def reached(status: Json) -> bool:
            rollout = status.get("rollout") or {}
            return bool(rollout.get("step") == step and rollout.get("stepStartedAt"))

        await self._until(reached, f"step {step}")

    async def gone(self, version: int) -> None:
        """Wait until no InferenceService of this version is left."""

        def look() -> bool:
            services = [name for kind, name in self.past.objects if kind is INFERENCE_SERVICE]
            return not any(name.startswith(f"{NAME}-v{version}-") for name in services)

        await self.past.until(look, f"v{version} is gone", self.patience)

    async def serving(self, version: int) -> None:
        """Wait until this version is the stable one."""
        await self._until(lambda status: (status.get("stable") or {}).get("version") == f"v{version}", f"v{version}")

    async def _until(self, reached: Callable[[Json], bool], what: str) -> None:
        def look() -> bool:
            body = self.past.get(MODEL_DEPLOYMENT, NAME)
            if body is None:
                return False
            status = body.get("status") or {}
            return status.get("observedGeneration") == body["metadata"]["generation"] and bool(reached(status))

        await self.past.until(look, what, self.patience)

    async def _delete(self, kind: Kind, name: str) -> None:
        await self._house.kube.delete(kind, self.namespace, name)

    async def _keep(self) -> None:
        """Start the operator, and start it again whenever it has ended, as Kubernetes does."""
        while not self._closing:
            self._killed = False
            self.starts += 1
            self._process = self._house.zygote.fork(self._environment(), self.log, self._house.mutant)
            await self._process.ended.wait()
            if not self._killed:
                self.exits += 1
                await asyncio.sleep(RESTART_SECONDS)

    def _environment(self) -> dict[str, str]:
        settings = {
            "kubeconfig": str(self._kubeconfig),
            "namespace": self.namespace,
            "http_host": "127.0.0.1",
            "http_port": "0",
            "proxy_lag_seconds": "0",
            **dict(self.fault.settings),
        }
        return {f"SERIN_{name.upper()}": value for name, value in settings.items()}


def _kubeconfig(url: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": url}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        "current-context": "proxy",
    }
