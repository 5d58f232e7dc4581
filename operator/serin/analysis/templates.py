"""Queries of people's own: Jinja2 templates that become PromQL, written by somebody who may mean harm.

Rendering cannot be interrupted from outside without a thread or a clock, so a template has no means to take long: only
names, constants, comparisons, conditions and a handful of filters are let through, by their nodes in the syntax tree,
before anything is compiled (Jinja2 computes constant expressions while compiling). There are no loops, calls, macros,
assignments, attributes, subscripts or arithmetic, so what comes out is at most as long as the template with its
variables put in.

Values are escaped so that they stay what they are: every character but letters, digits, ``_``, ``.`` and ``-`` becomes
a Go escape (``\\x22``), which PromQL's quoted strings read as the character and which is a syntax error anywhere else.
A name can thus never end a string, nor add a matcher or an operator.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2 import TemplateError
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from serin.api.analysis import QUERY_MAX_LENGTH

QUERY_LIMIT = 16_384
"""Characters of a rendered query."""
DEEPEST = 32
"""Brackets within each other, in a template."""

VARIABLES: dict[str, str] = {
    "name": "Name of the ModelDeployment.",
    "namespace": "Its namespace.",
    "model": "Registered model name.",
    "version": "The candidate's version, such as 13.",
    "revision": "The candidate's revision, as the pods' label serin.dev/revision has it.",
    "stable_version": "The stable one's version.",
    "stable_revision": "The stable one's revision.",
    "weight": "Percent of the requests that the candidate has.",
    "step": "Number of the step, from 1.",
    "seconds": "Whole seconds since the step began, at least 1: for a range such as [{{ seconds }}s].",
}
"""What a template may use."""

_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Filter,
)
# What parsing, compiling and rendering may end in: nesting that only Python's own compiler finds too deep, for one.
_FAILURES = (TemplateError, ArithmeticError, TypeError, ValueError, RecursionError, MemoryError, SyntaxError)
_PLAIN = re.compile(r"[A-Za-z0-9_.\-]")


class RefusedTemplateError(ValueError):
    """The template is not one, or uses what it must not; the message is for the status."""


def _regex(value: object) -> str:
    return re.escape(str(value))


FILTERS = {"regex": _regex, "lower": lambda value: str(value).lower(), "upper": lambda value: str(value).upper()}
"""``regex`` makes a value stand for itself in a regular expression, as in ``=~"{{ model | regex }}.*"``."""


def render(template: str, values: Mapping[str, str | int]) -> str:
    """The query. ``values`` has exactly :data:`VARIABLES`. Raises RefusedTemplateError."""
    if set(values) != set(VARIABLES):
        raise ValueError(f"a query's variables are {', '.join(VARIABLES)}")
    check(template)
    try:
        query = _environment().from_string(template).render(values)
    except RefusedTemplateError:
        raise
    except _FAILURES as error:
        raise RefusedTemplateError(_sentence(error)) from error
    if len(query) > QUERY_LIMIT:
        raise RefusedTemplateError(f"the query is {len(query)} characters long; at most {QUERY_LIMIT} are allowed")
    return query


def check(template: str) -> None:
    """Raises RefusedTemplateError for what must not be rendered. Takes milliseconds, whatever it is given."""
    if len(template) > QUERY_MAX_LENGTH:
        raise RefusedTemplateError(
            f"the template is {len(template)} characters long; at most {QUERY_MAX_LENGTH} are allowed"
        )
    _check_depth(template)
    try:
        for node in _environment().parse(template).find_all(nodes.Node):
            _check_node(node)
    except RefusedTemplateError:
        raise
    except _FAILURES as error:
        raise RefusedTemplateError(_sentence(error)) from error


def _check_depth(template: str) -> None:
    """The parser goes down with brackets, prefixes and conditions: how deep is bounded before it is asked."""
    depth = 0
    for character in template:
        depth += (character in "([{") - (character in ")]}")
        if depth > 2 * DEEPEST:
            raise RefusedTemplateError(f"more than {DEEPEST} brackets within each other")
    for word in ("not", "if", "|"):
        if template.count(word) > 4 * DEEPEST:
            raise RefusedTemplateError(f"too many {word!r}")


def _check_node(node: nodes.Node) -> None:
    line = f"line {node.lineno}: " if node.lineno else ""
    if not isinstance(node, _NODES):
        raise RefusedTemplateError(f"{line}{type(node).__name__} is not allowed in a query's template")
    if isinstance(node, nodes.Filter) and (node.name not in FILTERS or node.args or node.kwargs):
        allowed = ", ".join(FILTERS)
        raise RefusedTemplateError(
            f"{line}the filter {node.name} is not allowed; there are {allowed}, without arguments"
        )
    if isinstance(node, nodes.Name) and node.name not in VARIABLES:
        raise RefusedTemplateError(f"{line}{node.name} is unknown; there are {', '.join(VARIABLES)}")


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=_escape, autoescape=False, cache_size=0, keep_trailing_newline=False
    )
    environment.globals.clear()
    environment.filters = dict(FILTERS)
    environment.tests = {}
    return environment


def _escape(value: Any) -> Any:
    """What an expression puts into the query."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RefusedTemplateError(f"{type(value).__name__} cannot be put into a query")
    return "".join(one if _PLAIN.match(one) else _go_escape(one) for one in str(value))


def _go_escape(character: str) -> str:
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _sentence(error: BaseException) -> str:
    line = getattr(error, "lineno", None)
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return f"line {line}: {words}" if line else words
