"""Whether a version may be deployed at all: its signature and its metrics against the gates of a rollout. Pure.

What cannot be told does not pass: a signature that cannot be read, a metric that was not logged or is not a number.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from serin.analysis.signature import Signature
from serin.analysis.signature import broken
from serin.analysis.signature import shown
from serin.analysis.words import digits_between
from serin.analysis.words import plain
from serin.api.gates import Gates
from serin.api.gates import QualityGate
from serin.api.gates import SignatureGate

# How much of what is wrong, and of what there is instead, a sentence names.
MOST_SENTENCES = 5
MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Metric:
    """The last value of one metric. ``dataset`` is None where none was named."""

    name: str
    value: float
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is something, but it cannot be told what. ``why`` is a sentence without an end."""

    why: str


@dataclass(frozen=True, slots=True)
class Record:
    """What the registry has of one version."""

    version: str
    """As people know it: v12."""
    signature: Signature | Unreadable | None = None
    """None where the version was logged without one."""
    metrics: tuple[Metric, ...] | Unreadable = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gates say, in words for people; empty where there is nothing to say."""

    signature: str = ""
    """Why the version is not deployed, for its signature."""
    quality: str = ""
    """Why it is not deployed, for its metrics."""
    warning: str = ""
    """What is wrong with its signature where that is only told."""

    @property
    def passes(self) -> bool:
        """Whether the version may be deployed."""
        return not self.signature and not self.quality


def asks_for_stable(gates: Gates) -> bool:
    """Whether what the stable version has matters."""
    compared = any(one.not_worse_than_stable is not None for one in gates.quality)
    return compared or gates.signature is not SignatureGate.IGNORE


def outcome_of(gates: Gates, candidate: Record, stable: Record | None) -> Outcome:
    """What the gates say of the candidate. Without a stable version there is nothing to break and to compare with."""
    wrong = ""
    if stable is not None and gates.signature is not SignatureGate.IGNORE:
        found = _told(_breaks(candidate, stable))
        wrong = f"the signature breaks clients of {stable.version}: {found}" if found else ""
    warns = gates.signature is SignatureGate.WARN
    poor = (sentence for gate in gates.quality if (sentence := _poor(gate, candidate, stable)))
    return Outcome(
        signature="" if warns else wrong,
        quality=_told(poor),
        warning=wrong if warns else "",
    )


def _breaks(candidate: Record, stable: Record) -> Iterator[str]:
    before, after = stable.signature, candidate.signature
    if isinstance(before, Unreadable):
        yield f"nobody can tell, since that of {stable.version} {before.why}"
    elif before is not None and isinstance(after, Unreadable):
        yield f"nobody can tell, since that of {candidate.version} {after.why}"
    elif before is not None and after is None:
        yield f"{candidate.version} was logged without a signature"
    elif before is not None and isinstance(after, Signature):
        yield from broken(before, after)


def _poor(gate: QualityGate, candidate: Record, stable: Record | None) -> str:
    """Why the version is not good enough by this metric; empty where it is."""
    value = _value(gate, candidate)
    if isinstance(value, str):
        return value
    figure = f"{shown(gate.metric)} of {candidate.version} is"
    if gate.at_least is not None and value < gate.at_least:
        here, there = _numbers(value, gate.at_least)
        return f"{figure} {here}, below {there}"
    if gate.at_most is not None and value > gate.at_most:
        here, there = _numbers(value, gate.at_most)
        return f"{figure} {here}, above {there}"
    if gate.not_worse_than_stable is None or stable is None:
        return ""
    base = _value(gate, stable)
    if isinstance(base, str):
        return base
    # In decimals, as people write them: 0.882 is not worse than 0.9 by more than 2 %, whatever binary makes of it.
    share = Decimal(gate.not_worse_than_stable.removesuffix("%")) / 100
    room = abs(Decimal(repr(base))) * share
    worse = Decimal(repr(value)) - Decimal(repr(base))
    if (worse if gate.falls else -worse) <= room:
        return ""
    here, there = _numbers(value, base)
    compared = f"worse than {there} of {stable.version} by more than {gate.not_worse_than_stable}"
    return f"{figure} {here}, {compared} ({'lower' if gate.falls else 'higher'} is better)"


def _value(gate: QualityGate, record: Record) -> float | str:
    """The metric's value, or why there is none."""
    name = shown(gate.metric)
    if isinstance(record.metrics, Unreadable):
        return f"{name} of {record.version} is not known: {record.metrics.why}"
    found = [one for one in record.metrics if one.name == gate.metric]
    if not found:
        return f"{record.version} has no metric {name} (it has {_names(one.name for one in record.metrics)})"
    # What was logged for no dataset is what the name alone means.
    chosen = [one for one in found if one.dataset == gate.dataset]
    if not chosen and gate.dataset is None and len(found) == 1:
        chosen = found
    if not chosen:
        datasets = _names(one.dataset for one in found if one.dataset is not None)
        if gate.dataset is None:
            return f"{name} of {record.version} was logged for several datasets: name one of them ({datasets})"
        return f"{record.version} has no {name} for dataset {shown(gate.dataset)} (it has {datasets})"
    value = chosen[-1].value
    # MLflow's database has the largest number in the place of an infinite one.
    if not math.isfinite(value) or abs(value) >= sys.float_info.max:
        return f"{name} of {record.version} is not a number"
    return value


def _told(sentences: Iterable[str]) -> str:
    """The first of them in one, and how many there are more."""
    said = list(sentences)
    more = len(said) - MOST_SENTENCES
    return "; ".join(said[:MOST_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


def _names(names: Iterable[str]) -> str:
    known = sorted(set(names))
    more = len(known) - MOST_NAMES
    listed = ", ".join(shown(name, 30) for name in known[:MOST_NAMES]) or "none"
    return f"{listed} and {more} more" if more > 0 else listed


def _numbers(value: float, other: float) -> tuple[str, str]:
    """Such as 0.882 and 0.9: as much of them as shows that they differ."""
    more = digits_between(value, other, plain)
    return plain(value, more), plain(other, more)
