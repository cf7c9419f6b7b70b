"""The test rows by label, length, language or any column: where a model is weaker than elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sluice.errors import UserError
from sluice.evaluation.settings import Evaluate
from sluice.metrics.direction import sign
from sluice.metrics.significance import Interval, Resampler, Tally
from sluice.tasks.task import Columns, Task

Rows = npt.NDArray[np.int64]
"""Indices of rows."""

LENGTH, LANGUAGE = "length", "language"
"""Slices that are made from the text, whatever the columns."""
NONE = "(none)"
"""The value of a row that has none."""


@dataclass(frozen=True)
class Slice:
    """Some of the test rows."""

    column: str
    value: str
    rows: Rows

    @property
    def name(self) -> str:
        """As `column=value`."""
        return f"{self.column}={self.value}"


@dataclass(frozen=True)
class Judged:
    """A slice with one metric on it."""

    column: str
    value: str
    rows: int
    figure: Interval
    gap: Interval
    """How far that is from the metric on all rows."""
    weak: bool
    """Whether it is worse than all rows beyond its bound; most of the rows are not worse than themselves."""

    @property
    def name(self) -> str:
        """As `column=value`."""
        return f"{self.column}={self.value}"


def check_columns(wanted: Sequence[str], there: Sequence[str]) -> None:
    """Raise UserError for a column that the rows do not have."""
    for column in wanted:
        if column not in (LENGTH, LANGUAGE, *there):
            known = ", ".join(dict.fromkeys([LENGTH, LANGUAGE, *there]))
            raise UserError(f"evaluate.slices: the rows have no column '{column}'. There are: {known}")


def divide(
    test: Columns, texts: Sequence[str], columns: Sequence[str], least: int, lists: Collection[str] = ()
) -> list[Slice]:
    """The slices of at least `least` rows; one that holds all rows is none. `texts` are the rows' inputs.

    Of the columns in `lists`, whose cells have a value a line, a row is in the slice of each of its values.
    """
    check_columns(columns, list(test))
    cut = {column: _listed(test[column]) if column in lists else _parts(test, column, texts) for column in columns}
    parts = [(column, *part) for column in columns for part in cut[column]]
    count = len(texts)
    return [Slice(column, value, rows) for column, value, rows in parts if least <= len(rows) < count]


def slices_of(task: Task, test: Columns, settings: Evaluate) -> list[Slice]:
    """The slices that the settings ask for, or those that the task suggests."""
    columns = task.slices if settings.slices is None else settings.slices
    lists = [column for column, kind in task.columns.items() if kind == "labels"]
    return divide(test, task.texts(test), columns, settings.min_slice_rows, lists)


def judge(tally: Tally, metric: str, slices: Sequence[Slice], resampler: Resampler) -> list[Judged]:
    """The metric on each slice, and its difference from all rows, with bounds; the worst first."""
    judged, better = [], sign(metric)
    for one in slices:
        own = tally.only(one.rows)
        figure, gap = resampler.intervals(own)[metric], resampler.differences(own, tally)[metric]
        weak = (gap.high if better > 0 else -gap.low) < 0 and len(one.rows) <= resampler.rows / 2
        judged.append(Judged(one.column, one.value, len(one.rows), figure, gap, weak))
    return sorted(judged, key=lambda one: better * one.figure.mean)


def record(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """As plain data."""
    return [asdict(one) for one in judged]


def write_csv(path: Path, judged: Sequence[Judged], metric: str) -> None:
    """A line a slice."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["column", "value", "rows", metric, "low", "high", "gap", "gap_low", "gap_high"])
        for one in judged:
            figures = [value for interval in (one.figure, one.gap) for value in asdict(interval).values()]
            writer.writerow([one.column, one.value, one.rows, *(f"{value:.4f}" for value in figures)])


def _parts(test: Columns, column: str, texts: Sequence[str]) -> list[tuple[str, Rows]]:
    """The values of a column with their rows."""
    if column == LENGTH and column not in test:
        return _thirds(np.array([len(text) for text in texts]))
    if column == LANGUAGE and column not in test:
        from sluice.data.inspection.language import languages

        values = languages(texts)
    else:
        values = [NONE if value is None else str(value) for value in test[column]]
    names, first, counts = np.unique(values, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(first, kind="stable"), np.cumsum(counts)[:-1])
    return list(zip(names.tolist(), rows, strict=True))


def _listed(cells: Sequence[str]) -> list[tuple[str, Rows]]:
    """The values that cells list with their rows; rows that list none are in no slice: no F1 can be told of them."""
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        for value in set(cell.split("\n")) - {""}:
            rows.setdefault(value, []).append(row)
    return [(value, np.array(own, np.int64)) for value, own in sorted(rows.items())]


def _thirds(lengths: npt.NDArray[np.int64]) -> list[tuple[str, Rows]]:
    """Rows by length, cut so that each part has about a third."""
    cuts = np.quantile(lengths, [1 / 3, 2 / 3], method="lower")
    third = np.digitize(lengths, cuts, right=True)
    parts = [np.flatnonzero(third == index) for index in range(3)]
    return [(f"{lengths[rows].min()}-{lengths[rows].max()} characters", rows) for rows in parts if len(rows)]
