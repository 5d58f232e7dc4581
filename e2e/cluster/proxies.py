"""Keep what is asked of a local cluster away from a proxy that the environment names.

kubectl, helm and Python's clients would ask it for addresses that only this machine has.
"""

import os
from collections.abc import Sequence

# Go looks at the first before the second, Python and curl the other way round.
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def go_around(addresses: Sequence[str]) -> None:
    """Have no proxy asked for `addresses` by this process and what it starts."""
    told = [one for name in _EXCEPTIONS for one in os.environ.get(name, "").split(",") if one]
    os.environ.update(dict.fromkeys(_EXCEPTIONS, ",".join(dict.fromkeys([*told, *addresses]))))


def settings() -> list[str]:
    """What a person's shell needs, too, as NAME=VALUE; nothing where no proxy is named."""
    if not any(name.upper() in _PROXIES and value for name, value in os.environ.items()):
        return []
    return [f"{name}={os.environ[name]}" for name in _EXCEPTIONS if name in os.environ]
