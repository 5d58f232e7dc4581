"""What the model servers count, and under which names: each fact about an upstream once, with its source.

A revision is told by the pods' label ``serin.dev/revision``, which Prometheus has as ``serin_dev_revision`` when the
scrape configuration copies pod labels (``podTargetLabels`` of a PodMonitor, or ``labelmap``). The servers' own labels
cannot tell revisions apart: every revision serves the model under the same name, and MLServer's ``version`` is the one
in the URL, so ``None``.

Traps that the tables avoid, all seen on MLServer 1.7.1 and kserve 0.21.0:

- A series is born with its first request: the first error of a new pod appears with the value 1 or more, and
  ``rate`` and ``increase``, which need two samples, lose it. The queries take counters as they are.
- MLServer's ``model_infer_request_failure_total`` counts unknown models and versions, does not see ``/invocations`` nor
  what was refused before it reached the model, and its duration is a summary without quantiles. ``rest_server_*`` has a
  histogram, whose name is singular (``request_duration``) where the counter's is plural (``requests_total``).
- MLServer answers 500 to a client's wrong shape, type or column, as it does to a model that fails: the traceback alone
  tells them apart. Compared with the stable one that cancels out; ``atMost`` has to leave room for the clients' share.
- kserve's Python servers count no errors. ``predict`` is counted when it ends, well or not, ``postprocess`` only after
  a ``predict`` that ended well: the difference is what failed. With more than one worker process each keeps its own
  counters and a scrape meets any of them: nothing can be counted.
- gRPC requests are in neither.
"""

from __future__ import annotations

from dataclasses import dataclass

from serin.api.analysis import Measure
from serin.api.kinds import REVISION_LABEL
from serin.api.quantities import seconds

# Prometheus turns every character that its label names cannot have into an underscore.
REVISION_SERIES_LABEL = REVISION_LABEL.replace(".", "_").replace("/", "_")

# prometheus_client/metrics.py Histogram.DEFAULT_BUCKETS, which both servers leave as they are.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@dataclass(frozen=True, slots=True)
class Counter:
    """A cumulative series: its name and the matchers that select what is meant."""

    name: str
    matchers: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """How one measure is counted: all requests, and those of them that are bad, or that are good."""

    requests: Counter
    part: Counter
    part_is_bad: bool
    boundary: float | None = None
    """Seconds above which an answer is slow, where it is not the threshold itself."""


@dataclass(frozen=True, slots=True)
class Server:
    """A family of model servers."""

    requests: Counter
    part: Counter
    part_is_bad: bool
    """Whether ``part`` counts the requests that failed; otherwise those that did not."""
    durations: str
    """Name of the histogram, without suffix."""
    answered: str
    """Matchers of the histogram's series that count: where the server tells, those of good answers only. A failure that
    took no time is no quick answer."""
    port: int
    """Where the pods show their metrics."""
    path: str
    one_process: bool
    """Whether it counts only with a single worker process."""


# mlserver/rest/app.py: starlette_exporter's PrometheusMiddleware, prefix rest_server (mlserver/settings.py), with the
# routes of mlserver/rest/app.py as path, so without probes and metadata; mlserver_mlflow/runtime.py adds /invocations.
_INFERENCE = 'method="POST",path=~".*/(infer|infer_stream|generate|generate_stream)|/invocations"'
# What reached the model: mlserver/errors.py answers 400 for a model that is not ready and for what a model raises as
# InferenceError. 404, 405 and 422 (FastAPI: not a request of the protocol) were refused before any model saw them.
_REACHED = 'status_code=~"2..|400|5.."'
_FAILED = 'status_code=~"400|5.."'

SERVERS: dict[str, Server] = {
    "MLServer": Server(
        requests=Counter("rest_server_requests_total", f"{_INFERENCE},{_REACHED}"),
        part=Counter("rest_server_requests_total", f"{_INFERENCE},{_FAILED}"),
        part_is_bad=True,
        durations="rest_server_request_duration_seconds",
        answered=f'{_INFERENCE},status_code=~"2.."',
        port=8082,
        path="/metrics",
        # The REST server is one process whatever parallel_workers says (mlserver/parallel/pool.py).
        one_process=False,
    ),
    # kserve/metrics.py, kserve/model.py Model.__call__; kserve/protocol/rest/server.py metrics_handler.
    "KServe": Server(
        requests=Counter("request_predict_seconds_count"),
        part=Counter("request_postprocess_seconds_count"),
        part_is_bad=False,
        durations="request_predict_seconds",
        answered="",
        port=8080,
        path="/metrics",
        one_process=True,
    ),
}
"""By the family of the model server, as the operator's settings name it."""


def counted(server: str, workers: int | None, measure: Measure, threshold: str | None) -> Counted | str:
    """How a measure is counted on this server, or in a sentence why it cannot be."""
    one = SERVERS.get(server)
    if one is None:
        return f"nothing is known of the metrics of {server}"
    if one.one_process and (workers or 1) > 1:
        return f"each of the {workers} workers of a {server} server counts for itself: use one, or a query of your own"
    if measure is Measure.ERROR_RATE:
        return Counted(one.requests, one.part, one.part_is_bad)
    asked = seconds(threshold or "0s")
    boundary = boundary_of(asked)
    if boundary is None:
        return f"{server}'s histogram begins at {_text(BUCKETS[0])} s: threshold {threshold} is below"
    quick = f"{one.answered},{_le(boundary)}".lstrip(",")
    return Counted(
        requests=Counter(f"{one.durations}_count", one.answered),
        part=Counter(f"{one.durations}_bucket", quick),
        part_is_bad=False,
        boundary=None if boundary == asked else boundary,
    )


def boundary_of(threshold: float) -> float | None:
    """The histogram's boundary at which a threshold is counted: the nearest that is not above it.

    Between two boundaries nobody knows where the answers lie. Those of the whole interval then count as slow: a version
    that is slower than the threshold is never taken for a quick one. None below the first boundary.
    """
    below = [bucket for bucket in BUCKETS if bucket <= threshold]
    return below[-1] if below else None


def _le(boundary: float) -> str:
    """Python's client writes 1.0, Go's writes 1, and Prometheus 3 makes 1.0 of both."""
    text = _text(boundary)
    return f'le=~"{text.replace(".", "[.]")}([.]0)?"' if boundary == int(boundary) else f'le="{text}"'


def _text(number: float) -> str:
    return f"{number:g}"
