"""The evidence for the gate: challenger, champion and baselines on the challenger's test rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sluice.evaluation.latency import latency_ratios
from sluice.evaluation.settings import Evaluate
from sluice.gate import Against, Bounds, Evidence, Gate
from sluice.inference.bundle import TRAIN_ROWS
from sluice.inference.engine import Engine
from sluice.inference.predictor import Predictor
from sluice.metrics.significance import Sampling
from sluice.tasks.task import Baselines, Columns

Indices = npt.NDArray[np.int64]


def gather(
    challenger_folder: Path,
    champion_folder: Path | None,
    test: Columns,
    baselines: Baselines,
    *,
    engine: Engine,
    settings: Evaluate,
    rules: Gate,
    seed: int,
) -> Evidence:
    """Score both models on `test`, which carries `row` hashes, and compare them with each other and the baselines."""
    challenger = Predictor(challenger_folder, engine)
    task, labels = challenger.task, challenger.bundle.labels
    references = task.references(test, labels)
    logits = challenger.logits(test["text"])
    predictions = logits.argmax(axis=1).astype(np.int64)
    sampling = settings.sampling(seed)

    def over(guesses: Indices) -> Bounds:
        margins = task.differences(predictions, guesses, references, len(labels), sampling)
        return Bounds.of(margins[task.primary_metric])

    champion = None
    if champion_folder:
        champion = _against(challenger, predictions, champion_folder, test, engine, settings, rules, sampling)
    return Evidence(
        metric=task.primary_metric,
        scores=task.metrics(logits, references),
        trivial={name: over(guesses) for name, guesses in baselines.trivial.items()},
        strong={name: over(guesses) for name, guesses in baselines.strong.items()},
        seen=_seen(challenger_folder, test),
        champion=champion,
    )


def _against(
    challenger: Predictor,
    predictions: Indices,
    folder: Path,
    test: Columns,
    engine: Engine,
    settings: Evaluate,
    rules: Gate,
    sampling: Sampling,
) -> Against:
    champion = Predictor(folder, engine)
    names = sorted({*challenger.bundle.labels, *champion.bundle.labels})
    references = challenger.task.references(test, names)
    ours = _rename(predictions, challenger.bundle.labels, names)
    theirs = _rename(champion.logits(test["text"]).argmax(axis=1), champion.bundle.labels, names)
    metric = challenger.task.primary_metric

    def difference(rows: Indices) -> Bounds:
        pair = challenger.task.differences(ours[rows], theirs[rows], references[rows], len(names), sampling)
        return Bounds.of(pair[metric])

    slices = {
        name: rows
        for name, rows in _slices(test, challenger.task.slice_columns).items()
        if len(rows) >= rules.min_slice_rows
    }
    ratio, control = math.nan, math.nan
    if rules.max_latency_ratio is not None:
        texts = test["text"][: settings.latency_texts]
        ratio, control = latency_ratios(challenger, champion, Predictor(folder, engine), texts)
    return Against(
        difference=difference(np.arange(len(references))),
        latency_ratio=ratio,
        latency_control=control,
        size_ratio=_weights(challenger.folder) / _weights(folder),
        slices={name: difference(rows) for name, rows in slices.items()},
        seen=_seen(folder, test),
    )


def _rename(indices: npt.NDArray[np.integer], labels: tuple[str, ...], names: list[str]) -> Indices:
    """Indices into a model's own labels -> indices into `names`: models with other labels stay comparable."""
    return np.array([names.index(label) for label in labels], np.int64)[indices]


def _slices(test: Columns, columns: tuple[str, ...]) -> dict[str, Indices]:
    """Rows by the value of each column, and by thirds of the text length."""
    slices: dict[str, Indices] = {}
    for column in columns:
        values = np.array(test[column])
        slices |= {f"{column}={value}": np.flatnonzero(values == value) for value in sorted(set(test[column]))}
    lengths = np.array([len(text) for text in test["text"]])
    thirds = np.digitize(lengths, np.quantile(lengths, [1 / 3, 2 / 3]), right=True)
    return slices | {
        f"length={name}": np.flatnonzero(thirds == third) for third, name in enumerate(("short", "medium", "long"))
    }


def _seen(folder: Path, test: Columns) -> int:
    """Test rows that stand in a bundle's training manifest."""
    manifest = np.load(folder / TRAIN_ROWS, allow_pickle=False)
    rows = np.array([int(row, 16) for row in test["row"]], np.uint64)
    return int(np.isin(rows, manifest).sum())


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
