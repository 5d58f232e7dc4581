"""A model that misbehaves as its configuration says: MLflow "models from code", so this file is the model.

It multiplies its input by a factor, like the good ones. Runs inside the model server, not in the tests.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

_CRASHED = 70


class Scripted(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Reads its weights from an artifact, as models do; what goes wrong, and when, stands in `model_config`."""

    def load_context(self, context: Any) -> None:
        """Load the weights. Raises what a damaged file makes it raise."""
        config = context.model_config
        time.sleep(config["load_seconds"])
        self._factor = json.loads(Path(context.artifacts["weights"]).read_text())["factor"]
        self._ballast = np.ones(config["memory_mib"] << 17)  # 2^17 float64 are 1 MiB
        self._predict_seconds = config["predict_seconds"]
        self._error_every = config["error_every"]
        self._good_calls = config["good_calls"]
        self._crash_on = config["crash_on"]
        self._calls = itertools.count(1)

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """The input times the factor, late or not at all where the configuration says so."""
        time.sleep(self._predict_seconds)
        call = next(self._calls)
        if self._error_every and call > self._good_calls and call % self._error_every == 0:
            raise ArithmeticError(f"call {call} failed, as every {self._error_every}th does")
        first = np.asarray(model_input, dtype=np.float64)[:, :1]
        if self._crash_on is not None and (first == self._crash_on).any():
            os._exit(_CRASHED)
        return first * self._factor


mlflow.models.set_model(Scripted())
