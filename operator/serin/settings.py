"""What the platform team sets for the operator: a YAML file that the Helm chart writes, and variables over it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field
from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import PydanticBaseSettingsSource
from pydantic_settings import SettingsConfigDict
from pydantic_settings import YamlConfigSettingsSource
from yaml import YAMLError

from serin.api.modeldeployment import GatewayRef
from serin.api.modeldeployment import Protocol
from serin.errors import SettingsError
from serin.rollout.observed import Platform
from serin.rollout.observed import Runtime

_MATCHER = r'[a-zA-Z_][a-zA-Z0-9_]*(=|!=|=~|!~)"[^"\\\n]*"'


class RuntimeSettings(BaseModel):
    """A serving runtime that ModelDeployments may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the ServingRuntime or ClusterServingRuntime.")
    server: Literal["MLServer", "KServe"] = Field(description="Family of the model server.")
    protocol: Protocol = Field(description="Inference protocol that it is used with.")
    model_format: str = Field(description="modelFormat by which it is told what it loads.")
    flavors: tuple[str, ...] = Field(description="MLflow flavors that it can load.")


# Formats and protocols of KServe's own runtimes: kserve v0.20 config/runtimes.
RUNTIMES = (
    RuntimeSettings(
        name="kserve-mlserver",
        server="MLServer",
        protocol=Protocol.V2,
        model_format="mlflow",
        flavors=("python_function",),
    ),
    RuntimeSettings(
        name="kserve-sklearnserver",
        server="KServe",
        protocol=Protocol.V1,
        model_format="sklearn",
        flavors=("sklearn",),
    ),
)


class Settings(BaseSettings):
    """All settings. Each may be given as SERIN_<NAME> too, lists and objects as JSON."""

    model_config = SettingsConfigDict(env_prefix="SERIN_", extra="forbid", frozen=True)

    namespace: str = Field(default="serin-system", description="The operator's own namespace, which its pod tells it.")
    kubeconfig: str | None = Field(default=None, description="A kubeconfig file; by default the pod's service account.")
    domain: str = Field(default="example.com", description="Domain of the default host names.")
    gateways: tuple[GatewayRef, ...] = Field(default=(), description="Gateways of ModelDeployments that name none.")
    runtimes: tuple[RuntimeSettings, ...] = Field(default=RUNTIMES, description="Runtimes, the preferred one first.")
    artifacts_through_mlflow: bool = Field(
        default=False,
        description="Whether pods can fetch mlflow-artifacts: locations through the tracking server: the chart's "
        "storage initializer is installed.",
    )
    workers: int = Field(default=8, ge=1, le=256, description="ModelDeployments that are worked on at once.")
    requests_per_second: float = Field(default=400, gt=0, description="Requests to the API server in the long run.")
    request_burst: int = Field(default=800, ge=1, description="Requests to the API server at once.")
    resync_seconds: float = Field(default=600, gt=0, description="How often everything is looked at without a cause.")
    proxy_lag_seconds: float = Field(
        default=60,
        ge=0,
        description="How long the proxies of a gateway may take to follow what it accepted: a revision that gets no "
        "requests any more keeps its pods for at least as long.",
    )
    http_host: str | None = Field(
        default=None, description="Address of metrics and probes; by default all that there are, of IPv4 and of IPv6."
    )
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port of metrics and probes.")
    prometheus_url: str | None = Field(
        default=None,
        # Without a login: settings are in a ConfigMap that many may read.
        pattern=r"^https?://[^\s@/]+(/\S*)?$",
        description="URL of the Prometheus that rollouts are judged by; none by default.",
    )
    prometheus_matchers: str = Field(
        default="",
        # Values without quotes and backslashes in them: what stands here is put among the matchers of every query.
        pattern=rf"^({_MATCHER}(,{_MATCHER})*)?$",
        description="PromQL that selects this cluster's series in it, where it has those of several.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    log_format: Literal["json", "text"] = Field(default="json", description="json for machines, text for people.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables stand above the file; no .env file and no secrets folder is looked for."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load(path: Path | None) -> Settings:
    """The settings from a file and the environment. Raises SettingsError with every wrong field in one message."""
    if path is not None and not path.is_file():
        raise SettingsError(f"the settings file {path} does not exist")

    class FromFile(Settings):
        model_config = SettingsConfigDict(yaml_file=path)

    try:
        return FromFile()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SettingsError(f"the settings are wrong: {wrong}") from error
    except (YAMLError, ValueError, TypeError) as error:
        file = "" if path is None else f"{path} must hold a mapping in YAML, and "
        raise SettingsError(
            f"the settings cannot be read: {file}variables SERIN_<NAME> of lists and objects must be JSON: {error}"
        ) from error


def platform(settings: Settings) -> Platform:
    """The settings that decisions depend on."""
    return Platform(
        domain=settings.domain,
        gateways=settings.gateways,
        runtimes=tuple(
            Runtime(
                name=runtime.name,
                server=runtime.server,
                protocol=runtime.protocol,
                model_format=runtime.model_format,
                flavors=runtime.flavors,
            )
            for runtime in settings.runtimes
        ),
        proxy_lag=timedelta(seconds=settings.proxy_lag_seconds),
    )
