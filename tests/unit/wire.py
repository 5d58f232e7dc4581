"""What a server keeps and gives is a copy, as JSON has it."""

from __future__ import annotations

import json
from typing import Any


def over_the_wire(body: dict[str, Any]) -> dict[str, Any]:
    """The object as it comes over the wire: nobody else's, and nothing in it that JSON has not."""
    read: dict[str, Any] = json.loads(json.dumps(body))
    return read
