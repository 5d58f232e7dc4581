"""The status of a ModelRegistry, from what its follower last saw. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from typing import Literal

from pydantic import ValidationError

from serin.api.modelregistry import ModelRegistryStatus
from serin.api.modelregistry import RegistryCondition
from serin.api.quantities import milliseconds
from serin.api.reasons import Reason
from serin.errors import RegistryError


def registry_status(
    body: dict[str, Any],
    error: RegistryError | None,
    server_version: str | None,
    followed: int,
    last_success: datetime | None,
    now: datetime,
    *,
    hiccup: bool,
) -> ModelRegistryStatus | None:
    """The status that tells this; None while nothing is known. A poll that succeeds again is no news.

    ``hiccup``: the error may be gone with the next poll. It is told, and calls nobody who waits for Ready.
    """
    if error is None and last_success is None:
        return None
    try:
        before = ModelRegistryStatus.model_validate(body["status"])
    except ValidationError:
        before = ModelRegistryStatus()
    ready = error is None or hiccup
    message = error.message if error is not None else "the registry answers"
    old = before.conditions[0] if before.conditions else None
    status: Literal["True", "False"] = "True" if ready else "False"
    condition = RegistryCondition(
        type="Ready",
        status=status,
        reason=Reason(error.reason) if error is not None and not ready else Reason.REACHABLE,
        message=f"the last poll failed, and is tried again: {message}" if hiccup else message,
        observed_generation=body["metadata"]["generation"],
        last_transition_time=old.last_transition_time
        if old is not None and old.status == status
        else milliseconds(now),
    )
    fresh = ModelRegistryStatus(
        observed_generation=body["metadata"]["generation"],
        conditions=(condition,),
        server_version=server_version or before.server_version,
        models_followed=followed,
        last_successful_poll=before.last_successful_poll,
    )
    if fresh == before:
        return before
    last = milliseconds(last_success) if last_success is not None else before.last_successful_poll
    return fresh.model_copy(update={"last_successful_poll": last})
