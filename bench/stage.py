"""What every measurement stands on: a control plane with KServe, a registry, the operator, and who plays the nodes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from pathlib import Path

import yaml

from bench.kube import Json
from bench.kube import Kube
from bench.objects import BARE_NAMESPACE
from bench.objects import COPY
from bench.objects import CRDS
from bench.objects import NAMESPACE
from bench.objects import OPERATOR_NAMESPACE
from bench.objects import copied_crd
from bench.objects import deployment
from bench.objects import name_of
from bench.process import Process
from bench.registry import Registry
from bench.serin import Operator
from bench.trail import Trail
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import wait_for
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import NAMESPACE as NAMESPACE_KIND

OPERATOR_USER = "serin"
BARE_USER = "bare"
CREATED_AT_ONCE = 32
POLL_SECONDS = 0.2
SETUP_SECONDS = 60.0
# Everything here is paced by KServe's one worker and a machine of any size: only a hang may reach it.
PATIENCE_SECONDS = 3600.0


@dataclass
class Stage:
    """Everything that runs during a measurement."""

    plane: ControlPlane
    kube: Kube
    trail: Trail
    registry: Registry
    operator: Operator
    played: Process
    objects: int = 0
    healthy: dict[str, bool] = field(default_factory=dict)
    """By ModelDeployment: whether its status says Healthy of its last generation."""

    async def create(self, count: int) -> float:
        """Create ModelDeployments until there are ``count``, as fast as the API server takes them; seconds it took."""
        began = time.monotonic()
        slots = asyncio.Semaphore(CREATED_AT_ONCE)

        async def one(index: int) -> None:
            async with slots:
                await self.kube.create(MODEL_DEPLOYMENT, NAMESPACE, deployment(index))

        new = range(self.objects, count)
        self.registry.champions.update((name_of(index), 1) for index in new)
        await asyncio.gather(*(one(index) for index in new))
        self.objects = count
        return time.monotonic() - began

    async def settled(self) -> None:
        """Wait until every ModelDeployment is Healthy."""
        await self.until(lambda: len(self.healthy) == self.objects and all(self.healthy.values()), "all are Healthy")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for a condition, complaining when a program ended meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            self.plane.leash.check()
            for process in (self.operator.process, self.played):
                process.check()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{what}: not within {PATIENCE_SECONDS:.0f} s ({sum(self.healthy.values())} Healthy)"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def follow(self) -> None:
        """Keep ``healthy`` as the API server has it, for ever."""
        async for event, body in self.kube.follow(MODEL_DEPLOYMENT):
            if event != "DELETED":
                self.healthy[body["metadata"]["name"]] = _is_healthy(body)


def _is_healthy(body: Json) -> bool:
    status = body.get("status") or {}
    return status.get("phase") == "Healthy" and status.get("observedGeneration") == body["metadata"]["generation"]


@contextlib.asynccontextmanager
async def staged(plane: ControlPlane, **settings: str) -> AsyncIterator[Stage]:
    """The stage on a control plane that was prepared, with no ModelDeployment yet; ``settings`` are the operator's."""
    plane.user(BARE_USER, "system:masters")
    kubeconfig = plane.user(OPERATOR_USER, "system:masters")
    async with contextlib.AsyncExitStack() as undo:
        kube = await undo.enter_async_context(Kube(plane.url, plane.pki))
        registry = Registry()
        await registry.start()
        undo.push_async_callback(registry.stop)
        declared = {"metadata": {"name": "default"}, "spec": {"url": registry.url}}
        await kube.create(MODEL_REGISTRY, OPERATOR_NAMESPACE, declared)
        operator = Operator(kubeconfig, plane.folder, **settings)
        # A restart makes another process: the one to end is the last.
        undo.callback(lambda: operator.process.stop())
        played = Process("bench.played", [plane.url, str(plane.pki)], plane.folder / "played.log", {})
        undo.callback(played.stop)
        stage = Stage(plane, kube, Trail(plane.folder / "audit.log"), registry, operator, played)
        watching = asyncio.create_task(stage.follow())
        undo.callback(watching.cancel)
        await operator.ready()
        yield stage


def prepare(plane: ControlPlane) -> None:
    """The CRDs, and the namespaces with what the admission of pods wants there."""
    for crd in (*(_read(path) for path in sorted(CRDS.glob("*.yaml"))), copied_crd()):
        plane.api.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}", crd)
    for kind in (MODEL_DEPLOYMENT, MODEL_REGISTRY, COPY):
        wait_for(kind.plural, partial(plane.api.missing, kind.path(None)), SETUP_SECONDS)
    for name in (NAMESPACE, OPERATOR_NAMESPACE, BARE_NAMESPACE):
        path = NAMESPACE_KIND.path(None, name)
        plane.api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        wait_for(name, partial(plane.api.missing, f"{path}/serviceaccounts/default"), SETUP_SECONDS)


def _read(path: Path) -> Json:
    crd: Json = yaml.load(path.read_text(), yaml.CSafeLoader)
    return crd
