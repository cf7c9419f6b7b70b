"""Text classification: one text, one label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.tasks.encoding import Encoded, Tokenizer
from sluice.tasks.task import Answers, Baselines, Breakdown, Columns, Kind, Outputs, Targets, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sluice.metrics.significance import Tally


class ClassificationOptions(BaseModel):
    """What a caller may ask of a classifier."""

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1, description="Return only the k most probable labels in `scores`.")


class ClassificationResult(BaseModel):
    """The answer for one text."""

    label: str = Field(description="The most probable label.")
    score: float = Field(description="Its probability, 0 to 1.")
    scores: dict[str, float] = Field(description="Probability by label, most probable first.")
    abstained: bool = Field(False, description="Whether the model is too unsure by its threshold: take no label.")


class Classification(Task):
    """A label for a text, by an encoder with a sequence-classification head."""

    name: ClassVar[str] = "classification"
    verb: ClassVar[str] = "classify"
    columns: ClassVar[Mapping[str, Kind]] = {"text": "text", "label": "text"}
    primary_metric: ClassVar[str] = "accuracy"
    validation_metric: ClassVar[str] = "accuracy"
    Options: ClassVar[type[BaseModel]] = ClassificationOptions
    Result: ClassVar[type[BaseModel]] = ClassificationResult
    abstains: ClassVar[bool] = True
    plots: ClassVar[tuple[str, ...]] = ("confusion", "reliability", "risk_coverage")
    slices: ClassVar[tuple[str, ...]] = ("label", "length", "language")
    example: ClassVar[str] = "Compute the shortest path between two nodes of a weighted graph."

    def labels(self, rows: Columns) -> list[str]:
        """The distinct labels, sorted."""
        return sorted(set(rows["label"]))

    def classes(self, rows: Columns) -> Sequence[Sequence[str]]:
        """One label a row."""
        return [[label] for label in rows["label"]]

    def references(self, rows: Columns) -> Answers:
        """The labels."""
        return rows["label"]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """Label indices. A label that is not among `labels` raises KeyError."""
        return indices(rows["label"], labels)

    def model_class(self) -> type[Any]:
        """The Auto class for sequence classification."""
        from transformers import AutoModelForSequenceClassification

        return AutoModelForSequenceClassification

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The most probable label."""
        return [labels[row.argmax()] for row in outputs]

    def probabilities(self, outputs: Outputs) -> npt.NDArray[np.float64]:
        """Softmax."""
        import numpy as np

        return softmax(np.asarray(outputs))

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """Accuracy, macro F1, Matthews correlation, and what the probabilities are worth."""
        from sluice.metrics import classification as metrics

        probabilities, right = self.probabilities(outputs), indices(references, labels)
        figures: dict[str, float] = {}
        for of_labels in (metrics.Accuracy(), metrics.MacroF1(), metrics.MatthewsCorrelation()):
            figures |= of_labels.compute(predictions=probabilities.argmax(axis=1), references=right)
        for of_scores in (
            metrics.CalibrationError(),
            metrics.Auroc(),
            metrics.LogLoss(),
            metrics.RiskCoverageArea(),
        ):
            figures |= of_scores.compute(predictions=probabilities, references=right)
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The most probable label and the probabilities of all, or of the `top_k` first."""
        if not outputs:
            return []
        top_k = options.top_k if isinstance(options, ClassificationOptions) else None
        return [_result(row, labels, top_k) for row in self.probabilities(outputs)]

    def withheld(self, result: BaseModel, threshold: float, out_of_scope: str | None) -> BaseModel:
        """Unsure is who names the label out of scope, or is less sure of another than `threshold`."""
        if not isinstance(result, ClassificationResult):
            return result
        unsure = result.label == out_of_scope or result.score < threshold
        return result.model_copy(update={"abstained": unsure})

    def breakdown(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Breakdown:
        """Precision, recall, F1 and support by label name."""
        from sluice.metrics.classification import PerClass

        said, right = indices(predictions, labels), indices(references, labels)
        figures = PerClass().compute(predictions=said, references=right, classes=len(labels))
        return {label: {key: figures[key][index] for key in figures} for index, label in enumerate(labels)}

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """Accuracy and macro F1."""
        from sluice.metrics.tallies import label_tally

        return label_tally(indices(predictions, labels), indices(references, labels), len(labels))

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The majority label, and TF-IDF + logistic regression."""
        from sluice.metrics.baselines import majority, tfidf_logistic

        return Baselines(
            trivial={"majority": majority(train["label"], len(test["text"]))},
            strong={"tfidf_logistic": tfidf_logistic(train["text"], train["label"], test["text"])},
        )


def indices(names: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Labels as indices. One that is not among `labels` raises KeyError."""
    import numpy as np

    index = {label: position for position, label in enumerate(labels)}
    return np.array([index[name] for name in names], np.int64)


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Probabilities along the last axis."""
    import numpy as np

    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _result(probabilities: npt.NDArray[np.float64], labels: Sequence[str], top_k: int | None) -> BaseModel:
    order = probabilities.argsort()[::-1][:top_k]
    scores = {labels[index]: float(probabilities[index]) for index in order}
    return ClassificationResult(label=labels[order[0]], score=float(probabilities[order[0]]), scores=scores)
