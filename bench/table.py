"""The figures as a Markdown table, with what they were measured on."""

from __future__ import annotations

import math
import os
import platform
import subprocess
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bench.latency import Contest
from bench.scale import Burst
from bench.scale import Rest
from bench.scale import Restart
from e2e import tools

ROOT = Path(__file__).parent.parent
PACKAGES = ("kopf", "kubernetes", "aiohttp", "pydantic", "mlflow-skinny")
MODULES = {
    "kubernetes": "k8s.io/kubernetes",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kserve": "github.com/kserve/kserve",
}
CHANGES = {
    "env": "spec changed (env) → InferenceService written",
    "version": "spec changed (version, which MLflow is asked for) → InferenceService written",
    "alias": "alias moved (from the listing that shows it) → InferenceService written",
}


@dataclass
class Figures:
    """What was measured with one number of objects. What was not measured is None or empty."""

    objects: int
    copies_of: int | None = None
    """So many were settled by themselves; all others are copies of them."""
    empty: Restart | None = None
    """Without any object."""
    contests: dict[str, Contest] = field(default_factory=dict)
    burst: Burst | None = None
    rest: Rest | None = None
    restarts: list[Restart] = field(default_factory=list)


def table(all_figures: list[Figures]) -> str:
    """One column for each number of objects."""
    rows = [_row("", [_heading(one) for one in all_figures])]
    rows.append("|---|" + "---|" * len(all_figures))
    columns = [_column(one) for one in all_figures]
    labels = dict.fromkeys(label for column in columns for label in column)
    rows.extend(_row(label, [column.get(label, "") for column in columns]) for label in labels)
    return "\n".join(rows)


def surroundings() -> str:
    """Machine, versions, date and commit: without them figures mean nothing."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) >> 20
    commit = _git("rev-parse", "--short", "HEAD") + (
        " with changes" if _git("status", "--porcelain", "operator") else ""
    )
    ours = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    theirs = ", ".join(f"{tool} {tools.module_version(tool, module)}" for tool, module in MODULES.items())
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return "\n".join(
        [
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}",
            f"- {os.cpu_count()} cores ({model}), {memory} GiB, Linux {platform.release()}; load average {load}",
            f"- Python {platform.python_version()}, {ours}",
            f"- {theirs}; kubelets and gateway are played, everything else is real and on the same cores",
        ]
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _row(label: str, cells: list[str]) -> str:
    return "| " + " | ".join([label, *cells]) + " |"


def _heading(one: Figures) -> str:
    return f"{one.objects:,} objects" + (f", copies of {one.copies_of}" if one.copies_of is not None else "")


def _column(one: Figures) -> dict[str, str]:
    column: dict[str, str] = {}
    for what, contest in one.contests.items():
        column |= _contest(CHANGES[what], contest)
    if one.burst is not None:
        column |= _burst(one.burst, one.objects)
    if one.restarts:
        column |= _restarts(one.restarts, one.objects)
    if one.rest is not None:
        column |= _rest(one.rest)
    if one.empty is not None:
        column["resident memory with no object, MiB"] = f"{one.empty.resident:.0f}"
    return column


def _contest(what: str, contest: Contest) -> dict[str, str]:
    rows = {}
    for label, rank in (("p50", 0.5), ("p99", 0.99)):
        ours, bare = _percentile(contest.ours, rank) * 1000, _percentile(contest.bare, rank) * 1000
        rows[f"{what}, {label}"] = (
            f"{ours:.1f} ms, bare client {bare:.1f} ms, ratio **{ours / bare:.2f}** (n={len(contest.ours)})"
        )
    return rows


def _burst(one: Burst, objects: int) -> dict[str, str]:
    by_resource = ", ".join(f"{count / objects:.1f} {resource}" for resource, count in one.writes.most_common())
    return {
        "created at once, s": f"{one.creating:.1f}",
        "until all InferenceServices are written, s": f"{one.written:.1f}",
        "until all are Healthy, with KServe's pace, s": f"{one.healthy:.1f}",
        "writes of the operator for each until Healthy": f"{one.writes.total() / objects:.1f} ({by_resource})",
        "processor time of the operator for each until Healthy, ms": f"{one.cpu / objects * 1000:.1f}",
        "resident memory after that, MiB": f"{one.resident:.0f}",
    }


def _restarts(several: list[Restart], objects: int) -> dict[str, str]:
    return {
        f"restart: until all are looked at, s (n={len(several)})": _spread([one.looked_at for one in several]),
        "of which until ready, s": _spread([one.ready for one in several]),
        "processor time of the whole start, s": _spread([one.cpu for one in several]),
        "looks until then": _spread([one.looks for one in several], 0),
        "until the last watch runs, s": _spread([one.watching for one in several]),
        "writes after the restart": _spread([one.writes for one in several], 0),
        "resident memory after the restart, MiB": _spread([one.resident for one in several], 0),
    }


def _rest(one: Rest) -> dict[str, str]:
    minutes = one.seconds / 60
    said = ", ".join(f"{count / minutes:.1f} {verb}" for verb, count in sorted(one.requests.items())) or "0"
    return {
        "requests to the API server a minute at rest": said,
        "requests to the registry a minute at rest": f"{one.polls / minutes:.1f}",
        "processor time a minute at rest, s": f"{one.cpu / minutes:.2f}",
        "resident memory at rest, MiB": f"{one.resident:.0f}",
    }


def _spread(values: list[float] | list[int], digits: int = 1) -> str:
    low, high = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _percentile(values: list[float], rank: float) -> float:
    """Nearest rank: a value that was measured, never one between two."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(rank * len(ordered)) - 1)]
