"""Metrics of single-label classification, as `evaluate.Metric` subclasses that need no hub."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from sluice.metrics.metric import Metric
from sluice.metrics.selective import risk_coverage

SCORES = datasets.Features(
    {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int64")}
)


class Accuracy(Metric):
    """Share of rows whose predicted label is the reference."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"accuracy": float(accuracy_score(references, predictions))}


class MacroF1(Metric):
    """Unweighted mean of the F1 of every label that occurs in the references or the predictions."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0.0))}


class MatthewsCorrelation(Metric):
    """Correlation of predictions and references, 1 at best, 0 for guessing whatever the balance (Gorodkin 2004)."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int]) -> dict[str, float]:
        return {"mcc": float(matthews_corrcoef(references, predictions))}


class PerClass(Metric):
    """Precision, recall, F1 and support of every label index from 0 to `classes` - 1."""

    def _compute(self, predictions: Sequence[int], references: Sequence[int], classes: int) -> dict[str, list[float]]:
        precision, recall, f1, support = precision_recall_fscore_support(
            references, predictions, labels=range(classes), zero_division=0.0
        )
        return {
            "precision": precision.tolist(),
            "recall": recall.tolist(),
            "f1": f1.tolist(),
            "support": support.tolist(),
        }


class CalibrationError(Metric):
    """Expected calibration error with bins of equal width (Guo et al. 2017, On Calibration of Modern Neural Networks).

    `predictions` are probabilities, shape (rows, classes).
    """

    features = SCORES

    def _compute(
        self, predictions: Sequence[Sequence[float]], references: Sequence[int], bins: int = 15
    ) -> dict[str, float]:
        return {"ece": expected_calibration_error(np.asarray(predictions), np.asarray(references), bins)}


class Auroc(Metric):
    """Area under the ROC curve of each class against the rest, mean over the classes that occur.

    `predictions` are probabilities, shape (rows, classes). NaN where only one class occurs.
    """

    features = SCORES

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[int]) -> dict[str, float]:
        scores, answers = np.asarray(predictions), np.asarray(references)
        areas = [_area(scores[:, index], answers == index) for index in np.unique(answers)]
        return {"auroc": float(np.mean(areas))}


class LogLoss(Metric):
    """Mean negative log probability of the right answer, in nats; a probability counts as at least 1e-7.

    `predictions` are probabilities, shape (rows, classes).
    """

    features = SCORES

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[int]) -> dict[str, float]:
        right = np.asarray(predictions)[np.arange(len(references)), np.asarray(references)]
        return {"log_loss": float(-np.log(np.maximum(right, 1e-7)).mean())}


class RiskCoverageArea(Metric):
    """Area under the curve of error against coverage, surest answers first: 0 at best, the error rate for no ranking.

    `predictions` are probabilities, shape (rows, classes).
    """

    features = SCORES

    def _compute(self, predictions: Sequence[Sequence[float]], references: Sequence[int]) -> dict[str, float]:
        scores = np.asarray(predictions)
        _, risk = risk_coverage(scores.max(axis=1), scores.argmax(axis=1) == np.asarray(references))
        return {"aurc": float(risk.mean())}


def _area(scores: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive row scores above a negative one (Mann & Whitney 1947), ties counted half."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not negatives:
        return float("nan")
    ranks = float(rankdata(scores)[positive].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)


def expected_calibration_error(
    probabilities: npt.NDArray[np.floating], references: npt.NDArray[np.integer], bins: int
) -> float:
    """Mean over the bins, weighted by rows, of |accuracy - mean confidence|. Shapes (n, classes) and (n,)."""
    confidence = probabilities.max(axis=1)
    correct = (probabilities.argmax(axis=1) == references).astype(float)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(references))
