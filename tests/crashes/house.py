"""What all runs share: a control plane with KServe, played kubelets and gateway, a registry, and our own eyes."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.kube import Kube
from e2e.cluster.controlplane import ControlPlane
from tests.crashes.process import Zygote
from tests.crashes.proxy import Upstream
from tests.crashes.view import View
from tests.integration.model_registry import ModelRegistry
from tests.integration.played import Played
from tests.integration.rbac import OPERATOR

MODEL = "fraud-detector"
VERSIONS = (1, 2, 3)


@dataclass
class House:
    """What a scene is set in."""

    kube: Kube
    view: View
    upstream: Upstream
    stage: Played
    zygote: Zygote
    registry_url: str
    folder: Path
    """Logs of operators."""
    mutant: str = ""
    """``module:function`` that spoils every operator before it starts."""


@contextlib.asynccontextmanager
async def furnished(plane: ControlPlane, stage: Played, folder: Path, mutant: str = "") -> AsyncIterator[House]:
    """On a control plane that has our CRDs and permissions, and KServe.

    Args:
        stage: plays on that control plane already. There is one: two would not agree on what a pod does.
    """
    plane.user(OPERATOR)
    models = ModelRegistry()
    for version in VERSIONS:
        models.add(MODEL, version)
    async with contextlib.AsyncExitStack() as undo:
        await models.start()
        undo.push_async_callback(models.stop)
        zygote = Zygote(folder / "zygote.log")
        undo.callback(zygote.stop)
        kube = await undo.enter_async_context(Kube(plane.url, plane.pki))
        view = await undo.enter_async_context(View(kube))
        session = await undo.enter_async_context(_session(plane.pki, f"user-{OPERATOR}"))
        yield House(kube, view, Upstream(plane.url, session), stage, zygote, models.url, folder, mutant)


def _session(pki: Path, client: str) -> aiohttp.ClientSession:
    """To the API server as the operator's own user: what it may not do, it may not do here."""
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0),
        timeout=aiohttp.ClientTimeout(total=None, connect=30),
        headers={"Accept-Encoding": "identity"},
        read_bufsize=1 << 21,
    )
