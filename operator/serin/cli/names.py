"""Names as people write them: checked before they become part of a request's path, kubectl's prefixes taken away.

A name that is empty would ask for the whole collection, one with a slash for a subresource, one with a question mark
for something else of the same object.
"""

from __future__ import annotations

import re

import typer

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
NAMESPACE = re.compile(LABEL)
LONGEST_NAME = 253
LONGEST_NAMESPACE = 63
NAME_RULE = f"lower case letters and digits, '-' and '.' between them, at most {LONGEST_NAME}"
NAMESPACE_RULE = f"lower case letters and digits, '-' between them, at most {LONGEST_NAMESPACE}"
# As kubectl takes a resource before a name: by its short name, kind or plural, with group and version or without.
PREFIX = re.compile(r"^(mdep|modeldeployments?(\.v1alpha1)?(\.serin\.dev)?)/", re.IGNORECASE)


def plain_name(value: str | None) -> str | None:
    """The name of a ModelDeployment. Raises BadParameter where it can be none."""
    if value is None:
        return None
    name = PREFIX.sub("", value)
    if not name:
        raise typer.BadParameter("the name is empty; is the variable that it comes from set?")
    if "/" in name:
        raise typer.BadParameter(f"{value!r} is no name of a ModelDeployment; write NAME, or modeldeployment/NAME")
    if not _fits(name, NAME, LONGEST_NAME):
        raise typer.BadParameter(f"{name!r} is no name: {NAME_RULE}")
    return name


def plain_namespace(value: str | None) -> str | None:
    """The name of a namespace. Raises BadParameter where it can be none."""
    if value == "":
        raise typer.BadParameter("the namespace is empty; leave the option out for the context's")
    if value is not None and not is_namespace(value):
        raise typer.BadParameter(f"{value!r} is no namespace: {NAMESPACE_RULE}")
    return value


def something(value: str | None) -> str | None:
    """What an option says. Raises BadParameter where that is nothing: taken for not said, an order might go to another
    cluster than the one that a script means."""
    if value == "":
        raise typer.BadParameter("it is empty; leave the option out, or set the variable that it comes from")
    return value


def is_namespace(value: str) -> bool:
    """Whether a namespace may be called so."""
    return _fits(value, NAMESPACE, LONGEST_NAMESPACE)


def _fits(value: str, pattern: re.Pattern[str], longest: int) -> bool:
    return len(value) <= longest and pattern.fullmatch(value) is not None
