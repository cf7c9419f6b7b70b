"""One model on its test rows: figures, intervals, baselines beside them, what it got wrong."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sluice.evaluation.plots import PLOTS
from sluice.evaluation.settings import Evaluate
from sluice.files import write_json
from sluice.inference.predictor import Predictor
from sluice.metrics.significance import Interval, Sampling
from sluice.tasks.task import Baselines, Columns, Task


def measure(
    predictor: Predictor,
    test: Columns,
    baselines: Baselines,
    settings: Evaluate,
    *,
    seed: int,
    folder: Path,
    keep_texts: bool,
) -> dict[str, Any]:
    """Score the test rows and write tables and plots into `folder`. Returns the record of the evaluation."""
    task, labels = predictor.task, predictor.bundle.labels
    logits = predictor.logits(test["text"])
    references = task.references(test, labels)
    predictions = logits.argmax(axis=1)
    sampling = settings.sampling(seed)
    compared = compare(task, predictions, references, len(labels), baselines, sampling)
    record = {
        "rows": len(references),
        "metrics": task.metrics(logits, references),
        "intervals": _plain(task.intervals(predictions, references, len(labels), sampling)),
        "baselines": {name: _plain(figures) for name, figures in compared.items()},
        "labels": task.breakdown(predictions, references, labels),
    }
    write_json(folder / "evaluation.json", record)
    for plot in task.plots:
        PLOTS[plot](predictions, references, labels, folder / f"{plot}.png")
    _write_errors(folder / "errors.csv", logits, references, labels, test, settings.errors, keep_texts)
    return record


def compare(
    task: Task,
    predictions: npt.NDArray[np.integer],
    references: npt.NDArray[np.integer],
    classes: int,
    baselines: Baselines,
    sampling: Sampling,
) -> dict[str, dict[str, Interval]]:
    """By baseline: its own figures, and `model - <metric>`, the model minus it on the same rows."""
    found = {}
    for name, guesses in {**baselines.trivial, **baselines.strong}.items():
        own = task.intervals(guesses, references, classes, sampling)
        margins = task.differences(predictions, guesses, references, classes, sampling)
        found[name] = {**own, **{f"model - {metric}": value for metric, value in margins.items()}}
    return found


def _plain(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: asdict(interval) for name, interval in intervals.items()}


def _write_errors(
    path: Path,
    logits: npt.NDArray[np.floating],
    references: npt.NDArray[np.integer],
    labels: Sequence[str],
    test: Columns,
    count: int,
    keep_texts: bool,
) -> None:
    """The wrong answers that the model was surest of, surest first."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidence = (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
    predictions = logits.argmax(axis=1)
    wrong = np.flatnonzero(predictions != references)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["confidence", "predicted", "label", "origin", *(["text"] if keep_texts else [])])
        for row in surest.tolist():
            text = [test["text"][row]] if keep_texts else []
            names = [labels[predictions[row]], labels[references[row]]]
            writer.writerow([f"{confidence[row]:.4f}", *names, test["origin"][row], *text])
