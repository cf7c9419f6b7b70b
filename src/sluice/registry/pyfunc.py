"""The bundle as an MLflow pyfunc, from code: `mlflow models serve` and Spark load it without a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from sluice.inference.columns import predictions, result_columns
from sluice.inference.engines.fastest import FastestEngine
from sluice.inference.predictor import Predictor


class SluiceModel(PythonModel):
    """Answers rows of a column `text` through the same predictor that the service uses."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was logged with the model, by the engine that the service chooses unless told."""
        self.predictor = Predictor(Path(context.artifacts["bundle"]), FastestEngine())

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """One row of answers for each row of texts."""
        results = self.predictor.predict(model_input["text"].tolist()).results
        columns = result_columns(self.predictor.task.Result, self.predictor.bundle.labels, scores=False)
        return predictions(columns, results).to_pandas()


mlflow.models.set_model(SluiceModel())
