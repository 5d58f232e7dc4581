"""Ten thousand settled ModelDeployments in minutes: copies of a few that went through everything.

KServe's one worker takes an hour for so many. So the real operator, KServe and who plays the nodes settle the first;
then all of them are ended, and what the operator watches of the first is copied under other names through the API
server. Whether the copies are as good as those, the operator tells that is started on them: it writes where an object
is not as it shall be, and when it looked at all and wrote nothing, they are.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.kube import Json
from bench.objects import NAMESPACE
from bench.objects import OPERATOR_NAMESPACE
from bench.objects import follows
from bench.objects import name_of
from bench.stage import CREATED_AT_ONCE
from bench.stage import Stage
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import MODEL_DEPLOYMENT
from serin.api.kinds import MODEL_REGISTRY
from serin.api.kinds import Kind
from serin.api.modeldeployment import ModelDeploymentSpec
from serin.api.status import Resolved
from serin.controller.handlers import CHILDREN
from serin.rollout.revision import revision_name

ORIGINALS = 2
"""One that names a version and one that follows an alias."""
REACTING = ("kserve-manager", "kube-controller-manager")
WEBHOOKS = tuple(
    Kind("admissionregistration.k8s.io", "v1", f"{what}WebhookConfiguration", f"{what.lower()}webhookconfigurations")
    for what in ("Mutating", "Validating")
)
KEPT = ("name", "namespace", "labels", "annotations", "ownerReferences", "finalizers", "generateName")
"""What of the metadata is not the API server's own."""


@dataclass(frozen=True, slots=True)
class Part:
    """One object of a settled ModelDeployment, as it is written for a copy. Texts are JSON."""

    kind: Kind
    uid: str
    body: str
    manager: str
    """Who owns its spec: the operator takes what others own for a change by hand."""
    status: str
    teller: str
    """Who owns its status."""


@dataclass(frozen=True, slots=True)
class Original:
    """A settled ModelDeployment with all that the operator watches of it, owners first."""

    name: str
    revision: str
    parts: tuple[Part, ...]

    def revision_of(self, name: str) -> str:
        """The revision of a copy: its name tells what the pods are made of, and with that of which model."""
        parent = self.parts[0]
        words = {self.name: name}
        spec = json.loads(_replaced(parent.body, words))["spec"]
        resolved = json.loads(_replaced(parent.status, words))["resolved"]
        serving = ModelDeploymentSpec.model_validate(spec).serving
        return str(revision_name(name, NAMESPACE, Resolved.model_validate(resolved), serving))


async def freeze(stage: Stage) -> tuple[Original, ...]:
    """Read what is settled, and end all who would do something about a copy."""
    for process in (stage.operator.process, stage.played):
        await asyncio.to_thread(process.stop)
    for program in REACTING:
        await asyncio.to_thread(stage.plane.end, program)
    for kind in WEBHOOKS:
        for webhook in (await stage.kube.list(kind))[0]:
            await stage.kube.delete(kind, None, webhook["metadata"]["name"])
    bodies = [(MODEL_DEPLOYMENT, body) for body in (await stage.kube.list(MODEL_DEPLOYMENT))[0]]
    for kind in CHILDREN:
        bodies += [(kind, body) for body in (await stage.kube.list(kind, DEPLOYMENT_LABEL))[0]]
    return tuple(_original(name_of(index), bodies) for index in range(stage.objects))


async def copy(stage: Stage, originals: tuple[Original, ...], count: int) -> float:
    """Copy until there are ``count`` ModelDeployments, each original as often; seconds it took."""
    began = time.monotonic()
    slots = asyncio.Semaphore(CREATED_AT_ONCE)

    async def one(index: int) -> None:
        async with slots:
            await _copy(stage, originals[index % len(originals)], name_of(index))

    new = range(stage.objects, count)
    stage.registry.champions.update((name_of(index), 1) for index in new)
    async with asyncio.TaskGroup() as group:
        for index in new:
            group.create_task(one(index))
    stage.objects = count
    # What the operator would have told of its registry by now.
    followed = sum(follows(index) for index in range(count))
    status = {"status": {"modelsFollowed": followed}}
    await stage.kube.patch(MODEL_REGISTRY, OPERATOR_NAMESPACE, "default", status, "status")
    # Not what was sent but what the API server has.
    await stage.settled()
    return time.monotonic() - began


async def _copy(stage: Stage, original: Original, name: str) -> None:
    # The revision first: it begins with the name.
    words = {original.revision: original.revision_of(name), original.name: name}
    for part in original.parts:
        body = json.loads(_replaced(part.body, words))
        created = await stage.kube.create(part.kind, NAMESPACE, body, part.manager)
        metadata = created["metadata"]
        words[part.uid] = metadata["uid"]
        status = json.loads(_replaced(part.status, words))
        if status:
            await stage.kube.patch(
                part.kind, NAMESPACE, metadata["name"], {"status": status}, "status", manager=part.teller
            )


def _original(name: str, bodies: list[tuple[Kind, Json]]) -> Original:
    mine = [(kind, body) for kind, body in bodies if _belongs(kind, body["metadata"], name)]
    revision = mine[0][1]["status"]["stable"]["revision"]
    original = Original(name, revision, tuple(_part(kind, body) for kind, body in mine))
    if original.revision_of(name) != revision:
        raise RuntimeError(f"{name} has the revision {revision}, a copy would have {original.revision_of(name)}")
    return original


def _belongs(kind: Kind, metadata: Json, name: str) -> bool:
    return bool(name == (metadata["name"] if kind is MODEL_DEPLOYMENT else metadata["labels"][DEPLOYMENT_LABEL]))


def _part(kind: Kind, body: Json) -> Part:
    metadata = body["metadata"]
    content = {name: value for name, value in body.items() if name not in ("metadata", "status")}
    created = {**content, "metadata": {name: metadata[name] for name in KEPT if name in metadata}}
    status = _of_the_first(body.get("status") or {}, metadata.get("generation"))
    return Part(
        kind=kind,
        uid=metadata["uid"],
        body=json.dumps(created),
        manager=next(_managers(metadata, "f:spec", None)),
        status=json.dumps(status),
        teller=next(_managers(metadata, "f:status", "status"), ""),
    )


def _managers(metadata: Json, field: str, subresource: str | None) -> Iterator[str]:
    """Who owns something of that field."""
    for entry in metadata["managedFields"]:
        if entry.get("subresource") == subresource and field in entry["fieldsV1"]:
            yield entry["manager"]


def _of_the_first(told: Any, generation: int | None) -> Any:
    """The same status, told of a first generation where it was told of the last one."""
    if isinstance(told, list):
        return [_of_the_first(one, generation) for one in told]
    if isinstance(told, dict):
        return {
            name: 1 if name == "observedGeneration" and one == generation else _of_the_first(one, generation)
            for name, one in told.items()
        }
    return told


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text
