"""What a ModelDeployment is told of its model where the registry has no answer, or not now. Pure."""

from __future__ import annotations

from datetime import datetime

from serin.api.modeldeployment import Model
from serin.api.quantities import format_time
from serin.api.reasons import Reason
from serin.api.status import Resolved
from serin.controller.records import NO_ANSWER
from serin.errors import RegistryError
from serin.registry.facts import VersionFacts
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


def same(pinned: Resolved, facts: VersionFacts) -> bool:
    """Whether the version of that number is still the one that is pinned.

    By what makes a revision another one, but for the location: the run that logged it, and the MLmodel file, which
    names when and as what it was logged. What differs in that is another version whatever its number: it is rolled out
    as one, by its gates and steps, because it is what is declared and the one in use is not. The location is left out:
    a server that moves, or whose artifacts are told in another way, would roll out everything that it has.
    """
    return (pinned.run_id, pinned.digest) == (facts.run_id, facts.digest)


def passes(error: RegistryError) -> bool:
    """Whether it says nothing of what was asked for: that may be there, and be told of at the next look."""
    return error.transient or error.reason in NO_ANSWER


def unread(model: Model, version: int | None, error: RegistryError) -> Problem:
    """That what is declared cannot be read although the registry answers, and may not be what is pinned. ``version``:
    what it stands for, where that is known."""
    if model.alias is None:
        said = f"version {model.version} cannot be read"
    elif version is None:
        said = f"alias {shorten(model.alias, 40)} cannot be read any more"
    else:
        said = f"alias {shorten(model.alias, 40)} is version {version}, which cannot be read"
    return Problem(Reason(error.reason), f"{said}: {error.message}")


def down(model: Model, error: RegistryError | None, since: datetime | None) -> Problem | None:
    """That the registry does not answer, and since when; None while it does."""
    if error is None or since is None:
        return None
    moment = format_time(since.replace(microsecond=0))
    return Problem(Reason(error.reason), f"registry {model.registry} has not answered since {moment}: {error.message}")
