"""Run in the server's environment: two versions of a model with signatures and metrics, of which the second breaks."""

from __future__ import annotations

import json
import sys

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    ids = []
    for columns in ({"a": [1.0, 2.0], "b": [1, 2]}, {"a": [1.0, 2.0], "c": [1, 2]}):
        data = pd.DataFrame(columns)
        model = LinearRegression().fit(data, [1.0, 2.0])
        signature = infer_signature(data, model.predict(data), params={"depth": 3})
        with mlflow.start_run() as run:
            info = mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name="gated",
                signature=signature,
                pip_requirements=["scikit-learn"],
            )
            mlflow.log_metric("f1", 0.8)
            # Of a later checkpoint, which is not this model.
            mlflow.log_metric("f1", 0.9, step=1)
            mlflow.log_metric("loss", float("nan"))
            for name, value in (("train", 0.99), ("holdout", 0.7)):
                dataset = mlflow.data.from_pandas(data, name=name)
                mlflow.log_metric("acc", value, model_id=info.model_id, dataset=dataset)
        ids.append((run.info.run_id, info.model_id))
    # Evaluated later, in a run of its own.
    with mlflow.start_run():
        mlflow.log_metric("fairness", 0.95, model_id=ids[1][1])
    sys.stdout.write(json.dumps(ids))
