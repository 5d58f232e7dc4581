"""Reads the metrics of a version: those of the model itself, which MLflow 3 knows, before those of its run.

A run may log several models, checkpoints of one training for instance; what MLflow linked to the model is the model's
own. The run has what was logged for no model, and everything of MLflow 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar
from urllib.parse import quote

from serin.analysis.gates import Metric
from serin.api.reasons import Reason
from serin.registry import answers
from serin.registry.answers import LoggedMetric
from serin.registry.config import RegistryConfig
from serin.registry.refusals import Answer
from serin.registry.refusals import failure
from serin.registry.wire import Wire

T = TypeVar("T", answers.RunMetricsAnswer, answers.LoggedModelMetricsAnswer)


async def read_metrics(
    config: RegistryConfig, wire: Wire, run_id: str | None, model_id: str | None
) -> tuple[Metric, ...]:
    """The last value of each metric and dataset. A run or model that is gone has none. Raises RegistryError."""
    run, model = None, None
    if run_id is not None:
        answer = await wire.get(answers.GET_RUN, {"run_id": run_id})
        run = _there(config, answer, answers.RunMetricsAnswer)
    if model_id is not None:
        answer = await wire.get(f"{answers.GET_LOGGED_MODEL}/{quote(model_id, safe='')}", {})
        model = _there(config, answer, answers.LoggedModelMetricsAnswer)
    of_run = run.run.data.metrics if run is not None else ()
    of_model = model.model.data.metrics if model is not None else ()
    return _merged(of_model, of_run, run_id)


def _there(config: RegistryConfig, answer: Answer, kind: type[T]) -> T | None:
    if answer.status == 403 and b"Invalid Host header" not in answer.body:
        what = "refuses to show the operator's login the metrics (403): give it READ permission on the experiments."
        raise failure(config, Reason.REGISTRY_REFUSED, what, transient=False)
    # Also where the server has no logged models at all: before MLflow 3 their route is 404.
    return None if answer.status == 404 else answers.parse(config, answer, kind)


def _merged(of_model: Iterable[LoggedMetric], of_run: Iterable[LoggedMetric], run_id: str | None) -> tuple[Metric, ...]:
    run = {one.key: one for one in of_run}
    newest: dict[tuple[str, str], LoggedMetric] = {}
    for one in of_model:
        place = one.key, one.dataset_name
        known = newest.get(place)
        if known is None or (known.timestamp, known.step) <= (one.timestamp, one.step):
            newest[place] = _as_logged(one, run.get(one.key), run_id)
    own = {key for key, _ in newest}
    rest = {(key, one.dataset_name): one for key, one in run.items() if key not in own}
    return tuple(Metric(key, one.value, dataset or None) for (key, dataset), one in sorted({**newest, **rest}.items()))


def _as_logged(one: LoggedMetric, of_run: LoggedMetric | None, run_id: str | None) -> LoggedMetric:
    """MLflow 3 gives 0 for what was logged of a model as NaN (3.17); of the run it gives NaN."""
    same = of_run is not None and one.run_id == run_id and one.timestamp == of_run.timestamp
    return one.model_copy(update={"value": math.nan}) if same and of_run and math.isnan(of_run.value) else one
