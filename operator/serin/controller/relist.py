"""Reading a declared kind anew: before the first decision, and for what a watch missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serin.api.kinds import Kind
from serin.cluster.client import NOT_FOUND
from serin.cluster.client import Client
from serin.controller.apart import apart
from serin.controller.cache import Parents
from serin.errors import ClusterError


async def relist(
    client: Client, kind: Kind, known: Parents, take: Callable[[str | None, dict[str, Any]], None]
) -> None:
    """Tell ``take`` what there is, and of what is ``known`` the deletion of what is not there any more. That is told by
    the uid: one of the same name may have been made while the list was on its way."""
    before = [body for key in known.all() if (body := known.get(key)) is not None]
    present = set()
    try:
        async for page in client.pages(kind):
            for body in page:
                present.add(body["metadata"]["uid"])
                with apart(kind, body):
                    take(None, body)
    except ClusterError as error:
        # The custom resources are older than this operator.
        if error.status != NOT_FOUND:
            raise
    for body in before:
        if body["metadata"]["uid"] not in present:
            take("DELETED", body)
