"""One object that cannot be taken in, apart from all others: they are, all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import structlog

from serin.api.kinds import Kind

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def apart(kind: Kind, body: Mapping[str, Any]) -> Iterator[None]:
    """Tell what breaks on this object, and go on without it: what one person may write must not end the operator, and
    end it again at every start, for everybody."""
    try:
        yield
    except Exception:
        metadata = body.get("metadata") or {}
        name, namespace = metadata.get("name"), metadata.get("namespace")
        log.exception(
            "object is skipped (this is a bug, please report it)", kind=kind.kind, name=name, namespace=namespace
        )
