"""What is wrong with rows: which ones have to go and why, and what nobody could train on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sluice.data.source import GROUP, ORIGIN, SIDE
from sluice.data.split import SIDES, TEST, TRAIN, VALIDATION
from sluice.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]
    Hashes = npt.NDArray[np.uint64]
    Sides = npt.NDArray[np.str_]

FEW_ROWS = 10


def check_schema(table: pa.Table, columns: Sequence[str]) -> None:
    """Raise UserError unless the source gave the task's columns, group, side, origin, and a row."""
    import pyarrow as pa

    expected = [*columns, GROUP, SIDE, ORIGIN]
    strings = all(kind == pa.string() for kind in table.schema.types)
    if not strings or sorted(table.column_names) != sorted(expected):
        found = ", ".join(f"{field.name} ({field.type})" for field in table.schema)
        raise UserError(f"the source gave {found}; expected strings in {', '.join(expected)}")
    wrong = set(table.column(SIDE).unique().to_pylist()) - {*SIDES, None}
    if wrong:
        raise UserError(f"the source gave the side {wrong.pop()!r}; expected {', '.join(SIDES)} or null")
    if not len(table):
        raise UserError("the source gave no rows")


def trainable(sides: Sides) -> Mask:
    """Rows that are on no published validation or test side: only they may go as duplicates or conflicts."""
    mask: Mask = (sides != VALIDATION) & (sides != TEST)
    return mask


def leaking(hashes: Hashes, sides: Sides, published: str) -> Mask:
    """Rows whose text also stands on the published side: the test stays, train and validation give way."""
    import numpy as np

    others = trainable(sides) if published == VALIDATION else sides != TEST
    mask: Mask = others & np.isin(hashes, hashes[sides == published])
    return mask


def conflicting(hashes: Hashes, labels: Sequence[object]) -> Mask:
    """Rows whose text is labelled in two ways: nothing says which is right, so none of them can teach or score."""
    import numpy as np

    found: dict[int, set[object]] = {}
    for key, label in zip(hashes.tolist(), labels, strict=True):
        found.setdefault(key, set()).add(label)
    return np.array([len(found[key]) > 1 for key in hashes.tolist()], bool)


def repeated(hashes: Hashes, answers: Sequence[object]) -> Mask:
    """Rows that repeat text and answer of an earlier row."""
    import numpy as np

    seen: set[tuple[int, object]] = set()
    mask = np.zeros(len(hashes), bool)
    for row, key in enumerate(zip(hashes.tolist(), answers, strict=True)):
        mask[row] = key in seen
        seen.add(key)
    return mask


def few_rows(sides: Sequence[str]) -> list[str]:
    """A warning where train has too few rows for anything."""
    count = Counter(sides)[TRAIN]
    return [f"only {count} training rows: expect nothing of a model"] if count < FEW_ROWS else []


def check_sides(sides: Sequence[str]) -> None:
    """Raise UserError where a side got no rows."""
    counts = Counter(sides)
    for side in SIDES:
        if not counts[side]:
            shares = "" if side == TRAIN else f", a larger share: data.split.{side}=0.3,"
            raise UserError(
                f"no rows for {side}: {len(sides)} rows are left after the checks. "
                f"Add rows{shares} or divide otherwise: data.split.seed=1"
            )


def check_labels(
    labels: Mapping[str, Sequence[Sequence[str]]], origins: Mapping[str, Sequence[str]], column: str
) -> None:
    """Raise UserError where all rows are labelled alike, or for a label that train never shows.

    Arguments are by side, the labels of each row.
    """
    known = {label for some in labels[TRAIN] for label in some}
    for side in (VALIDATION, TEST):
        places: dict[str, list[str]] = {}
        for some, origin in zip(labels[side], origins[side], strict=True):
            for label in set(some) - known:
                places.setdefault(label, []).append(origin)
        for label, rows in sorted(places.items()):
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            raise UserError(
                f"the label '{label}' is in {side} but never in train: {', '.join(rows[:3])}{more}. "
                "Add training rows for it, correct the label, or divide otherwise: data.split.seed=1"
            )
    if len({tuple(some) for some in labels[TRAIN]}) < 2:
        alike = f"the label '{'|'.join(labels[TRAIN][0])}'" if known else "no label"
        raise UserError(
            f"all {len(labels[TRAIN])} training rows have {alike}, expected two or more. "
            f"Is it the right column? data.columns.{column}=..."
        )
