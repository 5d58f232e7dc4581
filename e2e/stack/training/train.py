"""Train models, register them in MLflow and print the version numbers: `train.py <json>`.

Runs in a Job with MLflow's image; models.py writes the JSON: {"name": …, "versions": [fields of models.Version, …]}.
A good model is a linear regression that has learned to multiply by a factor, so that an answer tells who gave it.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

HERE = Path(__file__).parent


def main(order: dict[str, Any]) -> None:
    """Register each version in turn and print their numbers as one line of JSON."""
    mlflow.set_experiment(order["name"])
    print(json.dumps([register(order["name"], version) for version in order["versions"]]))


def register(name: str, version: dict[str, Any]) -> int:
    """Train and register one version, with its metrics, tags and aliases."""
    inputs = np.linspace(0.0, 10.0, 50 * version["columns"], dtype=version["dtype"]).reshape(50, version["columns"])
    outputs = np.float64(inputs[:, :1]) * version["factor"]
    seen = pd.DataFrame(inputs).add_prefix("input-") if version["named"] else inputs
    options = {"name": "model", "registered_model_name": name, "signature": infer_signature(seen, outputs)}
    with mlflow.start_run():
        mlflow.log_metrics(version["metrics"])
        if version["misbehaviour"] is None:
            # Named, because finding them out loads the model in another process: most of the time of all this.
            needed = ["mlflow", "scikit-learn"]
            model = LinearRegression().fit(seen, outputs)
            logged = mlflow.sklearn.log_model(model, pip_requirements=needed, **options)
        else:
            logged = _log_scripted(version, options)
    client = mlflow.MlflowClient()
    number = int(logged.registered_model_version)
    for key, value in version["tags"].items():
        client.set_model_version_tag(name, str(number), key, value)
    for alias in version["aliases"]:
        client.set_registered_model_alias(name, alias, str(number))
    return number


def _log_scripted(version: dict[str, Any], options: dict[str, Any]) -> Any:
    config = dict(version["misbehaviour"])
    weights = json.dumps({"factor": version["factor"]})
    if config.pop("damaged"):
        weights = weights[:-3]  # cut off, as by a broken upload
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.json"
        file.write_text(weights)
        return mlflow.pyfunc.log_model(
            python_model=str(HERE / "scripted.py"),
            artifacts={"weights": str(file)},
            model_config=config,
            pip_requirements=["mlflow", "numpy"],
            **options,
        )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
