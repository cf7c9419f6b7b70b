"""How long the texts are in tokens, and how many of them a model will not read to the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data.inspection.findings import percent
from sluice.data.inspection.settings import Checks
from sluice.errors import UserError
from sluice.tasks.encoding import Encoded
from sluice.tasks.task import Columns, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLOT = "lengths.png"
CLASSES = 40
COLORS = {"train": "#0f766e", "validation": "#b45309", "test": "#6d4fc4"}


def token_lengths(
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    rows: Mapping[str, Columns],
    done: Mapping[str, Sequence[Encoded]],
) -> dict[str, list[int]]:
    """Tokens of every text by side, special ones included and nothing cut.

    `done` are sides that were encoded already, cut as the task does: only texts cut are encoded again.
    """
    limit = limit_of(tokenizer, task)
    found: dict[str, list[int]] = {}
    for side, columns in rows.items():
        inputs = task.lessons(columns)
        encoded = done[side] if side in done else task.encode(tokenizer, inputs)
        found[side] = [len(row.ids) for row in encoded]
        cut = [row for row, length in enumerate(found[side]) if length >= limit]
        if cut:
            whole = task.encode(tokenizer, [inputs[row] for row in cut], whole=True)
            for row, one in zip(cut, whole, strict=True):
                found[side][row] = len(one.ids)
    return found


def limit_of(tokenizer: PreTrainedTokenizerBase, task: Task) -> int:
    """Tokens at which a text is cut."""
    return int(min(task.max_length, tokenizer.model_max_length))


def check_lengths(lengths: Mapping[str, Sequence[int]], limit: int, checks: Checks, folder: Path) -> dict[str, Any]:
    """Figures by side of untruncated lengths in tokens, and a histogram in `folder`.

    Raises UserError, after the plot is written, where a side is cut more than `checks.max_truncated` allows.
    """
    record = {"limit": limit, "sides": {side: _figures(found, limit) for side, found in lengths.items() if found}}
    folder.mkdir(parents=True, exist_ok=True)
    _plot(lengths, limit, folder / PLOT)
    refuse_truncated(record, checks, folder)
    return record


def refuse_truncated(record: Mapping[str, Any], checks: Checks, folder: Path) -> None:
    """Raise UserError where a record of `check_lengths` in `folder` is beyond the bound, which may have changed."""
    bound = checks.max_truncated
    for side, figures in record["sides"].items():
        if bound is not None and figures["truncated"] > bound:
            raise UserError(
                f"{percent(figures['truncated'])} of the {side} texts are cut at {record['limit']} tokens "
                f"(95 of 100 have up to {figures['p95']:.0f}); checks.max_truncated={bound:g} allows no more.\n"
                f"Raise task.max_length, cut the texts to what matters, or raise it. Histogram: {folder / PLOT}"
            )


def _figures(lengths: Sequence[int], limit: int) -> dict[str, float]:
    import numpy as np

    found = np.array(lengths)
    return {
        "mean": float(found.mean()),
        "p50": float(np.percentile(found, 50)),
        "p95": float(np.percentile(found, 95)),
        "max": float(found.max()),
        "truncated": float((found > limit).mean()),
    }


def _plot(lengths: Mapping[str, Sequence[int]], limit: int, path: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    longest = max((max(found) for found in lengths.values() if found), default=1)
    edges = np.unique(np.geomspace(1, max(longest, limit) + 1, CLASSES + 1).astype(int))
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for side, found in lengths.items():
        counts = np.histogram(found, edges)[0]
        axes.stairs(counts * 100 / max(1, len(found)), edges, label=side, color=COLORS.get(side), linewidth=1.6)
    axes.axvline(limit, color="#9f1d1d", linestyle="--", linewidth=1.2, label=f"cut at {limit}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("tokens")
    axes.set_ylabel("% of the side's texts")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    figure.savefig(temporary, dpi=110, format="png")
    temporary.replace(path)
