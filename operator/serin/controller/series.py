"""The metrics that each ModelDeployment has of its own, made when they are asked for.

Series a ModelDeployment: its phase, the candidate's weight, three conditions and the weight of each revision with
traffic. They go when it goes. They are told apart by ``modeldeployment_namespace`` and ``modeldeployment``: in
``namespace`` Prometheus has the namespace of the pod that it scrapes, and a label of that name would become
``exported_namespace`` in one installation and not in the next.

Not by Gauge: the client library keeps an object with a lock for each series, four kilobytes a ModelDeployment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serin.api.status import ConditionType
from serin.api.status import ModelDeploymentStatus
from serin.controller.queue import Key

LABELS = ("modeldeployment_namespace", "modeldeployment")
TOLD_CONDITIONS = frozenset({ConditionType.READY, ConditionType.AVAILABLE, ConditionType.STALLED})


class _Told(NamedTuple):
    """What is told of one ModelDeployment."""

    phase: str
    weight: int
    conditions: tuple[tuple[str, str, str], ...]
    traffic: tuple[tuple[str, str, int], ...]


class Series(Collector):
    """Where all ModelDeployments are now."""

    def __init__(self) -> None:
        self._told: dict[Key, _Told] = {}
        self._conditions: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        """There are few of them: each is kept once."""

    def put(self, key: Key, status: ModelDeploymentStatus) -> None:
        """One ModelDeployment is here now."""
        told = ((one.type, one.status, one.reason) for one in status.conditions if one.type in TOLD_CONDITIONS)
        self._told[key] = _Told(
            phase=sys.intern(str(status.phase)),
            weight=status.rollout.weight if status.rollout is not None else 0,
            conditions=tuple(self._conditions.setdefault(one, one) for one in told),
            traffic=tuple((sys.intern(one.version), one.revision, one.weight) for one in status.traffic),
        )

    def drop(self, key: Key) -> None:
        """One ModelDeployment is gone."""
        self._told.pop(key, None)

    def describe(self) -> Iterator[Metric]:
        """The families without their series."""
        for name, text, labels, _ in FAMILIES:
            yield GaugeMetricFamily(name, text, labels=labels)

    def collect(self) -> Iterator[Metric]:
        """The families with their series. One at a time: all of them at once are megabytes."""
        for name, text, labels, rows in FAMILIES:
            family = GaugeMetricFamily(name, text, labels=labels)
            for key, told in self._told.items():
                for further, value in rows(told):
                    family.add_metric((*key, *further), value)
            yield family
            del family


Rows = Iterator[tuple[tuple[str, ...], float]]


def _phase(told: _Told) -> Rows:
    yield (told.phase,), 1


def _weight(told: _Told) -> Rows:
    yield (), told.weight


def _conditions(told: _Told) -> Rows:
    for one in told.conditions:
        yield one, 1


def _traffic(told: _Told) -> Rows:
    for version, revision, weight in told.traffic:
        yield (version, revision), weight


FAMILIES: tuple[tuple[str, str, tuple[str, ...], Callable[[_Told], Rows]], ...] = (
    ("serin_modeldeployment_phase", "1 for the phase it is in.", (*LABELS, "phase"), _phase),
    (
        "serin_modeldeployment_candidate_weight",
        "Percent of the requests by the step that the candidate is in.",
        LABELS,
        _weight,
    ),
    (
        "serin_modeldeployment_condition",
        "1 for the status and reason that the conditions Ready, Available and Stalled have.",
        (*LABELS, "condition", "status", "reason"),
        _conditions,
    ),
    (
        "serin_modeldeployment_traffic_weight",
        "Percent of the requests that a revision gets, as the gateway has it.",
        (*LABELS, "version", "revision"),
        _traffic,
    ),
)
