"""What is made from the chart and for it: ``python -m charts.generate`` writes it, ``make generate`` calls that.

- ``charts/serin/files/crds``: the CRDs of ``crds/``, since a chart can only read what lies in its own folder;
- ``charts/serin/files/defaults.yaml``: the defaults of ``values.yaml`` that the chart needs, for the same reason;
- ``charts/serin/README.md``: the table of values, from ``values.yaml`` and its comments;
- ``charts/serin/dashboards``: the Grafana dashboards, from ``charts/dashboards.py``;
- ``manifests/base/serin.yaml``: the chart as it renders with its defaults and STAND_INS, for those who use no Helm.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from charts import dashboards
from charts import grafana

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "serin"
CRDS = ROOT / "crds"
COPIES = CHART / "files" / "crds"
DEFAULTS = CHART / "files" / "defaults.yaml"
DASHBOARDS = CHART / "dashboards"
BASE = ROOT / "manifests" / "base" / "serin.yaml"
RELEASE = "serin"
NAMESPACE = "serin-system"
STAND_INS = (
    '--set-json=image.repository="localhost/serin/operator"',
    '--set-json=storageInitializer.image.repository="localhost/serin/storage-initializer"',
)
"""For the images, which have no default: names that no registry answers to. A kustomization puts its own there."""

TABLE_BEGINS = "<!-- values: made by `make generate` from values.yaml -->\n"
TABLE_ENDS = "<!-- end of values -->"
GENERATED = (
    f"# The chart as it renders with its defaults in namespace {NAMESPACE}. Made by `make generate`. Do not edit.\n"
)


@dataclass(frozen=True)
class Value:
    """One value of the chart that people may set."""

    path: tuple[str, ...]
    default: Any
    description: str

    @property
    def name(self) -> str:
        """As ``--set`` names it."""
        return ".".join(self.path)

    @property
    def needed(self) -> bool:
        """Whether nothing says something else than the default. A pod may tolerate nothing, and need no resources."""
        return not isinstance(self.default, dict) and self.default not in ("", []) and self.name != "tolerations"


def values() -> Iterator[Value]:
    """The values in the order of the file: each key before which a comment ``# --`` stands."""
    text = (CHART / "values.yaml").read_text()
    defaults = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if said := re.match(r" *# (-- )?(.*)", line):
            comment = [said[2]] if said[1] else [*comment, said[2]]
        elif key := re.match(r"( *)([a-zA-Z]\w*):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if comment:
                yield Value(tuple(path), _at(defaults, path), " ".join(comment))
            comment = []
        elif not line.strip():
            # What the head of the file says belongs to no value.
            comment = []


def defaults() -> str:
    """The text of DEFAULTS."""
    tree: dict[str, Any] = {}
    for value in values():
        if value.needed:
            parent = tree
            for part in value.path[:-1]:
                parent = parent.setdefault(part, {})
            parent[value.path[-1]] = value.default
    return "# Made by `make generate` from values.yaml. Do not edit.\n" + yaml.safe_dump(tree, sort_keys=False)


def render(*arguments: str, release: str = RELEASE, chart: Path = CHART) -> str:
    """The chart as Helm renders it, by STAND_INS and other arguments, which count more.

    Raises CalledProcessError with Helm's words in ``stderr``.
    """
    # The binary beside this Python: it is pinned with the rest of the environment.
    helm = Path(sys.executable).with_name("helm")
    argv = [str(helm), "template", release, str(chart), "--namespace", NAMESPACE, *STAND_INS, *arguments]
    # It ends before it has used much memory: to collect any costs a fifth of its time.
    environment = {**os.environ, "GOGC": "off"}
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout


def main() -> None:
    """Write everything, in the order in which it depends on each other."""
    COPIES.mkdir(parents=True, exist_ok=True)
    sources = {crd.name: crd.read_text() for crd in CRDS.glob("*.yaml")}
    for old in COPIES.iterdir():
        if old.name not in sources:
            old.unlink()
    for name, text in sources.items():
        (COPIES / name).write_text(text)
    DEFAULTS.write_text(defaults())
    for name, dashboard in dashboards.dashboards().items():
        (DASHBOARDS / name).write_text(grafana.text(dashboard))
    readme = CHART / "README.md"
    before, _, rest = readme.read_text().partition(TABLE_BEGINS)
    readme.write_text(before + TABLE_BEGINS + _table() + TABLE_ENDS + rest.partition(TABLE_ENDS)[2])
    BASE.write_text(GENERATED + render())


def _table() -> str:
    rows = [f"| `{value.name}` | `{_shown(value.default)}` | {_escaped(value.description)} |\n" for value in values()]
    return "".join(["| value | default | what it is |\n|---|---|---|\n", *rows])


def _shown(default: Any) -> str:
    """In one line; what does not fit is for values.yaml to show."""
    shown = json.dumps(default, ensure_ascii=False)
    return shown if len(shown) <= 60 else "see values.yaml"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _at(tree: Any, path: list[str]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


if __name__ == "__main__":
    main()
