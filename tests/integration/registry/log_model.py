"""Run in the server's environment: logs one tiny model and registers it, and a prompt. Prints where the model is."""

from __future__ import annotations

import json
import sys

import mlflow
from sklearn.linear_model import LinearRegression

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    with mlflow.start_run() as run:
        # The requirements are named, because to find them out MLflow loads the model in another process.
        info = mlflow.sklearn.log_model(
            model, name="model", registered_model_name="iris", pip_requirements=["scikit-learn"]
        )
    mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    mlflow.genai.set_prompt_alias("greeting", "champion", 1)
    sys.stdout.write(json.dumps({"run_id": run.info.run_id, "model_id": info.model_id}))
