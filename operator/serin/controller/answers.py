"""What a ModelDeployment is told of its model where the registry has no answer, or not now. Pure."""

from __future__ import annotations

from datetime import datetime

from serin.api.modeldeployment import Model
from serin.api.quantities import format_time
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.controller.records import NO_ANSWER
from serin.errors import RegistryError
from serin.registry.refusals import shorten
from serin.rollout.observed import Problem

Answer = tuple[Resolved | Problem, Problem | None]
"""What the model reference stands for, and whether its registry is down although that is known."""


def mine(model: Model, pinned: Resolved | None) -> Resolved | None:
    """The pinned resolution, if it is of this very reference."""
    if pinned is None or (pinned.registry, pinned.name) != (model.registry, model.name):
        return None
    if model.version is not None:
        return pinned.model_copy(update={"alias": None}) if pinned.version == model.version else None
    return pinned if pinned.alias == model.alias else None


def unknown(model: Model, namespace: str) -> Problem:
    """That the ModelRegistry is not declared."""
    return Problem(
        Reason.REGISTRY_NOT_FOUND,
        f"there is no ModelRegistry {model.registry} in namespace {namespace}: create it there, "
        "or name another in spec.model.registry",
    )


def without_registry(error: RegistryError, mine: Resolved | None, down: Problem | None) -> Answer:
    """A registry that cannot be asked takes nothing from a version that is known; it only stops what moves."""
    unusable = passes(error) or (down is not None and mine is not None)
    if mine is not None and unusable:
        return mine, down
    return Problem(Reason(error.reason), error.message), None


def passes(error: RegistryError) -> bool:
    """Whether it says nothing of what was asked for: that may be there, and be told of at the next look."""
    return error.transient or error.reason in NO_ANSWER


def unread(model: Model, version: int | None, error: RegistryError) -> Problem:
    """That the alias stands for another version than what is pinned, or that nobody can tell for which one although the
    registry listed its aliases."""
    stands = "" if version is None else f"is version {version}, which "
    said = f"alias {shorten(model.alias or '', 40)} {stands}cannot be read{'' if version else ' any more'}"
    return Problem(Reason(error.reason), f"{said}: {error.message}")


def down(model: Model, error: RegistryError | None, since: datetime | None) -> Problem | None:
    """That the registry does not answer, and since when; None while it does."""
    if error is None or since is None:
        return None
    moment = format_time(since.replace(microsecond=0))
    return Problem(Reason(error.reason), f"registry {model.registry} has not answered since {moment}: {error.message}")
