"""The benchmark makes its table, and what holds at any size holds at the smallest: nothing is written at rest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SECONDS = 900

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SECONDS + 60)]


def test_quick_profile_makes_the_table(tmp_path: Path) -> None:
    results = tmp_path / "results.md"
    path = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", str(results)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    rows = {
        cells[1].strip(): cells[2].strip()
        for line in results.read_text().splitlines()
        if (cells := line.split("|"))[1:]
    }
    assert "created at once, s" in rows
    assert any(label.startswith("alias moved") and "ratio" in cell for label, cell in rows.items())
    assert rows["writes after the restart"] == "0"
    at_rest = rows["requests to the API server a minute at rest"]
    assert not re.search(r"create|update|patch|delete", at_rest), at_rest
