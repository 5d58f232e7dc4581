"""What must be written so that a live object is as it shall be: a JSON merge patch, or nothing.

Fields that nobody planned and nobody foreign set (defaults of the API server and of admission webhooks) are left alone.
What an admission webhook in Go reads and writes anew is no difference: 2048Mi as 2Gi, 1 as "1", and nothing at all for
what is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serin.api.quantities import amount
from serin.serving.live import Json

# Quantities of Kubernetes: under these keys, and of these names.
QUANTITIES = frozenset({"requests", "limits"})
QUANTITY = frozenset({"sizeLimit", "divisor"})
# Go leaves out an empty map or list, and in these fields also "", 0 and false, which mean what their absence means
# (k8s.io/api core/v1: no pointers, omitempty). Elsewhere they do not: in hostUsers, or among a nodeSelector's labels.
EMPTY: tuple[Any, ...] = ({}, [])
ZERO = frozenset({"value", "key", "effect", "initialDelaySeconds", "readOnly", "stdin", "stdinOnce", "tty"}) | {
    "hostNetwork",
    "hostPID",
    "hostIPC",
}


def difference(
    live: Json, wanted: Json, foreign: Iterable[tuple[str, ...]] = (), *, defaulted_lists: bool = True
) -> Json:
    """The JSON merge patch (RFC 7386) from ``live`` to ``wanted``; empty where there is nothing to do.

    Lists are put right as a whole. Their elements may have more fields than are wanted, unless somebody foreign wrote
    the list, or ``defaulted_lists`` says that nobody adds to them. ``foreign`` paths that are not wanted are removed,
    with what stands above them and is not wanted either: KServe refuses an empty transformer, and the API server fills
    an autoscaler's empty behavior for ever.
    """
    paths = frozenset(foreign)
    patch = _changes(live, wanted, (), None if not defaulted_lists else paths)
    for path in paths:
        if _get(live, path) is not None and _get(wanted, path) is None:
            _remove(patch, _unwanted(wanted, path))
    return patch


def merge(target: Json, patch: Json) -> Json:
    """``target`` with the JSON merge patch applied (RFC 7386)."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = value
    return result


def _changes(live: Json, wanted: Json, at: tuple[str, ...], exact: frozenset[tuple[str, ...]] | None) -> Json:
    """``exact``: paths of lists that must be as wanted to the last field; None for all lists."""
    patch: Json = {}
    for key, value in wanted.items():
        present, path = live.get(key), (*at, key)
        if _left_out(present, value, key):
            continue
        if isinstance(value, dict) and isinstance(present, dict):
            inner = _changes(present, value, path, exact)
            if inner:
                patch[key] = inner
        elif isinstance(value, list) and (exact is None or path in exact):
            if present != value:
                patch[key] = value
        elif not _same(present, value, path):
            patch[key] = value
    return patch


def _left_out(present: Any, wanted: Any, key: str) -> bool:
    """Whether the field is not there because it says nothing."""
    return present is None and (wanted in EMPTY or (key in ZERO and not wanted))


def _same(present: Any, wanted: Any, path: tuple[str, ...]) -> bool:
    """Equal, but for what the API server or a webhook adds to the elements of a list, and how they write amounts."""
    if isinstance(present, list) and isinstance(wanted, list):
        return len(present) == len(wanted) and all(_same(*pair, path) for pair in zip(present, wanted, strict=True))
    if isinstance(present, dict) and isinstance(wanted, dict):
        return all(
            _left_out(present.get(key), value, key) or _same(present.get(key), value, (*path, key))
            for key, value in wanted.items()
        )
    quantity = path[-1] in QUANTITY or not QUANTITIES.isdisjoint(path[-2:-1])
    if quantity and present is not None and wanted is not None:
        return amount(present) == amount(wanted)
    return bool(present == wanted)


def _get(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def _unwanted(wanted: Json, path: tuple[str, ...]) -> tuple[str, ...]:
    """The shortest beginning of the path that is not wanted."""
    return next(path[:length] for length in range(1, len(path) + 1) if _get(wanted, path[:length]) is None)


def _remove(patch: Json, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        inner = patch.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        patch = inner
    patch.setdefault(path[-1], None)
