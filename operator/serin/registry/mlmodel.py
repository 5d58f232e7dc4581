"""Reads an MLmodel file: untrusted YAML, written by whoever logged the model. Pure; a model is never loaded."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import yaml

from serin.registry.signature import pack

SIZE_LIMIT = 1 << 20
"""Bytes. MLflow's own are about 1 kB; a signature with thousands of columns stays far below this."""

DEPTH_LIMIT = 64
EVENT_LIMIT = 10_000
"""Keys, values, lists: MLflow's own have some 100. A signature is one value, however long."""

FLAVORS_LIMIT, NAME_LIMIT = 64, 64
"""A model has two or three flavors, and their names are words; all of them stand in a ModelDeployment's status."""

# The safe constructor over libyaml: the pure Python one takes seconds for a file of the size limit.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class MlModel:
    """What we need of the file. ``model_id`` is absent before MLflow 3."""

    digest: str
    flavors: tuple[str, ...]
    model_id: str | None
    signature: bytes | None


def read_mlmodel(body: bytes) -> MlModel:
    """The file's digest, flavors, model id and signature. Raises ValueError for what is not an MLmodel file."""
    try:
        _check_shape(body)
        document = yaml.load(body, Loader=_LOADER)  # noqa: S506
    except (yaml.YAMLError, ValueError):
        # ValueError: dates such as 2026-99-99.
        raise ValueError("it is not plain YAML") from None
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(name, str) for name in flavors):
        raise ValueError("it names no flavors")
    if len(flavors) > FLAVORS_LIMIT or max(map(len, flavors)) > NAME_LIMIT:
        raise ValueError(f"it names more than {FLAVORS_LIMIT} flavors, or one of more than {NAME_LIMIT} characters")
    model_id = document.get("model_id")
    return MlModel(
        digest=sha256(body).hexdigest(),
        flavors=tuple(sorted(flavors)),
        model_id=model_id if isinstance(model_id, str) else None,
        signature=pack(document.get("signature")),
    )


def _check_shape(body: bytes) -> None:
    """Reads the events only, before anything is built from them.

    libyaml's composer recurses in C: brackets nested 100,000 deep end the process, not the request. Merge keys copy
    what they merge, so a few lines of them that merge each other fill the memory. Half a million list items take
    seconds to build.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(body, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        merges = isinstance(event, yaml.ScalarEvent) and event.value == "<<"
        if merges or depth > DEPTH_LIMIT or number > EVENT_LIMIT:
            raise ValueError
