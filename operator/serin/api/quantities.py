"""Durations, percentages, quantities, names and times as Kubernetes users write them, with what their schema needs.

They stay the strings that people wrote: normalising them would be a difference for GitOps tools.
"""

from __future__ import annotations

import re
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated
from typing import Any

from pydantic import AfterValidator
from pydantic import Field
from pydantic import PlainSerializer
from pydantic import StringConstraints
from pydantic import ValidationError
from pydantic import ValidatorFunctionWrapHandler
from pydantic import WithJsonSchema
from pydantic import WrapValidator

DURATION_PATTERN = r"^([0-9]+(ms|s|m|h))+$"
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

# A space before the sign is how some languages write it; YAML and CEL are easier without.
PERCENTAGE_PATTERN = r"^[0-9]{1,4}(\.[0-9]{1,4})?%$"

# resource.Quantity of k8s.io/apimachinery, as controller-gen writes it into CRDs.
QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

_QUANTITY = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]))?$")
_QUANTITY_FACTORS = {
    **{
        suffix: Decimal(1000) ** power
        for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
    },
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}

LONGEST = "8760h"
"""What any duration is at most, where nothing less is said."""


def _text(pattern: str, length: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": length})


def _duration(text: str) -> str:
    seconds(text)
    return text


def _percentage(text: str) -> str:
    fraction(text)
    return text


def int_or_text(value: object, read: ValidatorFunctionWrapHandler) -> int | str | None:
    """The value where it is one of both, otherwise None: a union would tell of each that the value is not of it."""
    try:
        found: int | str = read(value)
    except ValidationError:
        return None
    return found


def _quantity(value: object, read: ValidatorFunctionWrapHandler) -> int | str:
    quantity = int_or_text(value, read)
    if quantity is None or (isinstance(quantity, str) and not re.fullmatch(QUANTITY_PATTERN, quantity)):
        raise ValueError(f'{value!r} is not a quantity such as 1, 500m or 2Gi, or "0.5" with its quotes')
    return quantity


Duration = Annotated[
    str, StringConstraints(max_length=20), AfterValidator(_duration), _text(DURATION_PATTERN, length=20)
]
"""A length of time such as ``90s``, ``10m`` or ``1h30m``."""

Percentage = Annotated[
    str, StringConstraints(max_length=10), AfterValidator(_percentage), _text(PERCENTAGE_PATTERN, length=10)
]
"""Hundredths, such as ``5%`` or ``0.25%``."""

Quantity = Annotated[
    int | str,
    WrapValidator(_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""A Kubernetes quantity: ``1``, ``500m``, ``2Gi``."""


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Name of a Kubernetes object."""

NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""Name of a namespace."""


# A decision asks some forty times, for the same few.
@lru_cache(maxsize=256)
def seconds(duration: str) -> float:
    """Length of a :data:`Duration` in seconds. Raises ValueError for anything the schema would refuse."""
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration such as 90s, 10m or 1h30m")
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def span(duration: str) -> timedelta:
    """A :data:`Duration` as a timedelta."""
    return timedelta(seconds=seconds(duration))


def longer(duration: str, than: str) -> bool:
    """Whether the :data:`Duration` is longer than the other."""
    return seconds(duration) > seconds(than)


def fraction(percentage: str) -> float:
    """A :data:`Percentage` as a number: ``5%`` is 0.05. Raises ValueError for anything the schema would refuse."""
    if not re.fullmatch(PERCENTAGE_PATTERN, percentage):
        raise ValueError(f"{percentage!r} is not a percentage such as 5% or 0.25%")
    return float(Decimal(percentage.removesuffix("%")) / 100)


def amount(quantity: float | str) -> Decimal | str:
    """What a :data:`Quantity` comes to, whatever its form; what is none stays the text it is."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return str(quantity)
    number, exponent, suffix = match.groups()
    return Decimal(f"{number}{exponent or ''}") * _QUANTITY_FACTORS[suffix or ""]


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds where there are any, as ``metav1.MicroTime`` readers accept it."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def milliseconds(moment: datetime) -> datetime:
    """The moment, cut to the milliseconds that survive a round trip through the status."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Time = Annotated[
    datetime,
    AfterValidator(_in_utc),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment in UTC."""

FreeObject = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A JSON object whose fields belong to somebody else's schema."""
