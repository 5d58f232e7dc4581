"""Follows MLflow's own references (``runs:/``, ``models:/``) to the place where a version's artifacts really are.

MLflow 3 resolves most of them when a version is registered, but not those that were registered by ``runs:/`` over the
REST API, nor all of older servers; and a reference that only MLflow understands is of no use to a pod.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from serin.api.reasons import Reason
from serin.errors import RegistryError
from serin.registry import answers
from serin.registry.answers import LoggedModelInfo
from serin.registry.config import RegistryConfig
from serin.registry.refusals import failure
from serin.registry.refusals import is_missing
from serin.registry.wire import Wire

HOPS = 5
"""References to follow; MLflow itself makes at most two."""
OUTPUTS = 100
"""Logged models of one run to look at, the last ones."""
MLMODEL = "MLmodel"

_RUN = re.compile(r"runs:/+(?P<run>[^/]+)/*(?P<path>.*)", re.DOTALL)
_LOGGED = re.compile(r"models:/+(?P<model>m-[^/@]+)/*")
_REGISTERED = re.compile(r"models:/+(?P<name>[^/]+)/(?P<version>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Location:
    """Where the artifacts are, and the request that reads the MLmodel file among them."""

    uri: str
    path: str
    params: Mapping[str, str | int]


async def locate(config: RegistryConfig, wire: Wire, name: str, version: int) -> Location:
    """The concrete location of a version. Raises RegistryError(ArtifactNotFound) for references that lead nowhere."""
    location = await _registered(config, wire, name, version)
    for _ in range(HOPS):
        if (match := _RUN.fullmatch(location.uri)) is not None:
            location = await _of_run(config, wire, match["run"], match["path"].strip("/"))
        elif (match := _LOGGED.fullmatch(location.uri)) is not None:
            location = _of_logged_model(await _logged_model(config, wire, match["model"]))
        elif (match := _REGISTERED.fullmatch(location.uri)) is not None:
            location = await _registered(config, wire, match["name"], int(match["version"]))
        elif location.uri.startswith("models:"):
            raise _nowhere(config, f"{location.uri!r}, which may move: register it by run or version")
        elif not location.uri:
            raise _nowhere(config, "nothing: register it again")
        else:
            return location
    raise _nowhere(config, f"{location.uri!r}, in a circle: register it from its run")


async def _registered(config: RegistryConfig, wire: Wire, name: str, version: int) -> Location:
    # Not the version's "source": that stays models:/m-... where the download URI is resolved already.
    params: dict[str, str | int] = {"name": name, "version": version}
    answer = await wire.get(answers.GET_DOWNLOAD_URI, params)
    if is_missing(answer):
        raise _nowhere(config, f"v{version} of model {name!r}, which does not exist")
    uri = answers.parse(config, answer, answers.DownloadUri).artifact_uri
    return Location(uri, answers.VERSION_ARTIFACT, {**params, "path": MLMODEL})


async def _of_run(config: RegistryConfig, wire: Wire, run_id: str, path: str) -> Location:
    """``runs:/<id>/<path>``: since MLflow 3 the first part may be the name of a model that the run logged."""
    answer = await wire.get(answers.GET_RUN, {"run_id": run_id})
    if is_missing(answer):
        raise _nowhere(config, f"run {run_id!r}, which does not exist")
    run = answers.parse(config, answer, answers.RunAnswer).run
    name, _, rest = path.partition("/")
    outputs = [await _logged_model(config, wire, o.model_id) for o in run.outputs.model_outputs[-OUTPUTS:]]
    named = [model for model in outputs if model.name == name]
    if named:
        # Several of one name are checkpoints; MLflow's own RunsArtifactRepository takes the newest, too.
        return _of_logged_model(max(named, key=lambda model: model.creation_timestamp_ms), rest)
    if not run.info.artifact_uri:
        raise _nowhere(config, f"run {run_id!r}, which has no artifacts")
    # Not model-versions/get-artifact: for runs:/ it answers 500 where the server proxies artifacts (MLflow 3.17.2).
    params = {"run_id": run_id, "path": _join(path, MLMODEL)}
    return Location(_join(run.info.artifact_uri, path), answers.RUN_ARTIFACT, params)


async def _logged_model(config: RegistryConfig, wire: Wire, model_id: str) -> LoggedModelInfo:
    answer = await wire.get(f"{answers.GET_LOGGED_MODEL}/{quote(model_id, safe='')}", {})
    if is_missing(answer):
        raise _nowhere(config, f"logged model {model_id!r}, which does not exist")
    return answers.parse(config, answer, answers.LoggedModelAnswer).model.info


def _of_logged_model(model: LoggedModelInfo, path: str = "") -> Location:
    route = answers.LOGGED_MODEL_ARTIFACT.format(model_id=quote(model.model_id, safe=""))
    return Location(_join(model.artifact_uri, path), route, {"artifact_file_path": _join(path, MLMODEL)})


def _join(base: str, path: str) -> str:
    return f"{base.rstrip('/')}/{path}" if base and path else base or path


def _nowhere(config: RegistryConfig, where: str) -> RegistryError:
    what = f"says that the artifacts are those of {where}."
    return failure(config, Reason.ARTIFACT_NOT_FOUND, what, transient=False)
