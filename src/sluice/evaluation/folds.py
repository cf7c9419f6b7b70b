"""Cross-validation: the training and validation rows divided into folds, each in turn a test side."""

from __future__ import annotations

import hashlib
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sluice.data.prepare import ROW, ROWS, load
from sluice.data.source import GROUP
from sluice.data.split import TEST, TRAIN, VALIDATION
from sluice.errors import UserError
from sluice.part import digest
from sluice.tasks.task import Task

Record = dict[str, Any]


def divide(prepared: Path, folder: Path, *, task: Task, fold: int, folds: int, seed: int, data: str) -> Record:
    """Write prepared rows of the same shape into `folder`, whose test side is fold `fold` (from 1) of `folds`.

    A row's fold follows from its group, as its side does. Of the other folds, groups are held out for validation in
    the share that it has in the rows. The rows' own test side stands in none of it. Returns a record like `prepare`'s.
    """
    import datasets

    sides = load(prepared)
    rows = datasets.concatenate_datasets([sides[TRAIN], sides[VALIDATION]])
    share = len(sides[VALIDATION]) / len(rows)
    at = [_side(group, fold, folds, share, seed) for group in rows[GROUP]]
    indices = {side: [row for row, own in enumerate(at) if own == side] for side in (TRAIN, VALIDATION, TEST)}
    if not all(indices.values()):
        raise UserError(f"evaluate.folds={folds}: fold {fold} leaves a side without rows. Fewer folds, or more rows")
    shutil.rmtree(folder / ROWS, ignore_errors=True)  # what a killed run left
    parts = datasets.DatasetDict({side: rows.select(own) for side, own in indices.items()})
    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        parts.save_to_disk(str(folder / ROWS))
    finally:
        if not quiet:
            datasets.enable_progress_bars()
    classes = {side: task.classes(part.to_dict()) for side, part in parts.items()}
    labels = {side: dict(Counter(chain.from_iterable(some))) for side, some in classes.items() if some is not None}
    _check_labels(labels, fold, folds)
    return {
        "rows": {side: len(own) for side, own in indices.items()},
        "labels": labels,
        "data": data,
        "split": digest(sorted(zip(rows[ROW], at, strict=True))),
    }


def summary(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """By metric that every fold could measure: each fold's value, their mean and standard deviation (n - 1)."""
    return _spread([record["metrics"] for record in records])


def margins(records: Sequence[Record]) -> dict[str, dict[str, dict[str, Any]]]:
    """The same for what the model is above each baseline in the headline metrics, by baseline and metric."""
    return {
        name: _spread(
            [
                {metric: record["baselines"][name][f"model - {metric}"]["mean"] for metric in record["intervals"]}
                for record in records
            ]
        )
        for name in records[0]["baselines"]
    }


def _spread(folds: Sequence[dict[str, float]]) -> dict[str, dict[str, Any]]:
    common = [name for name in folds[0] if all(name in fold for fold in folds)]
    values = {name: [fold[name] for fold in folds] for name in common}
    return {
        name: {"mean": statistics.fmean(own), "std": statistics.stdev(own), "folds": own}
        for name, own in values.items()
    }


def _side(group: str, fold: int, folds: int, share: float, seed: int) -> str:
    if int(_draw(f"fold:{seed}:{group}") * folds) == fold - 1:
        return TEST
    return VALIDATION if _draw(f"held:{seed}:{group}") < share else TRAIN


def _draw(text: str) -> float:
    """A number in [0, 1) that the text decides."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") / 2**64


def _check_labels(labels: dict[str, dict[str, int]], fold: int, folds: int) -> None:
    known = set(labels.get(TRAIN, ()))
    for side in (VALIDATION, TEST):
        for label in sorted(set(labels.get(side, ())) - known):
            raise UserError(
                f"evaluate.folds={folds}: in fold {fold} no training row has the label '{label}'. "
                "Fewer folds, more rows of it, or divide otherwise: data.split.seed=1"
            )
