"""What became of each mutant, kept from one run to the next."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from tests.mutants.mutate import Mutant

ROOT = Path(__file__).parents[2]
ABOUT = ("operator/serin", "tests/conftest.py", "tests/unit", "tests/modelcheck", "tests/property", "tests/mutants")

GLANCE = "let pass by the unit tests that catch most"
TYPES = "let pass by these and by the types"
NOBODY = "let pass by everything"
TYPED = "the types"
PASSED = (GLANCE, TYPES, NOBODY)
"""How far a mutant has come that nothing has caught."""


class Records:
    """By the mutants' keys what caught them, or how far they have come."""

    def __init__(self, path: Path, *, anew: bool = False, trust: bool = False) -> None:
        self._path = path
        self._state = _state()
        self.trace = path.parent / f"trace-{self._state}"
        """Where it is kept which tests run which lines."""
        self._found: dict[str, str] = {}
        path.parent.mkdir(exist_ok=True)
        for old in path.parent.glob("trace-*"):
            if anew or old != self.trace:
                old.unlink()
        lines = path.read_text().splitlines() if path.exists() and not anew else []
        entries = [json.loads(line) for line in lines]
        for entry in entries:
            if entry["state"] == self._state or (trust and entry["by"] not in PASSED):
                self._found[entry["key"]] = entry["by"]
        if anew:
            path.write_text("")

    def last(self, mutant: Mutant) -> str | None:
        """What was found out of it last; None where nothing was."""
        return self._found.get(mutant.key)

    def add(self, mutant: Mutant, by: str) -> None:
        """Write down what has caught it."""
        self._found[mutant.key] = by
        entry = {"key": mutant.key, "by": by, "state": self._state, "place": mutant.place, "was": mutant.was}
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _state() -> str:
    """A digest of the code and of the tests."""
    digest = sha256()
    for folder in ABOUT:
        path = ROOT / folder
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]
