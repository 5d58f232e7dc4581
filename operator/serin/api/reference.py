"""The reference in ``docs/reference/``, made from the models: every field, every reason, every phase.

``python -m serin.api.reference FOLDER`` writes it. What people read cannot differ from what the API server checks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serin.api.crd import definitions
from serin.api.reasons import SENTENCES

Schema = dict[str, Any]
HEAD = "<!-- Generated from operator/serin/api by `make generate`. Do not edit. -->\n\n"


def api() -> str:
    """Every field of every kind."""
    parts = [HEAD + "# API reference\n"]
    for definition in definitions().values():
        version = definition["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        group = definition["spec"]["group"]
        kind = definition["spec"]["names"]["kind"]
        parts.append(f"\n## {kind}\n\n`{group}/{version['name']}`. {_text(schema['description'])}\n")
        for part in (part for part in ("spec", "status") if part in schema["properties"]):
            parts.append(f"\n### {part}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n")
            parts += [f"{row}\n" for row in _rows(schema["properties"][part], "")]
        rules = sorted({rule["message"] for rule in _rules(schema)})
        parts.append("\n### Refused at admission\n\n" + "".join(f"- {_text(rule)}\n" for rule in rules))
    return "".join(parts)


def reasons() -> str:
    """Every reason with its sentence."""
    rows = "".join(f"| `{reason}` | {_text(sentence)} |\n" for reason, sentence in SENTENCES.items())
    return (
        HEAD + "# Reasons\n\n"
        "The same word stands in conditions, events and metrics. The set is closed: alert on it.\n\n"
        "| reason | meaning |\n| --- | --- |\n" + rows
    )


def _rows(schema: Schema, prefix: str) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        kind = f"{_type(field)}{' (required)' if name in required else ''}"
        yield f"| `{path}` | {kind} | {_default(field)} | {_text(field.get('description', ''))} |"
        inner = field.get("items", field)
        if inner.get("properties"):
            yield from _rows(inner, f"{path}{'[]' if 'items' in field else ''}.")


def _text(words: str) -> str:
    """Read as it stands: Markdown takes <name> for a tag and shows nothing, and a bar for the end of a cell."""
    return words.replace("<", "&lt;").replace("|", "\\|")


def _default(field: Schema) -> str:
    """As a manifest has it; what does not fit into a cell, or is nothing, is not shown."""
    default = field.get("default")
    if default is None or default == "" or isinstance(default, dict | list):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _type(field: Schema) -> str:
    if "x-kubernetes-int-or-string" in field:
        return "quantity"
    if "enum" in field:
        # In a cell nobody reads sixty words; their page says what each means.
        return "[reason](reasons.md)" if set(field["enum"]) == set(SENTENCES) else " \\| ".join(field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    return str(field.get("format") if field.get("format") == "date-time" else field.get("type", "object"))


def _rules(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("x-kubernetes-validations", ())
    for inner in schema.get("properties", {}).values():
        yield from _rules(inner)
    if "items" in schema:
        yield from _rules(schema["items"])


def main() -> None:
    """Write the reference into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "api.md").write_text(api())
    (folder / "reasons.md").write_text(reasons())


if __name__ == "__main__":
    main()
