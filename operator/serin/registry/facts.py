"""What the registry layer knows of one model version. Immutable, because in MLflow a version is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """One registered version.

    ``artifact_uri`` is the concrete location as MLflow gives it (never ``runs:/`` or ``models:/``), before any
    rewriting; ``digest`` the sha256 of its MLmodel file in hexadecimal; ``flavors`` the names in that file, sorted;
    ``signature`` what it says of inputs and outputs, packed (see ``signature.unpack``).
    """

    run_id: str | None
    model_id: str | None
    artifact_uri: str
    digest: str
    flavors: tuple[str, ...]
    signature: bytes | None = None
