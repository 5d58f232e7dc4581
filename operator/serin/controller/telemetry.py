"""Metrics and logs. Those of queue, reconciles and client have controller-runtime's names: its dashboards work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from collections.abc import Iterator
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client import Counter
from prometheus_client import Gauge
from prometheus_client import Histogram
from prometheus_client import PlatformCollector
from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from serin.api.status import HistoryEntry
from serin.api.status import ModelDeploymentStatus
from serin.controller.queue import Key
from serin.controller.queue import Queue
from serin.controller.series import Series

CONTROLLER = "modeldeployment"
RESULTS = ("success", "requeue_after", "gone", "error")
SHORT_TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROLLOUT_TIMES = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 43200, 86400)


class Telemetry:
    """All metrics of the operator, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.reconciles = Counter(
            "controller_runtime_reconcile", "Reconciles by result.", ("controller", "result"), registry=self.registry
        )
        self.reconcile_errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciles that failed.", ("controller",), registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Length of a reconcile.",
            ("controller",),
            buckets=SHORT_TIMES,
            registry=self.registry,
        )
        self.queue_seconds = Histogram(
            "workqueue_queue_duration_seconds",
            "How long a key waited.",
            ("name", "controller"),
            buckets=SHORT_TIMES,
            registry=self.registry,
        )
        self.work_seconds = Histogram(
            "workqueue_work_duration_seconds",
            "How long the work on a key took.",
            ("name", "controller"),
            buckets=SHORT_TIMES,
            registry=self.registry,
        )
        self.requests = Counter(
            "rest_client_requests",
            "Requests to the API server, by method and code.",
            ("method", "code"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Length of a request to the API server.",
            ("method",),
            buckets=SHORT_TIMES,
            registry=self.registry,
        )
        self._series = Series()
        self.registry.register(self._series)
        self.rollouts = Counter(
            "serin_rollouts",
            "Rollouts that ended, by outcome and reason.",
            ("modeldeployment_namespace", "outcome", "reason"),
            registry=self.registry,
        )
        self.rollout_seconds = Histogram(
            "serin_rollout_duration_seconds",
            "Length of a rollout.",
            ("outcome",),
            buckets=ROLLOUT_TIMES,
            registry=self.registry,
        )
        self.registry_up = Gauge(
            "serin_registry_up",
            "1 while the last poll of the registry succeeded.",
            ("registry",),
            registry=self.registry,
        )
        self.followed = Gauge(
            "serin_registry_models_followed",
            "Registered models whose aliases are followed.",
            ("registry",),
            registry=self.registry,
        )
        self.measurements = Counter(
            "serin_prometheus_requests",
            "Queries to Prometheus, by result.",
            ("result",),
            registry=self.registry,
        )
        # A counter that is born with its first error loses it: a rate needs two samples.
        self.reconcile_errors.labels(CONTROLLER)
        for result in RESULTS:
            self.reconciles.labels(CONTROLLER, result)
        for result in ("success", "error"):
            self.measurements.labels(result)

    def watch_queue(self, queue: Queue, workers: int, clock: Callable[[], float]) -> None:
        """Read the queue's own counts when the metrics are asked for. ``clock``: that of the queue's times."""
        self.registry.register(_QueueCollector(queue, workers, clock))

    def request(self, method: str, code: int, seconds: float) -> None:
        """One request to the API server was answered."""
        self.requests.labels(method, str(code) if code else "<error>").inc()
        self.request_seconds.labels(method).observe(seconds)

    def reconciled(self, result: str, waited: float, worked: float) -> None:
        """One reconcile is over."""
        self.reconciles.labels(CONTROLLER, result).inc()
        if result == "error":
            self.reconcile_errors.labels(CONTROLLER).inc()
        self.reconcile_seconds.labels(CONTROLLER).observe(worked)
        self.queue_seconds.labels(CONTROLLER, CONTROLLER).observe(waited)
        self.work_seconds.labels(CONTROLLER, CONTROLLER).observe(worked)

    def measured(self, result: str) -> None:
        """One query to Prometheus was answered ("success") or not ("error")."""
        self.measurements.labels(result).inc()

    def decided(self, key: Key, status: ModelDeploymentStatus) -> None:
        """Where a ModelDeployment is now. Series that say where it was end."""
        self._series.put(key, status)

    def ended(self, key: Key, entry: HistoryEntry) -> None:
        """A rollout ended."""
        self.rollouts.labels(key.namespace, entry.outcome, entry.reason).inc()
        self.rollout_seconds.labels(entry.outcome).observe((entry.ended_at - entry.started_at).total_seconds())

    def gone(self, key: Key) -> None:
        """A ModelDeployment was deleted: its series end."""
        self._series.drop(key)

    def namespace_gone(self, namespace: str) -> None:
        """A namespace was deleted: its series end."""
        self.rollouts.remove_by_labels({"modeldeployment_namespace": namespace})

    def registry_polled(self, registry: str, *, up: bool, followed: int) -> None:
        """A registry answers or does not, and so many models of it are followed."""
        self.registry_up.labels(registry).set(1 if up else 0)
        self.followed.labels(registry).set(followed)

    def registry_gone(self, registry: str) -> None:
        """A ModelRegistry was deleted: its series end."""
        for gauge in (self.registry_up, self.followed):
            with contextlib.suppress(KeyError):
                gauge.remove(registry)

    def watch_registries(self, polled: Callable[[], dict[str, datetime]]) -> None:
        """Read when registries were polled when the metrics are asked for."""
        self.registry.register(_PollCollector(polled))


class _PollCollector(Collector):
    """When each registry last answered."""

    def __init__(self, polled: Callable[[], dict[str, datetime]]) -> None:
        self._polled = polled

    def collect(self) -> Iterator[Metric]:
        last = GaugeMetricFamily(
            "serin_registry_last_success_timestamp_seconds", "When the registry last answered.", labels=("registry",)
        )
        for name, moment in self._polled().items():
            last.add_metric((name,), moment.timestamp())
        yield last


class _QueueCollector(Collector):
    """The queue as Prometheus sees it, under client-go's names."""

    def __init__(self, queue: Queue, workers: int, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._workers = workers
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        labels = ("name", "controller")
        values = (CONTROLLER, CONTROLLER)
        now = self._clock()
        working = [now - began for began in self._queue.in_flight.values()]
        for name, about, value in (
            ("workqueue_depth", "Keys in line.", len(self._queue)),
            ("workqueue_unfinished_work_seconds", "Seconds of work that is not done yet, in all.", sum(working)),
            (
                "workqueue_longest_running_processor_seconds",
                "Seconds of the longest work that is not done yet.",
                max(working, default=0.0),
            ),
        ):
            gauge = GaugeMetricFamily(name, about, labels=labels)
            gauge.add_metric(values, value)
            yield gauge
        for name, about, value in (
            ("controller_runtime_active_workers", "Workers at work.", len(working)),
            ("controller_runtime_max_concurrent_reconciles", "Workers.", self._workers),
        ):
            gauge = GaugeMetricFamily(name, about, labels=("controller",))
            gauge.add_metric((CONTROLLER,), value)
            yield gauge
        adds = CounterMetricFamily("workqueue_adds", "Keys added.", labels=labels)
        adds.add_metric(values, self._queue.counts.adds)
        yield adds
        retries = CounterMetricFamily("workqueue_retries", "Keys that come back after a failure.", labels=labels)
        retries.add_metric(values, self._queue.counts.retries)
        yield retries


def set_up_logging(level: str, form: str) -> None:
    """One line an event, as JSON or for people; the libraries' logs in the same form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # kopf tells every event of every object at INFO.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
