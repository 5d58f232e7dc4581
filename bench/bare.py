"""The other contestant: ``python -m bench.bare URL PKI REGISTRY INTERVAL`` watches, polls, and writes. No logic.

It gets the same events of objects of the same size, and creates the same InferenceService, through the same aiohttp;
what it does not do is everything else: cache, queue, gather, decide, compare. Its kind is a copy of ModelDeployment in
a group of its own and its InferenceServices carry no label of ours, so neither contestant gets events of the other.
It creates with POST as the operator does, not by server-side apply, which costs the API server more: the ratio would
flatter us.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from bench.kube import Json
from bench.kube import Kube
from bench.objects import BARE_NAMESPACE
from bench.objects import COPY
from bench.objects import bare_service
from serin.api.kinds import INFERENCE_SERVICE


async def _write(kube: Kube, owner: Json, version: str, change: str) -> None:
    name = f"{owner['name']}-v{version}-{change}"
    await kube.create(INFERENCE_SERVICE, BARE_NAMESPACE, bare_service(owner, name, version, change))


async def _watch(kube: Kube, owners: dict[str, Json], group: asyncio.TaskGroup) -> None:
    async for event, body in kube.follow(COPY):
        metadata = body["metadata"]
        owners[metadata["name"]] = metadata
        if event == "MODIFIED":
            version = str(body["spec"]["model"].get("version", 1))
            group.create_task(_write(kube, metadata, version, str(metadata["generation"])))


async def _poll(kube: Kube, owners: dict[str, Json], url: str, interval: float, group: asyncio.TaskGroup) -> None:
    known: dict[str, str] = {}
    path = f"{url}/api/2.0/mlflow/registered-models/search"
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(path, params={"max_results": "1000"}) as response:
                page = await response.json()
            for model in page["registered_models"]:
                name, version = model["name"], model["aliases"][0]["version"]
                if known.get(name, version) != version and name in owners:
                    group.create_task(_write(kube, owners[name], version, "alias"))
                known[name] = version
            await asyncio.sleep(interval)


async def main(url: str, pki: Path, registry: str, interval: float) -> None:
    """Run until killed."""
    owners: dict[str, Json] = {}
    async with Kube(url, pki, "user-bare") as kube, asyncio.TaskGroup() as group:
        group.create_task(_watch(kube, owners, group))
        group.create_task(_poll(kube, owners, registry, interval, group))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
