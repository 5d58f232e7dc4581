"""An API server as far as the operator's writes depend on it: versions, preconditions, conflicts, and a log of writes.

Faults are given by ``refuse``: the next request of that verb and kind is answered with this error, or done and not
answered at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import cast

from serin.api.kinds import EVENT
from serin.api.kinds import INFERENCE_SERVICE
from serin.api.kinds import POD
from serin.api.kinds import WORKLOAD
from serin.api.kinds import Kind
from serin.cluster.client import Client
from serin.errors import ClusterError
from serin.serving.compare import merge
from tests.unit.wire import over_the_wire

Json = dict[str, Any]


@dataclass
class FakeApi:
    """Objects by kind, namespace and name."""

    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    """Every request that wants to write: verb, kind and name."""
    reads: list[str] = field(default_factory=list)
    faults: dict[tuple[str, str], list[tuple[ClusterError, bool]]] = field(default_factory=dict)
    denied: dict[tuple[str, str], str] = field(default_factory=dict)
    """What the operator may not do, by verb and kind, and what it is told then."""
    logs: dict[str, str] = field(default_factory=dict)
    version: int = 100

    @property
    def client(self) -> Client:
        """In the place of the real one."""
        return cast("Client", self)

    def refuse(self, verb: str, kind: Kind, status: int, message: str = "no", *, done: bool = False) -> None:
        self.faults.setdefault((verb, kind.kind), []).append((ClusterError(status, message), done))

    def put(self, kind: Kind, body: Json) -> Json:
        """Somebody else writes this object."""
        metadata = body["metadata"]
        key = (kind.kind, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(key)
        self.version += 1
        changed = before is None or before.get("spec") != body.get("spec")
        generation = (before["metadata"]["generation"] if before is not None else 0) + changed
        uid = before["metadata"]["uid"] if before is not None else f"uid-{self.version}"
        stored = over_the_wire(body)
        stored["metadata"] = {
            "uid": uid,
            **stored["metadata"],
            "resourceVersion": str(self.version),
            "generation": generation,
        }
        self.objects[key] = stored
        return over_the_wire(stored)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Somebody else deletes this object."""
        del self.objects[kind.kind, namespace, name]

    def of(self, kind: Kind, namespace: str, name: str) -> Json:
        return self.objects[kind.kind, namespace, name]

    # What the operator's client does.

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Json | None:
        self.reads.append(f"get {kind.kind} {name}")
        self._fault("get", kind)
        found = self.objects.get((kind.kind, namespace or "", name))
        return None if found is None else over_the_wire(found)

    async def pages(self, kind: Kind, *, namespace: str | None = None, selector: str = "") -> AsyncIterator[list[Json]]:
        self.reads.append(f"list {kind.kind}")
        self._fault("list", kind)
        found = [
            body
            for (of, where, _), body in self.objects.items()
            if of == kind.kind and where == (where if namespace is None else namespace)
        ]
        if selector:
            label, equals, value = selector.partition("=")
            found = [
                body
                for body in found
                if (label, value) in body["metadata"].get("labels", {}).items()
                or (not equals and label in body["metadata"].get("labels", {}))
            ]
        for body in found:
            yield [over_the_wire(body)]

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        if kind is EVENT:
            self.put(kind, body)
            return body
        lost = self._write("create", kind, name)
        if (kind.kind, namespace, name) in self.objects:
            raise ClusterError(409, f"{name} already exists")
        return self._answer(self.put(kind, body), lost)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Json, *, version: str) -> Json:
        lost = self._write("patch", kind, name)
        body = self._expect(kind, namespace, name, version)
        after = merge(body, patch)
        return self._answer(over_the_wire(body) if after == body else self.put(kind, after), lost)

    async def apply_status(self, kind: Kind, namespace: str, name: str, status: Json, *, version: str) -> Json:
        lost = self._write("status", kind, name)
        body = self._expect(kind, namespace, name, version)
        return self._answer(self.put(kind, {**body, "status": status}), lost)

    async def scale(self, namespace: str, workload: str, replicas: int, *, version: str) -> None:
        lost = self._write("scale", WORKLOAD, workload)
        body = self._expect(WORKLOAD, namespace, workload, version)
        self._answer(self.put(WORKLOAD, merge(body, {"spec": {"replicas": replicas}})), lost)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, version: str) -> Json | None:
        lost = self._write("delete", kind, name)
        body = self._expect(kind, namespace, name, version)
        if body["metadata"]["uid"] != uid:
            raise ClusterError(409, "another uid")
        self.remove(kind, namespace, name)
        self._answer({}, lost)
        return None

    async def log(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        self.reads.append(f"log {namespace}/{pod} {container} {'previous' if previous else 'current'}")
        self._fault("log", POD)
        return self.logs.get(pod, "")

    def _write(self, verb: str, kind: Kind, name: str) -> ClusterError | None:
        """The error to answer with although the write is done."""
        self.written.append(f"{verb} {kind.kind} {name}")
        return self._fault(verb, kind)

    def _fault(self, verb: str, kind: Kind) -> ClusterError | None:
        if (verb, kind.kind) in self.denied:
            raise ClusterError(403, self.denied[verb, kind.kind])
        waiting = self.faults.get((verb, kind.kind))
        if not waiting:
            return None
        error, done = waiting.pop(0)
        if done:
            return error
        raise error

    def _answer(self, body: Json, lost: ClusterError | None) -> Json:
        if lost is not None:
            raise lost
        return body

    def _expect(self, kind: Kind, namespace: str, name: str, version: str) -> Json:
        body = self.objects.get((kind.kind, namespace, name))
        if body is None:
            raise ClusterError(404, f'{kind.plural} "{name}" not found')
        if body["metadata"]["resourceVersion"] != version:
            raise ClusterError(409, "the object has been modified")
        return body


def kserve_controls(api: FakeApi) -> None:
    """KServe's part: a Deployment for every InferenceService, born with one replica, and none without."""
    collect(api)
    for (kind, namespace, name), body in list(api.objects.items()):
        workload = f"{name}-predictor"
        if kind == INFERENCE_SERVICE.kind and (WORKLOAD.kind, namespace, workload) not in api.objects:
            owner = {"uid": body["metadata"]["uid"], "controller": True}
            own = {"name": workload, "namespace": namespace, "labels": body["metadata"]["labels"]}
            api.put(WORKLOAD, {"metadata": {**own, "ownerReferences": [owner]}, "spec": {"replicas": 1}})


def collect(api: FakeApi) -> None:
    """The garbage collector's part: Deployments whose InferenceService is gone, and pods whose Deployment is."""
    for kind, parent in ((WORKLOAD, INFERENCE_SERVICE), (POD, WORKLOAD)):
        alive = {body["metadata"]["uid"] for (one, _, _), body in api.objects.items() if one == parent.kind}
        for (one, namespace, name), body in list(api.objects.items()):
            owners = body["metadata"].get("ownerReferences") or ()
            if one == kind.kind and any(owner["uid"] not in alive for owner in owners):
                api.remove(kind, namespace, name)
