"""Bootstrap intervals, for one model and for the difference of two on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Sampling:
    """How a bootstrap is drawn."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile-bootstrap bounds."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(predictions: Labels, references: Labels, classes: int, sampling: Sampling) -> dict[str, Interval]:
    """Accuracy and macro F1 with intervals (Efron 1979: rows drawn with replacement, percentiles of the statistic)."""
    samples = _resample([_cells(predictions, references, classes)], classes, sampling)[0]
    exact = _scores(_count(_cells(predictions, references, classes), classes)[None])
    return {name: _interval(exact[name][0], samples[name], sampling.confidence) for name in exact}


def paired_bootstrap(
    challenger: Labels, other: Labels, references: Labels, classes: int, sampling: Sampling
) -> dict[str, Interval]:
    """Challenger minus other, in accuracy and macro F1, both scored on the same resampled rows (Koehn 2004)."""
    cells = [_cells(one, references, classes) for one in (challenger, other)]
    ours, theirs = _resample(cells, classes, sampling)
    exact = [_scores(_count(one, classes)[None]) for one in cells]
    return {
        name: _interval(exact[0][name][0] - exact[1][name][0], ours[name] - theirs[name], sampling.confidence)
        for name in ours
    }


def _cells(predictions: Labels, references: Labels, classes: int) -> npt.NDArray[np.int64]:
    return np.asarray(references, np.int64) * classes + np.asarray(predictions, np.int64)


def _count(cells: npt.NDArray[np.int64], classes: int) -> npt.NDArray[np.int64]:
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _resample(
    models: list[npt.NDArray[np.int64]], classes: int, sampling: Sampling
) -> list[dict[str, npt.NDArray[np.float64]]]:
    """Draw the same rows for every model; a resample is a confusion matrix, so that no row is touched twice."""
    rng = np.random.default_rng(sampling.seed)
    rows = len(models[0])
    matrices = [np.empty((sampling.resamples, classes, classes), np.int64) for _ in models]
    for index in range(sampling.resamples):
        drawn = rng.integers(0, rows, rows)
        for matrix, cells in zip(matrices, models, strict=True):
            matrix[index] = _count(cells[drawn], classes)
    return [_scores(matrix) for matrix in matrices]


def _scores(confusion: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
    """Accuracy and macro F1 of confusion matrices, shape (n, classes, classes), rows are references."""
    hits = np.diagonal(confusion, axis1=1, axis2=2).astype(float)
    support = confusion.sum(2) + confusion.sum(1)
    f1 = np.divide(2 * hits, support, out=np.zeros_like(hits), where=support > 0)
    present = np.maximum((support > 0).sum(1), 1)
    return {"accuracy": hits.sum(1) / confusion.sum((1, 2)), "macro_f1": f1.sum(1) / present}


def _interval(value: float, samples: npt.NDArray[np.float64], confidence: float) -> Interval:
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(samples, [tail, 100 - tail])
    return Interval(float(value), float(low), float(high))
