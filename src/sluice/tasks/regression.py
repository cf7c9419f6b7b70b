"""Regression: one text, one number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.errors import UserError
from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import IGNORED, Answers, Baselines, Columns, Kind, Outputs, Targets, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally


class RegressionOptions(BaseModel):
    """What a caller may ask of a scorer: nothing yet."""

    model_config = ConfigDict(extra="forbid")


class RegressionResult(BaseModel):
    """The answer for one text."""

    score: float = Field(description="The number, in the units of the training rows.")


class Regression(Task):
    """A number for a text. The model learns it in deviations from the training mean and is saved in its own units."""

    name: ClassVar[str] = "regression"
    verb: ClassVar[str] = "score"
    columns: ClassVar[Mapping[str, Kind]] = {"text": "text", "score": "text"}
    primary_metric: ClassVar[str] = "r2"
    validation_metric: ClassVar[str] = "rmse"
    Options: ClassVar[type[BaseModel]] = RegressionOptions
    Result: ClassVar[type[BaseModel]] = RegressionResult
    example: ClassVar[str] = "Compute the shortest path between two nodes of a weighted graph."

    def unusable(self, rows: Columns) -> dict[str, list[int]]:
        """Scores that are no numbers."""
        return {"score_is_no_number": [row for row, cell in enumerate(rows["score"]) if not is_number(cell)]}

    def references(self, rows: Columns) -> Answers:
        """The scores."""
        return [float(cell) for cell in rows["score"]]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """The scores; one that happens to be `IGNORED` is moved by the least that float32 can tell apart."""
        import numpy as np

        found = np.array(self.references(rows), np.float32)
        return np.where(found == IGNORED, np.nextafter(found, np.float32(0)), found)

    def head(self, labels: Sequence[str]) -> Sequence[str]:
        """One output."""
        return ["score"]

    def model_class(self) -> type[Any]:
        """The Auto class for sequence classification, which takes one output for a number."""
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def begin(self, model: PreTrainedModel, rows: Columns) -> None:
        """Have the head answer in deviations from the mean of the training scores, whatever their scale.

        A head that gave numbers already goes on from them. Raises UserError where the scores are all alike.
        """
        import numpy as np

        scores = np.array(self.references(rows))
        mean, deviation = float(scores.mean()), float(scores.std())
        if not deviation:
            raise UserError(
                f"all {len(scores)} training rows have the score {mean:g}, expected different ones. "
                "Is it the right column? data.columns.score=..."
            )
        last, config = _last(model), model.config
        if config.problem_type == "regression":
            _rescale(last, 1 / deviation, -mean / deviation)
        config.problem_type = "regression"
        config.score_mean, config.score_deviation = mean, deviation

    def finish(self, model: PreTrainedModel) -> None:
        """Fold mean and deviation into the head: whoever opens the saved model reads scores."""
        _rescale(_last(model), model.config.score_deviation, model.config.score_mean)
        del model.config.score_mean, model.config.score_deviation

    def settle(self, teacher: PreTrainedModel) -> None:
        """A saved model says the scores themselves."""
        teacher.config.score_mean, teacher.config.score_deviation = 0.0, 1.0

    def scores(self, model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
        """The score of each row, and beside it the deviation that errors are measured in; shape (batch, 2)."""
        import torch

        config = getattr(model, "module", model).config  # several processes wrap the model
        said = model(**batch).logits[:, 0].float() * config.score_deviation + config.score_mean
        return torch.stack([said, torch.full_like(said, config.score_deviation)], dim=1)

    def losses(self, scores: Any, targets: Any, smoothing: float) -> Any:
        """The squared error of each row, in squared deviations of the training scores."""
        return ((scores[:, 0] - targets) / scores[:, 1]) ** 2

    def apart(self, scores: Any, taught: Any, targets: Any, temperature: float) -> Any:
        """The squared difference of each row, in squared deviations of the training scores."""
        return ((scores[:, 0] - taught[:, 0]) / scores[:, 1]) ** 2

    def keep(self, scores: Any, targets: Any) -> Any:
        """The scores."""
        return scores[:, :1]

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The scores."""
        return [float(row[0]) for row in outputs]

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """One minus the mean difference in standard deviations of `theirs`: numbers are hardly ever equal."""
        import numpy as np

        one, other = (np.array(self.predictions(some, labels)) for some in (ours, theirs))
        return float(1 - np.abs(one - other).mean() / (other.std() or 1.0))

    def unlike(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """The sum of differences, each as a share of both numbers together: single answers have no deviation."""
        pairs = zip(self.predictions(ours, labels), self.predictions(theirs, labels), strict=True)
        return sum(abs(one - other) / ((abs(one) + abs(other)) or 1.0) for one, other in pairs)

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """R2, correlations and errors."""
        from sluice.metrics.regression import Errors

        figures = Errors().compute(predictions=self.predictions(outputs, labels), references=references)
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The score of each text."""
        return [RegressionResult(score=score) for score in self.predictions(outputs, labels)]

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """R2 and Spearman's correlation."""
        from sluice.metrics.regression import number_tally

        return number_tally(predictions, references)

    def grades(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> npt.NDArray[np.float64]:
        """One minus the error in deviations of the right scores: no single row has an R2."""
        import numpy as np

        said, right = np.array(predictions, np.float64), np.array(references, np.float64)
        return 1 - np.abs(said - right) / (right.std() or 1.0)

    def spelt(self, answers: Answers, rows: Columns) -> list[str]:
        """The numbers."""
        return [f"{score:.6g}" for score in answers]

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The mean of the training scores, and ridge regression on TF-IDF."""
        from sluice.metrics.baselines import tfidf_ridge

        scores = self.references(train)
        return Baselines(
            trivial={"mean": [math.fsum(scores) / len(scores)] * len(test["text"])},
            strong={"tfidf_ridge": tfidf_ridge(train["text"], scores, test["text"])},
        )


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _last(model: PreTrainedModel) -> Any:
    """The layer that gives the one output. Raises UserError for a model whose layer cannot hold a mean."""
    import torch

    found = [one for one in model.modules() if isinstance(one, torch.nn.Linear) and one.out_features == 1]
    if not found or found[-1].bias is None:
        raise UserError(f"{type(model).__name__} has no last layer with a bias, which task=regression needs")
    return found[-1]


def _rescale(layer: Any, factor: float, shift: float) -> None:
    """Have a layer answer `factor` times what it did, plus `shift`."""
    import torch

    with torch.no_grad():
        layer.weight.mul_(factor)
        layer.bias.mul_(factor).add_(shift)
