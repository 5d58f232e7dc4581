"""Carrying out a plan: every write to children, in the order that keeps requests answered.

The route first: it takes traffic from a failing revision, and it only ever names revisions that were ready. Then what
must exist, each revision with its size, the stable one first. What may go goes last, when the status has told why: a
failed candidate that is gone before it is remembered as rejected would be made again. Each write is one that
:mod:`serin.serving.compare` found missing, so a plan that is carried out already costs nothing, and a crash between two
writes is repaired by doing it again. What is refused keeps nothing else from being written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from datetime import timedelta

import structlog

from serin.api.kinds import HTTP_ROUTE
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.cluster.client import CONFLICT
from serin.cluster.client import NOT_FOUND
from serin.cluster.client import Client
from serin.cluster.client import Json
from serin.controller.cache import Children
from serin.controller.fights import Fights
from serin.controller.holders import Holders
from serin.controller.queue import Key
from serin.controller.refusals import Blocked
from serin.controller.refusals import contested
from serin.controller.refusals import going
from serin.controller.refusals import told
from serin.errors import ClusterError
from serin.rollout.decision import ServingPlan
from serin.serving.backend import Backend
from serin.serving.backend import LiveObjects
from serin.serving.backend import Manifest
from serin.serving.backend import Scale
from serin.serving.compare import difference
from serin.serving.gateway import moved
from serin.serving.live import Live
from serin.serving.live import live

log = structlog.get_logger(__name__)

# What passes before is not worth a word.
SILENCE = timedelta(minutes=1)
# An API server that leaves so many writes without an answer is away: each of them was waited for.
AWAY = 2


@dataclass(frozen=True, slots=True)
class Done:
    """What was written."""

    route: bool = False
    others: int = 0
    waits: bool = False
    """Something is still to be made, when something else is gone."""


class Performer:
    """Carries plans out."""

    def __init__(self, client: Client, children: Children, backend: Backend) -> None:
        self._client = client
        self._children = children
        self._backend = backend
        self._holders = Holders(client, children)
        self._fights = Fights()
        self._silent: dict[Key, datetime] = {}
        """Since when something is waited for that mostly passes: what fails at a write, what is left."""

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self._silent.pop(key, None)
        self._fights.forget(key)

    def misses(self, plan: ServingPlan, known: LiveObjects, names: frozenset[str], *, route: bool) -> bool:
        """Whether an object of these revisions would have to be made, as far as is known, or the ``route``."""
        rendered = self._backend.render(plan, known)
        if route and rendered.route is not None and plan.name not in known.of(HTTP_ROUTE):
            return True
        return any(one.name in names and one.name not in known.of(one.kind) for one in rendered.objects)

    async def perform(self, plan: ServingPlan, known: LiveObjects, now: datetime) -> Done:
        """Make everything that shall be, upon what was known when that was decided: who has changed something since is
        not overwritten. Raises Blocked for what people must know, ClusterError for what passes."""
        key = Key(plan.namespace, plan.name)
        rendered = self._backend.render(plan, known)
        blocked: list[Blocked] = []
        route = rendered.route is not None and await _noting(self._ensure(plan, rendered.route, known, now), blocked)
        others = 0
        for write in rendered.writes:
            if len([one for one in blocked if one.silence is not None and one.silence.status == 0]) >= AWAY:
                break
            if isinstance(write, Scale):
                others += await _noting(self._scale(plan, write, known, now), blocked)
            else:
                others += await _noting(self._ensure(plan, write, known, now), blocked)
        self._complain(key, blocked, now)
        return Done(route=route, others=others, waits=bool(blocked))

    def _complain(self, key: Key, blocked: list[Blocked], now: datetime) -> None:
        """Raise the first refusal. What mostly passes within a minute is told when it lasts: KServe's webhook is away
        whenever KServe is upgraded, and what is being deleted takes its time."""
        passing = [one for one in blocked if one.silence is not None or one.waits]
        since = self._silent.setdefault(key, now) if passing else self._silent.pop(key, now)
        verdicts = blocked if now - since >= SILENCE else [one for one in blocked if one not in passing]
        if verdicts:
            raise verdicts[0]
        for one in passing:
            if one.silence is not None:
                raise one.silence

    def surplus(self, plan: ServingPlan, only: frozenset[str] | None) -> tuple[tuple[Kind, Live], ...]:
        """What is there, as far as the cache knows, that the plan does not need. ``only``: of these revisions alone,
        where not everything that is needed is known."""
        found = self._backend.surplus(plan, self._children.of(Key(plan.namespace, plan.name)))
        return tuple((kind, one) for kind, one in found if only is None or one.name in only)

    async def clear(self, plan: ServingPlan, only: frozenset[str] | None) -> None:
        """Delete what is not needed any more, and nothing that the route, read live, still names."""
        # The answer to the last write of the route may have been lost, and its watch may be late.
        await self._holders.read(HTTP_ROUTE, plan.namespace, plan.name)
        for kind, one in self.surplus(plan, only):
            await self._delete(kind, one)

    async def _delete(self, kind: Kind, one: Live) -> None:
        log.info("object is not needed any more", kind=kind.kind, name=one.name, namespace=one.namespace)
        try:
            going = await self._client.delete(kind, one.namespace, one.name, uid=one.uid, version=one.resource_version)
        except ClusterError as error:
            if error.status == CONFLICT:
                await self._holders.read(kind, one.namespace, one.name, known=one.uid)
            raise
        if going is None:
            self._children.forget(kind, Key(one.namespace, one.name), one.uid)
        else:
            self._children.put(kind, going)

    async def _ensure(self, plan: ServingPlan, manifest: Manifest, known: LiveObjects, now: datetime) -> bool:
        """The object as it shall be. True where it had to be written."""
        present = known.of(manifest.kind).get(manifest.name)
        if present is None:
            await self._create(plan, manifest)
            return True
        if present.owner != plan.uid:
            holder = await self._holders.of(plan, manifest, present.uid)
            if holder is not None:
                raise holder
            raise ClusterError(CONFLICT, f"{manifest.kind.kind} {manifest.name} is gone")
        # By a route that is going gateways may send requests to its last moment.
        if present.deleting and manifest.kind is not HTTP_ROUTE:
            raise going(manifest.kind, manifest.name)
        body, changed = _patch_to(manifest, present), False
        one = (Key(plan.namespace, plan.name), manifest.kind, manifest.name)
        if body and self._fights.may_write(*one, body, now):
            written = await self._put_right(plan, manifest, body, present)
            # An API server leaves an object that says the same as it is.
            changed = written.resource_version != present.resource_version
            if changed or _patch_to(manifest, written):
                self._fights.wrote(*one, body, now)
        fields = self._fights.fought_over(*one, now)
        if fields:
            raise Blocked(contested(manifest.kind, manifest.name, fields))
        if present.deleting:
            raise going(manifest.kind, manifest.name)
        return changed

    async def _put_right(self, plan: ServingPlan, manifest: Manifest, body: Json, present: Live) -> Live:
        """The object as it is then."""
        log.info("object is put right", kind=manifest.kind.kind, name=manifest.name, namespace=plan.namespace)
        try:
            return await self._patch(plan, manifest, body, present)
        except Blocked as refusal:
            if manifest.kind is HTTP_ROUTE and refusal.silence is None:
                await self._move(plan, manifest, body, present)
            raise

    async def _move(self, plan: ServingPlan, manifest: Manifest, refused: Json, present: Live) -> None:
        """Traffic as it shall be on a route of which something else is refused: a candidate that failed must not keep
        its requests because of a timeout that the schema does not like."""
        rules = moved(present.spec, manifest.body["spec"])
        if rules and {"spec": rules} != refused:
            log.info("route is moved without the rest", name=manifest.name, namespace=plan.namespace)
            with contextlib.suppress(Blocked):
                await self._patch(plan, manifest, {"spec": rules}, present)

    async def _patch(self, plan: ServingPlan, manifest: Manifest, body: Json, present: Live) -> Live:
        kind = manifest.kind
        try:
            written = await self._client.patch(
                kind, plan.namespace, manifest.name, body, version=present.resource_version
            )
        except ClusterError as error:
            if error.status in (CONFLICT, NOT_FOUND):
                await self._holders.read(kind, plan.namespace, manifest.name, known=present.uid)
            raise told(kind, manifest.name, error, overridden=_overridden(plan, manifest)) from error
        self._children.put(kind, written)
        return live(kind, written)

    async def _create(self, plan: ServingPlan, manifest: Manifest) -> None:
        kind = manifest.kind
        if manifest.after is not None:
            holder = await self._holders.of(plan, manifest)
            if holder is not None:
                raise holder
            raise await self._holders.former(plan, manifest, *manifest.after)
        log.info("object is created", kind=kind.kind, name=manifest.name, namespace=plan.namespace)
        try:
            written = await self._client.create(kind, plan.namespace, manifest.body)
        except ClusterError as error:
            if error.status != CONFLICT:
                raise told(kind, manifest.name, error, overridden=_overridden(plan, manifest)) from error
            await self._holders.of(plan, manifest)
            raise
        self._children.put(kind, written)

    async def _scale(self, plan: ServingPlan, scale: Scale, known: LiveObjects, now: datetime) -> bool:
        workload = known.of(WORKLOAD)[scale.workload]
        one = (Key(plan.namespace, plan.name), WORKLOAD, scale.workload)
        change = {"spec": {"replicas": scale.replicas}}
        wrong = workload.spec["replicas"] != scale.replicas and not workload.deleting
        writes = wrong and self._fights.may_write(*one, change, now)
        if writes:
            await self._resize(plan, scale, workload)
            self._fights.wrote(*one, change, now)
        fields = self._fights.fought_over(*one, now)
        if fields:
            raise Blocked(contested(WORKLOAD, scale.workload, fields))
        return writes

    async def _resize(self, plan: ServingPlan, scale: Scale, workload: Live) -> None:
        log.info("workload is scaled", name=scale.workload, namespace=plan.namespace, replicas=scale.replicas)
        try:
            await self._client.scale(plan.namespace, scale.workload, scale.replicas, version=workload.resource_version)
        except ClusterError as error:
            if error.status in (CONFLICT, NOT_FOUND):
                await self._holders.read(WORKLOAD, plan.namespace, scale.workload, known=workload.uid)
            raise told(WORKLOAD, scale.workload, error) from error


async def _noting(write: Awaitable[bool], blocked: list[Blocked]) -> bool:
    """Whether it was written. A refusal is put to the others."""
    try:
        return await write
    except Blocked as refusal:
        blocked.append(refusal)
        return False


def _patch_to(manifest: Manifest, present: Live) -> Json:
    """What makes the object as it shall be; empty where it is so."""
    wanted = manifest.body["metadata"]
    # A route has every field that the API server would add, so what is more than wanted is a change by hand.
    spec = difference(
        present.spec, manifest.body["spec"], present.foreign, defaulted_lists=manifest.kind is not HTTP_ROUTE
    )
    metadata = {
        "labels": difference(dict(present.labels), wanted["labels"]),
        "annotations": difference(dict(present.annotations), wanted.get("annotations") or {})
        | {name: None for name in manifest.unwanted if name in present.annotations},
    }
    metadata = {name: change for name, change in metadata.items() if change}
    return {name: change for name, change in (("spec", spec), ("metadata", metadata)) if change}


def _overridden(plan: ServingPlan, manifest: Manifest) -> bool:
    """Whether people have a part in what the object says."""
    return any(one.revision == manifest.name and one.template.overrides for one in plan.revisions)
