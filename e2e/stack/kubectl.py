"""Everything the stack half asks of an API server, through kubectl: server-side apply, reads and waits.

Objects are plain dictionaries. Nothing here knows what is installed.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import tools
from e2e.stack.progress import StackError

FIELD_MANAGER = "serin-e2e"

Object = dict[str, Any]

_UNREACHED = re.compile("failed calling webhook .*(connection refused|no endpoints available)")
_WEBHOOK_SECONDS = 30.0
_POLL_SECONDS = 0.5


class KubectlError(StackError):
    """kubectl refused; the message is its own."""


@dataclass(frozen=True)
class Applied:
    """What an apply did to one object."""

    name: str
    """kind/namespace/name."""
    changed: bool
    """False where the object already had every field of ours with the same value."""


class Kubectl:
    """kubectl for one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._binary = tools.binary("kubectl")

    def command(self, *arguments: str) -> list[str]:
        """The argument list of a kubectl call, for callers that run it themselves."""
        return [str(self._binary), "--kubeconfig", str(self._kubeconfig), *arguments]

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of `kubectl <arguments>`.

        Raises:
            KubectlError: with the arguments and what kubectl said.
        """
        done = subprocess.run(self.command(*arguments), check=False, capture_output=True, text=True, input=stdin)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """One object, or None where it does not exist."""
        scope = ["-n", namespace] if namespace else []
        text = self.run("get", kind, name, *scope, "-o", "json", "--ignore-not-found")
        found: Object | None = json.loads(text) if text else None
        return found

    def list_all(self, kind: str, namespace: str, *options: str) -> list[Object]:
        """The objects of a kind in a namespace."""
        items: list[Object] = json.loads(self.run("get", kind, "-n", namespace, "-o", "json", *options))["items"]
        return items

    def apply(self, objects: Sequence[Object]) -> list[Applied]:
        """Server-side apply, in the order given. What somebody else changed in our fields is put back."""
        if not objects:
            return []
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        read = ["-f", "-", "-o", "json", "--show-managed-fields"]
        # Not `get -f -`: it fails as a whole when a kind is not known yet, which --ignore-not-found does not cover.
        before = {_key(found): _ours(found) for found in self._live(objects)}
        manager = f"--field-manager={FIELD_MANAGER}"
        after = _items(self._admitted("apply", "--server-side", manager, "--force-conflicts", *read, stdin=document))
        return [Applied(_key(found), before.get(_key(found)) != _ours(found)) for found in after]

    def somebodys(self, objects: Sequence[Object]) -> list[str]:
        """Those of the objects, kind/namespace/name, that exist, would be changed, and were not applied from here."""
        return [_key(found) for found in self._live(filter(_says_something, objects)) if not _ours(found)[1]]

    def _admitted(self, *arguments: str, stdin: str) -> str:
        """The output, once the webhooks can be reached: the node's proxy hears of a ready pod a moment after we do."""
        deadline = time.monotonic() + _WEBHOOK_SECONDS
        while True:
            try:
                return self.run(*arguments, stdin=stdin)
            except KubectlError as error:
                if not _UNREACHED.search(str(error)) or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_SECONDS)

    def _live(self, objects: Iterable[Object]) -> list[Object]:
        """The objects as they are, as far as they exist."""
        live = []
        by_kind: dict[tuple[str, str], list[str]] = {}
        for wanted in objects:
            group, _, version = wanted["apiVersion"].rpartition("/")
            resource = f"{wanted['kind']}.{version}.{group}" if group else wanted["kind"]
            place = (resource, wanted["metadata"].get("namespace", ""))
            by_kind.setdefault(place, []).append(wanted["metadata"]["name"])
        for (resource, namespace), names in by_kind.items():
            scope = ["-n", namespace] if namespace else []
            read = ["-o", "json", "--show-managed-fields", "--ignore-not-found"]
            try:
                text = self.run("get", resource, *names, *scope, *read)
            except KubectlError as error:
                if "doesn't have a resource type" not in str(error):
                    raise
                continue
            live += _items(text)
        return live


def _items(text: str) -> list[Object]:
    if not text:
        return []
    parsed: Object = json.loads(text)
    items: list[Object] = parsed["items"] if parsed["kind"] == "List" else [parsed]
    return items


def _key(found: Object) -> str:
    metadata = found["metadata"]
    return "/".join(filter(None, (found["kind"], metadata.get("namespace"), metadata["name"])))


def _says_something(wanted: Object) -> bool:
    """Whether it has a field beside its identity. Otherwise an apply changes nothing, and nobody notes who did it."""
    return bool(wanted.keys() - {"apiVersion", "kind", "metadata"} or wanted["metadata"].keys() - {"name", "namespace"})


def _ours(found: Object) -> tuple[str, list[Object]]:
    """The object's identity and our entry of its managed fields.

    An apply without a difference leaves the entry's time alone; the resourceVersion would also move with every status
    that a controller writes in between.
    """
    metadata = found["metadata"]
    entries = [entry for entry in metadata.get("managedFields", []) if entry["manager"] == FIELD_MANAGER]
    return metadata["uid"], entries
