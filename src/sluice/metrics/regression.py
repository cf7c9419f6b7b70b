"""Metrics of numbers, as an `evaluate.Metric` that needs no hub and as sums."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import numpy as np

from sluice.metrics.correlation import correlation_tally, pearson, ranks
from sluice.metrics.metric import Metric
from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio


class Errors(Metric):
    """R2, Spearman's and Pearson's correlation, mean absolute error and root mean squared error.

    NaN where the references are all alike.
    """

    features = datasets.Features(
        {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")},
    )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        errors = np.asarray(predictions) - np.asarray(references)
        return {
            **number_tally(predictions, references).exact(),
            "pearson": correlation_tally(predictions, references).exact()["pearson"],
            "mae": float(np.abs(errors).mean()),
            "rmse": float(np.sqrt((errors**2).mean())),
        }


def number_tally(predictions: Sequence[float], references: Sequence[float]) -> Tally:
    """R2 (1 minus squared error over variance) and Spearman's correlation, whose ranks are those among all rows.

    Numbers that are all alike order nothing: where the references differ, their correlation counts as 0.
    """
    from scipy.sparse import csr_array

    said, right = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    centre, spread = right.mean(), right.std() or 1.0  # so that sums keep their digits
    scaled = (right - centre) / spread
    one, other = ranks(said), ranks(right)
    counts = [np.ones(len(said)), scaled, scaled**2, ((said - right) / spread) ** 2]
    counts += [one, other, one * one, other * other, one * other]

    def figures(sums: Sums) -> Figures:
        rows, total, squared, errors = sums[:, :4].T
        variance = squared - total**2 / rows
        varied = np.where(variance > 1e-6 * rows, variance, 0.0)
        correlation = np.nan_to_num(pearson(rows, *sums[:, 4:9].T), nan=0.0)
        return {
            "r2": 1 - ratio(errors, varied),
            "spearman": np.where(varied > 0, correlation, np.nan),
        }

    return Tally(csr_array(np.stack(counts, axis=1).astype(np.float32)), figures)
