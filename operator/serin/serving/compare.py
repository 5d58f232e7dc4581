"""What must be written so that a live object is as it shall be: a JSON merge patch, or nothing.

Fields that nobody planned and nobody foreign set (defaults of the API server and of admission webhooks) are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serin.serving.live import Json


def difference(live: Json, wanted: Json, foreign: Iterable[tuple[str, ...]] = ()) -> Json:
    """The JSON merge patch (RFC 7386) from ``live`` to ``wanted``; empty where there is nothing to do.

    Lists count as a whole. ``foreign`` paths that are not wanted are removed.
    """
    patch = _changes(live, wanted)
    for path in foreign:
        if _get(live, path) is not None and _get(wanted, path) is None:
            _remove(patch, path)
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


def _changes(live: Json, wanted: Json) -> Json:
    patch: Json = {}
    for key, value in wanted.items():
        present = live.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            inner = _changes(present, value)
            if inner:
                patch[key] = inner
        elif not _same(present, value):
            patch[key] = value
    return patch


def _same(present: Any, wanted: Any) -> bool:
    """Equal, but for defaults that the API server adds to the elements of a list."""
    if isinstance(present, list) and isinstance(wanted, list):
        return len(present) == len(wanted) and all(_same(*pair) for pair in zip(present, wanted, strict=True))
    if isinstance(present, dict) and isinstance(wanted, dict):
        return all(_same(present.get(key), value) for key, value in wanted.items())
    return bool(present == wanted)


def _get(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def _remove(patch: Json, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        inner = patch.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        patch = inner
    patch.setdefault(path[-1], None)
