"""Copy a model's files into the pod before the model server starts: `initialize.py <uri> <folder> [...]`.

KServe runs this as init container and reads the end of its log as the reason when it fails, so the last line says which
URI and why, without a stack trace.

What begins with `mlflow://` or `mlflows://` is fetched through an MLflow tracking server, by http or https, whatever
store that keeps it in; everything else KServe's own downloaders fetch.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

logger = logging.getLogger("initialize")

THROUGH_MLFLOW = {"mlflow": "http", "mlflows": "https"}
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
SERVER = "MLFLOW_TRACKING_URI"
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
# PEM, since a Secret reaches this container as variables; MLflow wants a file.
CERTIFICATES, CERTIFICATES_FILE = "MLFLOW_TRACKING_SERVER_CERT", "MLFLOW_TRACKING_SERVER_CERT_PATH"
# MLflow's own seven take minutes, in which nobody learns what is wrong. Kubernetes tries again, and says so.
RETRIES = "3"


class NothingFoundError(Exception):
    """The tracking server lists nothing there."""


def main(arguments: list[str]) -> int:
    """Download every URI into the folder named after it; the exit code of the container."""
    if not arguments or len(arguments) % 2:
        logger.error("The arguments must be pairs of <uri> <folder>, got %s", arguments)
        return 2
    for uri, folder in zip(arguments[::2], arguments[1::2], strict=True):
        # Some of the downloaders make only the last part of the path.
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            _download(uri, folder)
        # Each storage has its own exceptions and no common base; whichever it is, the pod cannot start.
        except Exception as error:  # noqa: BLE001
            logger.error("Could not download %s: %s: %s", uri, type(error).__name__, error)  # noqa: TRY400 (one line)
            return 1
    return 0


def _download(uri: str, folder: str) -> None:
    """Each of the two takes a second or more to import, which a pod pays for the one that it needs."""
    scheme, _, rest = uri.partition("://")
    if scheme in THROUGH_MLFLOW:
        _download_through_mlflow(f"{THROUGH_MLFLOW[scheme]}://{rest}", folder)
    else:
        from kserve_storage import Storage

        Storage.download_files([uri], [folder])


def _download_through_mlflow(url: str, folder: str) -> None:
    """`url`: of the artifacts in the tracking server's API."""
    server, _, path = url.partition(ARTIFACTS)
    _log_in_at(server)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(f"mlflow-artifacts:/{path}", tracking_uri=server).download_artifacts("", folder)
    if not any(Path(folder).iterdir()):
        # A store has no folders, so MLflow takes what is not there for an empty one.
        raise NothingFoundError(f"the tracking server has nothing at mlflow-artifacts:/{path}")


def _log_in_at(server: str) -> None:
    """The login is for one server, which is named beside it: another one never sees it."""
    if os.environ.get(SERVER, "").rstrip("/") != server:
        for name in (*LOGIN, CERTIFICATES):
            if os.environ.pop(name, None):
                logger.warning("%s is not used: it is for %s=%s", name, SERVER, os.environ.get(SERVER, ""))
    certificates = os.environ.get(CERTIFICATES)
    if certificates:
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
            file.write(certificates)
        os.environ[CERTIFICATES_FILE] = file.name


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(main(sys.argv[1:]))
