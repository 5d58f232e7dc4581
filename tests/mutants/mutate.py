"""Small mistakes in a module: every place where one can be made, and the source with one of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from dataclasses import replace
from hashlib import sha256

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
SHOWN = 100
"""Characters of a mistake that are shown."""


@dataclass(frozen=True)
class Mutant:
    """One mistake."""

    module: str
    scope: str
    """The function that it is in, by its qualified name; "" for what runs when the module is loaded."""
    lines: range
    """Where its statement is."""
    was: str
    becomes: str
    source: str
    """The whole module with the mistake."""
    essence: str
    """The function with the mistake: the same as long as nothing else in it changes."""
    twin: int = 1
    """The how manyth of those in the function that look alike."""

    @property
    def place(self) -> str:
        """Where it is, in a word that stays true when lines move."""
        name = f"{self.module}.{self.scope}" if self.scope else self.module
        return name if self.twin == 1 else f"{name} ({self.twin})"

    @property
    def key(self) -> str:
        """What it is known by from one run to the next."""
        return sha256(f"{self.module} {self.essence}".encode()).hexdigest()[:16]


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    skipped = {id(inner) for node in nodes if not _told(node) for inner in _unmutated(node)}
    found: Counter[tuple[str, str, str]] = Counter()
    for number, node, around in _placed(tree):
        if id(node) in skipped or _told(node):
            continue
        for was, becomes, change in _changes(node):
            copy = deepcopy(tree)
            twins = list(ast.walk(copy))
            change(twins[number])
            text = ast.unparse(ast.fix_missing_locations(copy))
            if isinstance(node, ast.Constant | ast.Name) and around.parent:
                # A bare number says nothing.
                was, becomes = _text(nodes[around.parent]), _text(twins[around.parent])
            scope, essence = "", text
            if around.function is not None:
                scope, essence = around.scope, f"{around.scope} {ast.unparse(twins[around.number])}"
            one = Mutant(module, scope, _lines(around.statement), was[:SHOWN], becomes[:SHOWN], text, essence)
            found[one.scope, one.was, one.becomes] += 1
            yield replace(one, twin=found[one.scope, one.was, one.becomes])


@dataclass(frozen=True)
class _Around:
    """What a node is part of."""

    statement: ast.AST
    function: ast.AST | None = None
    """The outermost function in whose body it is."""
    number: int = 0
    """Of the function, among all nodes of the module."""
    scope: str = ""
    parent: int = 0
    """The number of the expression or argument that it is directly in."""


def _placed(tree: ast.Module) -> Iterator[tuple[int, ast.AST, _Around]]:
    """Every node with its number in ``ast.walk``, and what it is part of."""
    numbers = {id(node): number for number, node in enumerate(ast.walk(tree))}

    def below(node: ast.AST, around: _Around, names: tuple[str, ...]) -> Iterator[tuple[int, ast.AST, _Around]]:
        if isinstance(node, ast.stmt):
            around = replace(around, statement=node)
        body: list[ast.stmt] = []
        if isinstance(node, ast.ClassDef) and around.function is None:
            names = (*names, node.name)
        inside = around
        if isinstance(node, ast.FunctionDef) and around.function is None:
            body = node.body
            inside = replace(around, function=node, number=numbers[id(node)], scope=".".join((*names, node.name)))
        # What is left out of a function is inside it.
        yield numbers[id(node)], node, inside
        parent = numbers[id(node)] if isinstance(node, ast.expr | ast.keyword) else 0
        for child in ast.iter_child_nodes(node):
            yield from below(child, replace(inside if child in body else around, parent=parent), names)

    yield from below(tree, _Around(tree), ())


def _lines(statement: ast.AST) -> range:
    """The lines of a statement; of one with others inside, its head. A function is run where any of it is."""
    first, last = getattr(statement, "lineno", 0), getattr(statement, "end_lineno", 0)
    body = getattr(statement, "body", None) if not isinstance(statement, ast.FunctionDef) else None
    return range(first, body[0].lineno if isinstance(body, list) and body else last + 1)


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
Named = tuple[str, str, Change]
"""What was there, what becomes of it, and the change."""


def _changes(node: ast.AST) -> Iterator[Named]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        yield _shown(node, _set("ops", [COMPARED[type(node.ops[0])]()]))
    elif isinstance(node, ast.BoolOp):
        yield _shown(node, _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And()))
        word = " and " if isinstance(node.op, ast.And) else " or "
        for place, value in enumerate(node.values):
            last = place == len(node.values) - 1
            was = f"… {word.strip()} {_text(value)}" if last else f"{_text(value)} {word.strip()} …"
            yield was, "…", _without("values", place)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield _shown(node, _set("op", ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _shown(node, _set("value", not node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield _shown(node, _set("value", node.value + 1))
    elif isinstance(node, ast.If | ast.IfExp):
        test = _text(node.test)
        yield f"if {test}", f"if not ({test})", _set("test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Name) and node.id in SWAPPED:
        yield _shown(node, _set("id", SWAPPED[node.id]))
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield _shown(node, _set("value", ast.Constant(None)))
    elif isinstance(node, ast.Dict) and node.keys and all(isinstance(key, ast.Constant) for key in node.keys):
        for place, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            assert key is not None
            yield f"{_text(key)}: {_text(value)}", "", _without_entry(place)
    yield from _statements(node)


def _statements(node: ast.AST) -> Iterator[Named]:
    """A statement that is left out. Without a first assignment there is only a NameError, so those stay."""
    for block in ("body", "orelse"):
        statements = getattr(node, block, None)
        if not isinstance(statements, list):
            continue
        for place, statement in enumerate(statements):
            again = isinstance(statement, ast.Assign) and _rebinds(statement)
            spoken = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
            if again or spoken or isinstance(statement, ast.AugAssign | ast.Continue):
                yield _text(statement), "pass", _passed(block, place)


def _rebinds(statement: ast.Assign) -> bool:
    names = {one.id for one in ast.walk(statement.value) if isinstance(one, ast.Name)}
    return all(isinstance(target, ast.Name) and target.id in names for target in statement.targets)


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _shown(node: ast.AST, change: Change) -> Named:
    twin = deepcopy(node)
    change(twin)
    return _text(node), _text(ast.fix_missing_locations(twin)), change


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
