"""The locked environments agree: what is tested is what runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(environment: str) -> dict[str, str]:
    return dict(PIN.findall((REQUIREMENTS / f"{environment}.txt").read_text()))


@pytest.mark.parametrize("environment", ["runtime", "cli"])
def test_what_is_tested_is_what_runs(environment: str) -> None:
    tested, runs = pins("dev"), pins(environment)
    assert runs
    unlike = {name: (version, tested.get(name)) for name, version in runs.items() if tested.get(name) != version}
    assert unlike == {}, "make lock"


def test_every_lock_has_hashes_and_no_address() -> None:
    files = [*REQUIREMENTS.glob("*.txt"), *REQUIREMENTS.parent.glob("*/**/requirements.txt")]
    for file in (file for file in files if ".venv" not in file.parts):
        text = file.read_text()
        assert len(PIN.findall(text)) <= text.count("--hash="), file
        assert "://" not in text, file
