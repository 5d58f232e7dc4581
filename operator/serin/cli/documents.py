"""Files with Kubernetes objects, read as kubectl reads them: YAML or JSON, several in one, Lists opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from yaml.composer import ComposerError

from serin.cli.exits import CommandError

Json = dict[str, Any]

STDIN = "-"
TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """As Kubernetes reads YAML: a moment is text. A key that stands twice is an error: one of them would be ignored."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (its name in the base class)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise ComposerError(None, None, f"the key {key.value} stands twice", key.start_mark)
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return node


def named(file: str) -> str:
    """The file as people know it."""
    return "standard input" if file == STDIN else file


def documents(file: str) -> list[Json]:
    """All documents of a YAML or JSON file, those of a List included. Raises CommandError."""
    try:
        raw = typer.get_binary_stream("stdin").read() if file == STDIN else Path(file).read_bytes()
        # Whatever the locale: Kubernetes takes nothing else.
        content = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{named(file)} cannot be read: {error}") from error
    return [one for found in parsed(content, named(file)) for one in _opened(found, named(file))]


def parsed(content: str, source: str) -> list[Any]:
    """The documents of a text that are not empty, as JSON has them. Raises CommandError."""
    try:
        # Every key is text then, and a number without a fraction is a whole one, as Go writes it.
        found = [
            json.loads(json.dumps(one, default=str), parse_float=_number) for one in yaml.load_all(content, _Loader)
        ]
    except yaml.YAMLError as error:
        raise CommandError(f"{source} is no YAML: {' '.join(str(error).split())}") from error
    except (RecursionError, TypeError, ValueError) as error:
        raise CommandError(f"{source} holds YAML that is no JSON: {' '.join(str(error).split())}") from error
    return [one for one in found if one is not None]


def _number(written: str) -> int | float:
    number = float(written)
    return int(number) if number.is_integer() else number


def _opened(found: Any, source: str) -> Iterator[Json]:
    """The object, or those of a List."""
    if not isinstance(found, dict):
        raise CommandError(f"{source} holds something else than Kubernetes objects: {json.dumps(found)[:60]}")
    kind = found.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List") or "items" not in found:
        yield found
        return
    items = found["items"] or []
    if not isinstance(items, list):
        raise CommandError(f"{source} holds a {kind} whose items are no list: {json.dumps(items)[:60]}")
    # Objects of a list of one kind need not say theirs.
    known = {"apiVersion": found.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    for item in items:
        yield from _opened({**known, **item} if isinstance(item, dict) else item, source)
