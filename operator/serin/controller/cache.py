"""What the watches have told so far: a hint, not the truth.

Objects are kept as compact JSON text, not as Python objects: a tenth of the memory, and parsed only when they are
looked at. Pods are kept as what they say of themselves, which is little. Of two versions of an object the newer one
counts, whether a watch or the answer to a write of ours brought it (resourceVersions of one resource are comparable:
KEP-5504).
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serin.api.group import GROUP
from serin.api.kinds import DEPLOYMENT_LABEL
from serin.api.kinds import POD
from serin.api.kinds import Kind
from serin.controller.queue import Key
from serin.serving.backend import LiveObjects
from serin.serving.live import Live
from serin.serving.live import live
from serin.serving.pods import Replica
from serin.serving.pods import replica

Json = dict[str, Any]
TOMBSTONES = 4096
IDENTITY = ("name", "namespace", "uid", "resource_version")
DEPENDED_UPON = tuple(name for name in Live.__slots__ if name not in IDENTITY)
"""What of a child may make a difference; the rest only tells which it is."""


@dataclass(slots=True)
class _Entry:
    uid: str
    resource_version: str
    content: str | Replica | None
    """What decisions depend on: JSON, or what a pod says of itself."""
    parent: str | None = None
    """Name of the ModelDeployment, where it is a child of one."""


class Tombstones:
    """Objects that are gone, so that a late answer to an earlier write does not bring one back."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, str | None] = OrderedDict()

    def add(self, uid: str, version: str | None = None) -> None:
        """This object is gone: for good, or as far as a watch with a selector told at that resourceVersion. Such a
        watch says DELETED also of an object that only lost its label, and that may come back."""
        self._uids[uid] = version
        while len(self._uids) > TOMBSTONES:
            self._uids.popitem(last=False)

    def cover(self, uid: str, version: str) -> bool:
        """Whether the object was gone at that resourceVersion."""
        if uid not in self._uids:
            return False
        last = self._uids[uid]
        return last is None or _older(version, last)


class Parents:
    """The ModelDeployments (or any one kind of parents): spec, status, and what of the metadata is looked at."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._gone = Tombstones()

    def __len__(self) -> int:
        return len(self._entries)

    def all(self) -> list[Key]:
        """All of them."""
        return list(self._entries)

    def get(self, key: Key) -> Json | None:
        """The object as last seen."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        body: Json = json.loads(str(entry.content))
        body["metadata"]["resourceVersion"] = entry.resource_version
        return body

    def holds(self, body: Mapping[str, Any]) -> bool:
        """Whether this very version is what is known: not an older one, nor one of an object that is gone."""
        metadata = body["metadata"]
        entry = self._entries.get(_key(metadata))
        known = None if entry is None else (entry.uid, entry.resource_version)
        return known == (metadata["uid"], metadata["resourceVersion"])

    def put(self, body: Mapping[str, Any]) -> bool:
        """Take this version if it is newer. True where something that matters is different."""
        metadata = body["metadata"]
        key = _key(metadata)
        kept = ("name", "namespace", "uid", "generation", "deletionTimestamp")
        # Not those of others: kubectl keeps the whole object in one.
        annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if _ours(name)}
        content = json.dumps(
            {
                "metadata": {name: metadata[name] for name in kept if name in metadata} | {"annotations": annotations},
                "spec": body.get("spec") or {},
                "status": body.get("status") or {},
            },
            separators=(",", ":"),
        )
        return _put(self._entries, key, metadata, content, self._gone)

    def drop(self, key: Key, uid: str) -> bool:
        """The object of that uid is gone. True where it was the one that is known."""
        return _drop(self._entries, key, uid, self._gone)


class Children:
    """Objects that belong to ModelDeployments, by the label that names theirs."""

    def __init__(self) -> None:
        self._entries: dict[Kind, dict[Key, _Entry]] = {}
        self._of: dict[Key, set[tuple[Kind, str]]] = {}
        self._gone = Tombstones()

    def put(self, kind: Kind, body: Mapping[str, Any]) -> Key | None:
        """Take this version if it is newer. The parent's key where something that matters is different."""
        parent = parent_of(body)
        if parent is None:
            # Its label was taken off by hand: as far as watches go it is gone.
            return self.drop(kind, body)
        metadata = body["metadata"]
        key = _key(metadata)
        entries = self._entries.setdefault(kind, {})
        before = entries.get(key)
        if not _put(entries, key, metadata, _content(kind, body), self._gone, parent.name):
            return None
        if before is not None and before.parent != parent.name:
            self._unlink(kind, key, before.parent)
        self._of.setdefault(parent, set()).add((kind, key.name))
        return parent

    def drop(self, kind: Kind, body: Mapping[str, Any]) -> Key | None:
        """The object is gone. The parent's key where it was known."""
        metadata = body["metadata"]
        key = _key(metadata)
        return self._forget(kind, key, metadata["uid"], metadata["resourceVersion"])

    def forget(self, kind: Kind, key: Key, uid: str) -> Key | None:
        """The object of that uid was not found: it is gone for good. The parent's key where it was known."""
        return self._forget(kind, key, uid, None)

    def _forget(self, kind: Kind, key: Key, uid: str, version: str | None) -> Key | None:
        known = self._entries.get(kind, {}).get(key)
        if not _drop(self._entries.get(kind, {}), key, uid, self._gone, version) or known is None:
            return None
        return self._unlink(kind, key, known.parent)

    def _unlink(self, kind: Kind, key: Key, name: str | None) -> Key | None:
        if name is None:
            return None
        parent = Key(key.namespace, name)
        mine = self._of.get(parent, set())
        mine.discard((kind, key.name))
        if not mine:
            self._of.pop(parent, None)
        return parent

    def of(self, parent: Key) -> LiveObjects:
        """The children of one ModelDeployment."""
        objects: dict[Kind, dict[str, Live]] = {}
        replicas: list[Replica] = []
        for kind, name in sorted(self._of.get(parent, ()), key=lambda child: (child[0].kind, child[1])):
            key = Key(parent.namespace, name)
            entry = self._entries[kind][key]
            if isinstance(entry.content, str):
                objects.setdefault(kind, {})[name] = _live(key, entry, entry.content)
            elif entry.content is not None:
                replicas.append(entry.content)
        return LiveObjects(objects=objects, replicas=tuple(replicas))

    def whose(self, kind: Kind, body: Mapping[str, Any]) -> Key | None:
        """The parent's key that an object of this name is known to have."""
        key = _key(body["metadata"])
        entry = self._entries.get(kind, {}).get(key)
        return Key(key.namespace, entry.parent) if entry is not None and entry.parent is not None else None

    def mine(self, kind: Kind, parent: Key) -> list[tuple[Key, str]]:
        """Keys and uids of the known objects of a kind that belong to one ModelDeployment."""
        keys = [Key(parent.namespace, name) for one, name in self._of.get(parent, ()) if one is kind]
        return [(key, self._entries[kind][key].uid) for key in keys]

    def known(self, kind: Kind) -> Iterator[tuple[Key, str]]:
        """Keys and uids of all known objects of a kind."""
        for key, entry in list(self._entries.get(kind, {}).items()):
            yield key, entry.uid


def parent_of(body: Mapping[str, Any]) -> Key | None:
    """The ModelDeployment that a child's label names."""
    metadata = body["metadata"]
    name = (metadata.get("labels") or {}).get(DEPLOYMENT_LABEL)
    return Key(metadata["namespace"], name) if name else None


def _key(metadata: Mapping[str, Any]) -> Key:
    """The object's key. Every event brings a text of its own: few namespaces hold many objects."""
    return Key(sys.intern(metadata.get("namespace", "")), metadata["name"])


def _ours(annotation: str) -> bool:
    return annotation.startswith(f"{GROUP}/")


def _content(kind: Kind, body: Mapping[str, Any]) -> str | Replica | None:
    if kind is POD:
        return replica(body)
    child = live(kind, body)
    return json.dumps({name: getattr(child, name) for name in DEPENDED_UPON}, separators=(",", ":"))


def _live(key: Key, entry: _Entry, content: str) -> Live:
    fields = json.loads(content)
    fields["foreign"] = tuple(tuple(path) for path in fields["foreign"])
    return Live(
        name=key.name, namespace=key.namespace, uid=entry.uid, resource_version=entry.resource_version, **fields
    )


def _put(
    entries: dict[Key, _Entry],
    key: Key,
    metadata: Mapping[str, Any],
    content: str | Replica | None,
    gone: Tombstones,
    parent: str | None = None,
) -> bool:
    uid, version = metadata["uid"], metadata["resourceVersion"]
    known = entries.get(key)
    # Also of another uid: what was there before the one that is known cannot come after it.
    if gone.cover(uid, version) or (known is not None and _older(version, known.resource_version)):
        return False
    if known is not None and (known.uid, known.content, known.parent) == (uid, content, parent):
        known.resource_version = version
        return False
    entries[key] = _Entry(uid, version, content, parent if parent is None else sys.intern(parent))
    return True


def _drop(entries: dict[Key, _Entry], key: Key, uid: str, gone: Tombstones, version: str | None = None) -> bool:
    """``version``: the resourceVersion at which it was told to be gone; without one it is gone for good."""
    known = entries.get(key)
    gone.add(uid, version)
    if known is None or known.uid != uid:
        return False
    if version is not None and int(version) < int(known.resource_version):
        # A late word: it was back, and is known, at a newer version.
        return False
    del entries[key]
    return True


def _older(version: str, known: str) -> bool:
    return int(version) <= int(known)
