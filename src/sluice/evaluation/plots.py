"""Plots of an evaluation, by the name under which a task asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sluice.evaluation.scored import Scored
from sluice.evaluation.slices import Judged
from sluice.metrics.selective import risk_coverage as curve
from sluice.metrics.significance import Interval

Floats = npt.NDArray[np.float64]
Plot = Callable[[Scored, Path], None]
"""What was scored, and the PNG to write."""

LARGEST = 40
"""Labels that a confusion matrix, or slices that a forest plot, still shows readably."""
BINS = 15
"""Of confidence, as the calibration error has them."""
BLUE, GREY, RED = "#2b6ca3", "#8a8f98", "#c0392b"


def confusion(scored: Scored, path: Path) -> None:
    """Share of each label's rows by predicted label; of very many labels the most confused are shown."""
    classes = len(scored.labels)
    index = {label: place for place, label in enumerate(scored.labels)}
    pairs = zip(scored.references, scored.predictions, strict=True)
    cells = [index[right] * classes + index[said] for right, said in pairs]
    counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    shown = np.arange(classes)
    if classes > LARGEST:
        wrong = counts.sum(1) - counts.diagonal()
        shown = np.sort(np.argsort(-wrong, kind="stable")[:LARGEST])
    share = counts[np.ix_(shown, shown)] / np.maximum(counts.sum(1)[shown, None], 1)
    names = [scored.labels[index] for index in shown.tolist()]
    size = max(4.0, 0.42 * len(names) + 2.2)
    figure, axes = canvas(size, size)
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


def reliability(scored: Scored, path: Path) -> None:
    """Accuracy against confidence, with the number of rows in each bin below."""
    confidence, right = scored.confidence, scored.right
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(index, minlength=BINS)
    filled = rows > 0
    accuracy = np.bincount(index, right, BINS)[filled] / rows[filled]
    meant = np.bincount(index, confidence, BINS)[filled] / rows[filled]
    figure, axes, below = canvas(5.2, 6.2, heights=(3, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    low, high = _wilson(accuracy, rows[filled])
    axes.vlines(meant, low, high, color=BLUE, linewidth=1.5, alpha=0.6)
    axes.plot(meant, accuracy, "o", color=BLUE, markersize=5, label="this model, with 95 % bounds")
    axes.set(ylim=(0, 1.02), ylabel="accuracy", title="Accuracy by confidence on the test rows")
    axes.legend(frameon=False, loc="upper left")
    below.bar((np.arange(BINS) + 0.5) / BINS, rows, width=0.9 / BINS, color=BLUE)
    below.set(xlim=(0, 1), xlabel="confidence (probability of the answer)", ylabel="rows")
    figure.savefig(path, dpi=110)


def risk_coverage(scored: Scored, path: Path) -> None:
    """Error among the surest answers against the share of rows that is answered."""
    coverage, risk = curve(scored.confidence, scored.right)
    shown = np.unique(np.linspace(0, len(risk) - 1, 1000).astype(int))
    figure, axes = canvas(5.6, 4.2)
    axes.plot(coverage[shown], risk[shown], color=BLUE, label=f"this model (area {risk.mean():.3f})")
    axes.axhline(risk[-1], color=GREY, linestyle="--", linewidth=1, label=f"no ranking ({risk[-1]:.3f})")
    top = max(float(risk[len(risk) // 20 :].max()), float(risk[-1])) * 1.4
    axes.set(xlim=(0, 1), ylim=(0, top or 1), xlabel="share of rows answered, surest first", ylabel="error among them")
    axes.set_title("Error by the share of test rows that is answered")
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=110)


PLOTS: dict[str, Plot] = {"confusion": confusion, "reliability": reliability, "risk_coverage": risk_coverage}


def forest(judged: Sequence[Judged], overall: Interval, metric: str, path: Path) -> None:
    """Each slice's figure with bounds beside the figure on all rows; of very many slices the weakest are shown."""
    weakest = judged[:LARGEST]
    columns = list(dict.fromkeys(one.column for one in judged))
    shown = sorted(weakest, key=lambda one: columns.index(one.column))
    figure, axes = canvas(7.0, 0.26 * len(shown) + 1.7)
    axes.axvspan(overall.low, overall.high, color=GREY, alpha=0.25, linewidth=0)
    axes.axvline(overall.mean, color=GREY, linewidth=1, label=f"all rows {overall.mean:.3f}")
    for place, one in enumerate(shown):
        color = RED if one.weak else BLUE
        axes.hlines(place, one.figure.low, one.figure.high, color=color, linewidth=2)
        axes.plot(one.figure.mean, place, "o", color=color, markersize=5)
    axes.set_yticks(range(len(shown)), [f"{one.name}  ({one.rows:,})" for one in shown])
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=metric)
    more = "" if len(shown) == len(judged) else f", the {len(shown)} weakest of {len(judged)}"
    axes.set_title(f"Slices (rows){more}; red: worse than all rows beyond the bound", fontsize=10)
    axes.legend(frameon=False, loc="best")
    figure.savefig(path, dpi=110)


def _wilson(share: Floats, rows: npt.NDArray[np.int64], z: float = 1.96) -> tuple[Floats, Floats]:
    """Bounds of a share among few rows (Wilson 1927)."""
    middle, half = share + z**2 / (2 * rows), z * np.sqrt(share * (1 - share) / rows + (z / (2 * rows)) ** 2)
    return (middle - half) / (1 + z**2 / rows), (middle + half) / (1 + z**2 / rows)


def canvas(width: float, height: float, heights: tuple[int, ...] = (1,)) -> Any:
    """A figure in inches, and its axes one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(len(heights), squeeze=False, sharex=len(heights) > 1, height_ratios=heights)
    return figure, *axes[:, 0]
