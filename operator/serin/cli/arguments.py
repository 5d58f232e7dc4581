"""Arguments as kubectl lets people write them, in the form that the commands read."""

from __future__ import annotations

import re

# Of kubectl's options those that say where; people write them before the verb, too.
PLACE = ("--namespace", "--context", "--kubeconfig")
SHORT = re.compile(r"-[nof]=.*", re.DOTALL)


def arranged(arguments: list[str]) -> list[str]:
    """``-n=x`` as ``-n x``, and what says where behind the verb, where it belongs to it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [part for one in arguments[:end] for part in ((one[:2], one[3:]) if SHORT.fullmatch(one) else (one,))]
    rest += arguments[end:]
    ahead: list[str] = []
    while rest and _says_where(rest[0]):
        option = rest.pop(0)
        ahead.append(option)
        whole = "=" in option or (option.startswith("-n") and option != "-n")
        if not whole and rest:
            ahead.append(rest.pop(0))
    return [*rest[:1], *ahead, *rest[1:]] if rest else []


def _says_where(argument: str) -> bool:
    return argument.partition("=")[0] in PLACE or (argument.startswith("-n") and not argument.startswith("--"))
