"""Rows on their way from a source to the split: which go, for what reason, and which stay together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sluice.data import checks
from sluice.data.duplicates import clusters, near_pairs, redundant
from sluice.data.inspection import charset, leaks
from sluice.data.rows import normalise, row_hashes
from sluice.data.source import GROUP, ORIGIN, SIDE
from sluice.data.split import TEST, VALIDATION
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class Sieve:
    """The rows that are left, in the order of their hashes, and those that were dropped, by reason."""

    def __init__(self, table: pa.Table, task: Task) -> None:
        import numpy as np

        self.task = task
        self.columns = columns = tuple(task.columns)
        self.read, self.texts = len(table), 0
        """Rows that came in, and those of them that have a text and an answer."""
        self.dropped: dict[str, pa.Table] = {}
        self.facts: dict[str, list[str]] = {}
        """Origins of the rows of which something is true, whether they stay or go."""
        self.unusable: list[str] = []
        """Reasons by which the task has rows dropped."""
        self.odd: dict[str, list[str]] = {}
        """Origins of the rows in which the task finds something wrong, by what it is."""
        self.leaks: list[leaks.Leak] = []
        self.pairs = np.empty((0, 2), np.int64)
        """Near-duplicates among the rows that are left, as indices."""
        cells = {name: table.column(name).fill_null("").to_pylist() for name in (*columns, GROUP, ORIGIN)}
        hashes = row_hashes(task.texts(cells))
        # Every column takes part, so that the order of the file does not choose between duplicates.
        keys = list(zip(hashes.tolist(), *cells.values(), strict=True))
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
        self.table, self.hashes = table.take(order), hashes[order]

    @property
    def sides(self) -> npt.NDArray[np.str_]:
        """The given side of each row, '' where there is none."""
        import numpy as np

        return np.array([side or "" for side in self.column(SIDE)], "U10")

    def names(self) -> list[str]:
        """The hash of each row's normalised text, 16 hex digits."""
        return [f"{key:016x}" for key in self.hashes.tolist()]

    def column(self, name: str) -> list[Any]:
        """A column's values."""
        return list(self.table.column(name).to_pylist())

    def answers(self) -> dict[str, list[str]]:
        """The task's columns."""
        return {name: self.column(name) for name in self.columns}

    def inputs(self) -> list[str]:
        """What each row is known by: its input as plain text."""
        return list(self.task.texts(self.answers()))

    def labels(self) -> list[list[str]] | None:
        """The labels of each row; None where rows have none."""
        found = self.task.classes(self.answers())
        return None if found is None else [list(some) for some in found]

    def _said(self) -> list[object]:
        """What each row answers to its text: two rows that answer the same are equal here, however it is written."""
        labels = self.labels()
        if labels is not None:
            return [*map(tuple, labels)]
        return [row[1:] for row in zip(*map(self.column, self.columns), strict=True)]

    def drop(self, mask: npt.NDArray[np.bool_], reason: str) -> None:
        """Take rows out, for a reason."""
        import pyarrow as pa

        if mask.any():
            self.dropped[reason] = self.table.filter(pa.array(mask))
            self.leave_out(mask)

    def leave_out(self, mask: npt.NDArray[np.bool_]) -> None:
        """Take rows out in which nothing is wrong."""
        import numpy as np
        import pyarrow as pa

        self.table, self.hashes = self.table.filter(pa.array(~mask)), self.hashes[~mask]
        places = np.cumsum(~mask) - 1
        self.pairs = places[self.pairs[~mask[self.pairs].any(axis=1)]]

    def note(self, fact: str, rows: Iterable[int]) -> None:
        """Remember of which rows something is true."""
        self.facts[fact] = self._origins(rows)

    def sift(self, long_characters: int, threshold: float, *, drop_near: bool) -> list[str]:
        """Drop everything that must not stay and give each row its final group. Returns warnings."""
        import numpy as np

        for column in self.columns:
            if self.task.columns[column] == "labels":
                continue  # a row without labels says that none of them fits
            empty = [not (value or "").strip() for value in self.column(column)]
            self.drop(np.array(empty, bool), f"empty_{column}")
        self._drop_unusable()
        texts = self.inputs()
        self.texts = len(texts)
        self.note("broken", charset.broken(texts))
        self.note("mixed", charset.mixed(texts))
        self.note("long", [row for row, text in enumerate(texts) if len(text) > long_characters])
        for fact, rows in self.task.odd(self.answers()).items():
            self.odd[fact] = self._origins(rows)
        self.note("repeated", np.flatnonzero(checks.repeated(self.hashes, self._said())).tolist())
        warnings = self._conflicts_and_leaks()
        self.drop(checks.repeated(self.hashes, self._said()) & checks.trainable(self.sides), "duplicate")
        self._near_duplicates(threshold, drop_near)
        return warnings

    def _origins(self, rows: Iterable[int]) -> list[str]:
        origins = self.column(ORIGIN)
        return [origins[row] for row in rows]

    def _drop_unusable(self) -> None:
        """Rows that the task cannot learn from; of several reasons the first counts."""
        import numpy as np

        reasons = np.full(len(self.hashes), "", object)
        for reason, rows in self.task.unusable(self.answers()).items():
            self.unusable.append(reason)
            reasons[[row for row in rows if not reasons[row]]] = reason
        for reason in self.unusable:
            mask = reasons == reason
            self.drop(mask, reason)
            reasons = reasons[~mask]

    def _conflicts_and_leaks(self) -> list[str]:
        labelled = self.labels() is not None
        if labelled:
            self.note("conflicting", checks.conflicting(self.hashes, self._said()).nonzero()[0].tolist())
        for side in (TEST, VALIDATION):
            gone = checks.leaking(self.hashes, self.sides, side)
            rows = leaks.Rows(self.column(ORIGIN), self.sides.tolist(), self.names(), self.inputs())
            self.leaks += leaks.exact(rows, self.hashes, gone, side)
            self.drop(gone, f"in_{side}")
        if not labelled:
            return []
        conflict, trainable = checks.conflicting(self.hashes, self._said()), checks.trainable(self.sides)
        kept = int((conflict & ~trainable).sum())
        self.drop(conflict & trainable, "conflict")
        return [f"{kept} published rows share their text with another label; kept"] if kept else []

    def _near_duplicates(self, threshold: float, drop: bool) -> None:
        """Give rows without a group that of their cluster; drop near-duplicates across groups, or all but one.

        Joining groups instead would glue the files of apidocs by boilerplate, 17 % of the rows in one component
        by exact copies alone; dropping near-duplicates costs 2 %.
        """
        import numpy as np
        import pyarrow as pa

        texts = [normalise(text) for text in self.inputs()]
        pairs = near_pairs(texts, threshold)
        self.note("near", np.unique(pairs).tolist())
        if drop:
            gone, pairs = redundant(texts, pairs, checks.trainable(self.sides), threshold)
            self.drop(gone, "near_duplicate")
        sides, given = self.sides, self.column(GROUP)
        free = sides == ""
        cluster = clusters(len(sides), pairs[free[pairs].all(axis=1)]).tolist()
        names: dict[int, str] = {}
        for at in sorted(range(len(given)), key=lambda row: given[row] is None):
            names.setdefault(cluster[at], given[at] or f"{self.hashes[at]:016x}")
        groups = [names[number] for number in cluster]
        stray = np.array([name not in (None, group) for name, group in zip(given, groups, strict=True)], bool)
        self.table = self.table.set_column(self.table.column_names.index(GROUP), GROUP, pa.array(groups, pa.string()))
        self.pairs = pairs
        self.drop(stray, "near_duplicate")
