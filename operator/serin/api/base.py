"""What all models of the API share: camelCase names on the wire, and immutability."""

from __future__ import annotations

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel


class SpecModel(BaseModel):
    """What people write. Unknown fields are an error: nothing is accepted and ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class StatusModel(BaseModel):
    """What the operator writes. Unknown fields are dropped: an older operator may meet a newer status."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def to_wire(model: BaseModel) -> dict[str, object]:
    """The JSON object as Kubernetes stores it: camelCase, no nulls."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
