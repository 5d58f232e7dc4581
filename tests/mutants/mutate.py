"""Small mistakes in a module: every place where one can be made, and the source with one of them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """One mistake."""

    module: str
    line: int
    kind: str
    was: str
    """The expression or statement as it was."""
    source: str


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    tree = ast.parse(source)
    places = [node for node in ast.walk(tree) if not _told(node)]
    skipped = {id(inner) for node in places for inner in _unmutated(node)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped or _told(node):
            continue
        for kind, change in _changes(node):
            copy = deepcopy(tree)
            twin = list(ast.walk(copy))[number]
            change(twin)
            text = ast.unparse(ast.fix_missing_locations(copy))
            yield Mutant(module, getattr(node, "lineno", 0), kind, ast.unparse(node).splitlines()[0][:90], text)


def _told(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr | ast.FormattedValue)


def _unmutated(node: ast.AST) -> Iterator[ast.AST]:
    """What is read by people or by type checkers alone: annotations, decorators and messages."""
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.args, *node.args.kwonlyargs]
        parts = [node.returns, *node.decorator_list, *(one.annotation for one in arguments)]
    elif isinstance(node, ast.ClassDef):
        parts = list(node.decorator_list)
    elif isinstance(node, ast.AnnAssign):
        parts = [node.annotation]
    elif isinstance(node, ast.JoinedStr):
        parts = [node]
    elif isinstance(node, ast.Assign) and any(
        isinstance(one, ast.Name) and one.id == "Carried" for one in node.targets
    ):
        parts = [node.value]
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


Change = Callable[[ast.AST], None]


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        yield "comparison", _set("ops", [COMPARED[type(node.ops[0])]()])
    elif isinstance(node, ast.BoolOp):
        yield "and/or", _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for place in range(len(node.values)):
            yield "operand removed", _without("values", place)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield "plus/minus", _set("op", ast.Sub() if isinstance(node.op, ast.Add) else ast.Add())
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", _set("value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", _set("value", node.value + 1)
    elif isinstance(node, ast.If | ast.IfExp):
        yield "condition", _set("test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Name) and node.id in SWAPPED:
        yield "swapped", _set("id", SWAPPED[node.id])
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield "return", _set("value", ast.Constant(None))
    elif isinstance(node, ast.Dict) and node.keys and all(isinstance(key, ast.Constant) for key in node.keys):
        for place in range(len(node.keys)):
            yield "entry removed", _without_entry(place)
    yield from _statements(node)


def _statements(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """A statement that is left out. Without a first assignment there is only a NameError, so those stay."""
    for block in ("body", "orelse"):
        statements = getattr(node, block, None)
        if not isinstance(statements, list):
            continue
        for place, statement in enumerate(statements):
            again = isinstance(statement, ast.Assign) and _rebinds(statement)
            spoken = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
            if again or spoken or isinstance(statement, ast.AugAssign | ast.Continue):
                yield "statement removed", _passed(block, place)


def _rebinds(statement: ast.Assign) -> bool:
    names = {one.id for one in ast.walk(statement.value) if isinstance(one, ast.Name)}
    return all(isinstance(target, ast.Name) and target.id in names for target in statement.targets)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _set(name: str, value: object) -> Change:
    return lambda node: setattr(node, name, deepcopy(value))


def _without(name: str, place: int) -> Change:
    def change(node: ast.AST) -> None:
        values = getattr(node, name)
        values.pop(place)
        if len(values) == 1:
            values.append(deepcopy(values[0]))

    return change


def _without_entry(place: int) -> Change:
    def change(node: ast.AST) -> None:
        assert isinstance(node, ast.Dict)
        node.keys.pop(place)
        node.values.pop(place)

    return change


def _passed(block: str, place: int) -> Change:
    def change(node: ast.AST) -> None:
        getattr(node, block)[place] = ast.Pass()

    return change
