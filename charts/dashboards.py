"""The Grafana dashboards of the chart, written by ``make generate`` as JSON into ``charts/serin/dashboards``.

Names of the model servers' metrics are those of :mod:`serin.analysis.runtimes`, so that people see what rollouts are
judged by. A test asks a real Prometheus every query that stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator

from charts.grafana import Json
from charts.grafana import Panel
from charts.grafana import choice
from charts.grafana import dashboard
from charts.grafana import options
from serin.analysis.runtimes import BUCKETS
from serin.analysis.runtimes import SERVERS
from serin.analysis.runtimes import Counter
from serin.analysis.runtimes import Server

RANGE = "[$__rate_interval]"
# Of one ModelDeployment, as its pods have it and as the operator tells it.
PODS = 'namespace="$namespace",serin_dev_modeldeployment="$modeldeployment"'
TOLD = 'modeldeployment_namespace="$namespace",modeldeployment="$modeldeployment"'
REVISION = "serin_dev_revision"
# client-go's and the process's own metrics have the same names in many programs: this one is the operator.
OURS = 'and on (instance, job) workqueue_depth{name="modeldeployment"}'
QUEUE = '{name="modeldeployment"}'
CONTROLLER = '{controller="modeldeployment"}'


def dashboards() -> dict[str, Json]:
    """All dashboards by the name of their file."""
    return {
        "modeldeployment.json": dashboard(
            "serin-modeldeployment", "Serin / ModelDeployment", list(_model()), [*_whose(), _slower()]
        ),
        "operator.json": dashboard("serin-operator", "Serin / Operator", list(_operator()), []),
    }


def _model() -> Iterator[Panel]:
    """What one ModelDeployment does."""
    yield Panel(
        "Phase",
        "Where the ModelDeployment is.",
        ((f"max by (phase) (serin_modeldeployment_phase{{{TOLD}}})", "{{phase}}"),),
        kind="state-timeline",
        width=12,
    )
    yield Panel(
        "Conditions",
        "Ready: the declared version has all traffic. Available: some version serves. Stalled: somebody has to act.",
        (
            (
                f"max by (condition, status, reason) (serin_modeldeployment_condition{{{TOLD}}})",
                "{{condition}} is {{status}}: {{reason}}",
            ),
        ),
        kind="state-timeline",
        width=12,
    )
    yield Panel(
        "Weights",
        "Shares of the requests as the gateway has them.",
        ((f"max by (revision) (serin_modeldeployment_traffic_weight{{{TOLD}}})", "{{revision}}"),),
        unit="percent",
        stacked=True,
        most=100,
    )
    legend = f"{{{{{REVISION}}}}}"
    yield Panel("Requests", "Requests that reached the model.", ((_either(_requests), legend),), unit="reqps")
    yield Panel(
        "Replicas", "Pods that show their metrics.", ((f"sum by ({REVISION}) (up{{{PODS}}})", legend),), stacked=True
    )
    yield Panel(
        "Errors", "Share of the requests that failed.", ((_either(_errors), legend),), unit="percentunit", most=1
    )
    yield Panel(
        "Slower than $slower s",
        "Share of the good answers that took longer.",
        ((_either(_slow), legend),),
        unit="percentunit",
        most=1,
    )
    yield Panel(
        "Latency",
        "Quantiles of the good answers, by the model servers' histograms.",
        tuple((_either(_quantile(share)), f"p{share * 100:g} {legend}") for share in (0.5, 0.95, 0.99)),
        unit="s",
    )


def _operator() -> Iterator[Panel]:
    """What the operator does."""
    yield Panel(
        "ModelDeployments", "By phase.", (("sum by (phase) (serin_modeldeployment_phase)", "{{phase}}"),), stacked=True
    )
    yield Panel(
        "Rollouts",
        "Rollouts that ended since the operator started.",
        (("sum by (outcome, reason) (serin_rollouts_total)", "{{outcome}}: {{reason}}"),),
    )
    lengths, count = (f"sum by (outcome) (serin_rollout_duration_seconds_{one})" for one in ("sum", "count"))
    yield Panel("Length of rollouts", "Mean, by outcome.", ((f"{lengths} / {count}", "{{outcome}}"),), unit="s")
    yield Panel(
        "Queue",
        "ModelDeployments in line and at work.",
        (
            (f"sum(workqueue_depth{QUEUE})", "in line"),
            (f"sum(controller_runtime_active_workers{CONTROLLER})", "at work"),
        ),
    )
    yield Panel(
        "Time in the queue",
        "How long a ModelDeployment waits until it is looked at.",
        tuple(_latency("workqueue_queue_duration_seconds", QUEUE)),
        unit="s",
    )
    yield Panel(
        "Added and tried again",
        "What comes into the queue.",
        (
            (f"sum(rate(workqueue_adds_total{QUEUE}{RANGE}))", "added"),
            (f"sum(rate(workqueue_retries_total{QUEUE}{RANGE}))", "tried again"),
        ),
        unit="ops",
    )
    yield Panel(
        "Reconciles",
        "By result.",
        ((f"sum by (result) (rate(controller_runtime_reconcile_total{CONTROLLER}{RANGE}))", "{{result}}"),),
        unit="ops",
        stacked=True,
    )
    yield Panel(
        "Length of reconciles",
        "One look at one ModelDeployment.",
        tuple(_latency("controller_runtime_reconcile_time_seconds", CONTROLLER)),
        unit="s",
    )
    yield Panel(
        "Errors of reconciles",
        "Share of the reconciles that failed.",
        (
            (
                f"sum(rate(controller_runtime_reconcile_errors_total{CONTROLLER}{RANGE}))"
                f" / sum(rate(controller_runtime_reconcile_total{CONTROLLER}{RANGE}))",
                "failed",
            ),
        ),
        unit="percentunit",
        most=1,
    )
    requests = f"rate(rest_client_requests_total{RANGE}) {OURS}"
    yield Panel(
        "Requests to the API server",
        "By method and code.",
        ((f"sum by (method, code) ({requests})", "{{method}} {{code}}"),),
        unit="reqps",
    )
    yield Panel(
        "Length of requests to the API server",
        "Until the answer.",
        tuple(_latency("rest_client_request_duration_seconds", "", OURS)),
        unit="s",
    )
    yield Panel(
        "Registries",
        "1 while the last poll of a ModelRegistry succeeded.",
        (("min by (registry) (serin_registry_up)", "{{registry}}"),),
        kind="state-timeline",
    )
    yield Panel(
        "Since the last poll",
        "How long ago a registry answered.",
        (("time() - max by (registry) (serin_registry_last_success_timestamp_seconds)", "{{registry}}"),),
        unit="s",
    )
    yield Panel(
        "Models followed",
        "Registered models whose aliases are followed.",
        (("max by (registry) (serin_registry_models_followed)", "{{registry}}"),),
    )
    yield Panel(
        "Queries to Prometheus",
        "By which candidates are judged, by result.",
        ((f"sum by (result) (rate(serin_prometheus_requests_total{RANGE}))", "{{result}}"),),
        unit="reqps",
    )
    yield Panel(
        "Memory", "Of the operator's process.", ((f"process_resident_memory_bytes {OURS}", "{{instance}}"),), "bytes"
    )
    yield Panel(
        "CPU", "Of the operator's process.", ((f"rate(process_cpu_seconds_total{RANGE}) {OURS}", "{{instance}}"),)
    )


def _either(query: Callable[[Server], str]) -> str:
    """The query for every family of model servers. A revision has pods of one."""
    return " or ".join(f"({query(server)})" for server in SERVERS.values())


def _requests(server: Server) -> str:
    return _rate(server.requests)


def _errors(server: Server) -> str:
    part = f"({_rate(server.part)} or 0 * {_rate(server.requests)}) / {_rate(server.requests)}"
    # Two counters of one scrape may be a request apart.
    return part if server.part_is_bad else f"clamp_min(1 - {part}, 0)"


def _slow(server: Server) -> str:
    quick = Counter(f"{server.durations}_bucket", _joined(server.answered, 'le="$slower"'))
    return f"1 - {_rate(quick)} / {_rate(Counter(f'{server.durations}_count', server.answered))}"


def _quantile(share: float) -> Callable[[Server], str]:
    def query(server: Server) -> str:
        buckets = Counter(f"{server.durations}_bucket", server.answered)
        return f"histogram_quantile({share}, {_rate(buckets, f'{REVISION}, le')})"

    return query


def _latency(histogram: str, matchers: str, ours: str = "") -> Iterator[tuple[str, str]]:
    for share in (0.5, 0.99):
        buckets = f"rate({histogram}_bucket{matchers}{RANGE}) {ours}".rstrip()
        yield f"histogram_quantile({share}, sum by (le) ({buckets}))", f"p{share * 100:g}"


def _rate(counter: Counter, by: str = REVISION) -> str:
    return f"sum by ({by}) (rate({counter.name}{{{_joined(PODS, counter.matchers)}}}{RANGE}))"


def _joined(*matchers: str) -> str:
    return ",".join(filter(None, matchers))


def _whose() -> Iterator[Json]:
    """Which ModelDeployment is looked at."""
    phases = "serin_modeldeployment_phase"
    yield choice("namespace", "Namespace", f"label_values({phases}, modeldeployment_namespace)")
    here = f'{phases}{{modeldeployment_namespace="$namespace"}}'
    yield choice("modeldeployment", "ModelDeployment", f"label_values({here}, modeldeployment)")


def _slower() -> Json:
    """The boundaries of the histograms, as Python's client writes them and Prometheus keeps them."""
    return options("slower", "Slower than (s)", [str(float(bucket)) for bucket in BUCKETS], "0.25")
