"""Every reason and every phase that people may meet is used by the operator, and asserted by a test by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from serin.api.reasons import SENTENCES
from serin.api.reasons import Reason
from serin.api.status import Phase

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "serin"
TESTS = ROOT / "tests" / "unit"


def trees(folder: Path, files: str) -> Iterator[ast.Module]:
    """The modules that speak of a reason or a phase at all."""
    for path in folder.rglob(files):
        text = path.read_text()
        if path.name != "reasons.py" and ("Reason." in text or "Phase." in text):
            yield ast.parse(text)


def named(tree: ast.AST) -> set[tuple[str, str]]:
    """All that occurs as a member of something does: of what, and which."""
    return {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def claims(tree: ast.Module) -> Iterator[ast.AST]:
    """What a test module compares with: its assertions, its parameters, and tables that it has for them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from node.decorator_list
    yield from (node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign))


@cache
def asserted() -> set[tuple[str, str]]:
    return {member for tree in trees(TESTS, "test_*.py") for claim in claims(tree) for member in named(claim)}


@cache
def used() -> set[tuple[str, str]]:
    return {member for tree in trees(OPERATOR, "*.py") for member in named(tree)}


@pytest.mark.parametrize("enum", [Reason, Phase])
def test_every_member_is_used_by_the_operator_and_asserted_by_a_test(enum: type[StrEnum]) -> None:
    members = {(enum.__name__, member.name) for member in enum}
    assert members - used() == set(), "nothing in the operator says these"
    assert members - asserted() == set(), "no test asserts these"


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
