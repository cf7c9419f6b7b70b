"""Plots of an evaluation, by the name under which a task asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Plot = Callable[[npt.NDArray[np.integer], npt.NDArray[np.integer], Sequence[str], Path], None]
"""Predictions, references, label names and the PNG to write."""

LARGEST = 40
"""Labels that a confusion matrix still shows readably."""


def confusion(
    predictions: npt.NDArray[np.integer],
    references: npt.NDArray[np.integer],
    labels: Sequence[str],
    path: Path,
) -> None:
    """Share of each label's rows by predicted label; of very many labels the most confused are shown."""
    from matplotlib.figure import Figure

    classes = len(labels)
    counts = np.bincount(references * classes + predictions, minlength=classes**2).reshape(classes, classes)
    shown = np.arange(classes)
    if classes > LARGEST:
        wrong = counts.sum(1) - counts.diagonal()
        shown = np.sort(np.argsort(-wrong, kind="stable")[:LARGEST])
    share = counts[np.ix_(shown, shown)] / np.maximum(counts.sum(1)[shown, None], 1)
    names = [labels[index] for index in shown.tolist()]
    size = max(4.0, 0.42 * len(names) + 2.2)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    title = "Share of each label's test rows, in %"
    axes.set_title(title if len(names) == classes else f"{title} ({len(names)} most confused of {classes})")
    for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{share[row, column] * 100:.0f}", ha="center", va="center", color=color, fontsize=8)
    figure.savefig(path, dpi=110)


PLOTS: dict[str, Plot] = {"confusion": confusion}
