"""The reference as people read it: what Markdown makes of it says what the schema says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from serin.api import reference
from serin.api.crd import definitions
from serin.api.reasons import SENTENCES

Schema = dict[str, Any]


def inlines(text: str) -> Iterator[tuple[str, Token]]:
    """Every piece of running text, with the tag around it."""
    tag = ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline":
            yield tag, token
        tag = token.tag


def read(token: Token) -> str:
    """What stands there for a reader: of HTML he sees nothing."""
    return "".join(one.content for one in token.children or () if one.type in {"text", "code_inline", "text_special"})


def fields(schema: Schema, prefix: str = "") -> Iterator[tuple[str, Schema]]:
    """Every field below spec and status, by its path."""
    for name, field in schema.get("properties", {}).items():
        yield f"{prefix}{name}", field
        inner = field.get("items", field)
        yield from fields(inner, f"{prefix}{name}{'[]' if 'items' in field else ''}.")


def all_fields() -> list[tuple[str, Schema]]:
    schemas = [one["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for one in definitions().values()]
    parts = [schema["properties"].get(part, {}) for schema in schemas for part in ("spec", "status")]
    return [field for part in parts for field in fields(part)]


def table() -> list[tuple[str, str, str]]:
    """Path, default and meaning, of each row."""
    cells = [read(token) for tag, token in inlines(reference.api()) if tag == "td"]
    return list(zip(cells[::4], cells[2::4], cells[3::4], strict=True))


def test_every_meaning_is_read_as_it_was_written() -> None:
    """A name in angle brackets is a tag to Markdown, and an unknown tag is not shown."""
    assert [(path, meaning) for path, _, meaning in table()] == [
        (path, field.get("description", "")) for path, field in all_fields()
    ]


def test_defaults_are_written_as_people_write_them() -> None:
    for (path, shown, _), (_, field) in zip(table(), all_fields(), strict=True):
        default = field.get("default", "")
        if isinstance(default, str | bool | int | float):
            assert shown == (default if isinstance(default, str) else json.dumps(default)), path


def test_nothing_of_the_pages_is_taken_for_html() -> None:
    for page in (reference.api(), reference.reasons()):
        pieces = [one for _, token in inlines(page.removeprefix(reference.HEAD)) for one in token.children or ()]
        assert pieces
        assert not [one.content for one in pieces if one.type == "html_inline"]


def test_every_reason_is_read_with_its_sentence() -> None:
    cells = [read(token) for tag, token in inlines(reference.reasons()) if tag == "td"]
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {str(reason): text for reason, text in SENTENCES.items()}


def test_where_a_reason_stands_the_reader_is_led_to_what_each_means() -> None:
    cells = [token for tag, token in inlines(reference.api()) if tag == "td"]
    kinds = {read(path): kind for path, kind in zip(cells[::4], cells[1::4], strict=True)}
    for path in ("conditions[].reason", "history[].reason", "rollout.paused.reason"):
        assert [one.attrs["href"] for one in kinds[path].children or () if one.type == "link_open"] == ["reasons.md"]
    assert read(kinds["serving.protocol"]) == "v1 | v2"
    assert all(read(kind).count("|") < 15 for kind in kinds.values()), "nobody reads so many words in a cell"
