"""Reads an MLmodel file: untrusted YAML, written by whoever logged the model. Pure; a model is never loaded."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import yaml

SIZE_LIMIT = 1 << 20
"""Bytes. MLflow's own are about 1 kB; a signature with thousands of columns stays far below this."""


@dataclass(frozen=True, slots=True)
class MlModel:
    """What we need of the file. ``model_id`` is absent before MLflow 3."""

    digest: str
    flavors: tuple[str, ...]
    model_id: str | None


def read_mlmodel(body: bytes) -> MlModel:
    """The file's digest, flavors and model id. Raises ValueError for what is not an MLmodel file."""
    try:
        # The same safe constructor in C: the pure Python one takes seconds for a file of the size limit.
        document = yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):
        # ValueError: dates such as 2026-99-99. RecursionError: brackets nested thousands deep.
        raise ValueError("it is not YAML") from None
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(name, str) for name in flavors):
        raise ValueError("it names no flavors")
    model_id = document.get("model_id")
    return MlModel(
        digest=sha256(body).hexdigest(),
        flavors=tuple(sorted(flavors)),
        model_id=model_id if isinstance(model_id, str) else None,
    )
