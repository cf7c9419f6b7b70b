"""Rows of two sides that are one text, or nearly one: what a model has seen, it need not understand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sluice.data.split import SIDES, TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Hashes = npt.NDArray[np.uint64]
    Sides = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Place:
    """A row by where it was read, its side, the hash of its text and the text."""

    origin: str
    side: str
    row: str
    text: str


@dataclass(frozen=True)
class Leak:
    """A held-out row and the row that gives it away."""

    kind: Literal["exact", "near"]
    held_out: Place
    other: Place

    def describe(self, keep_texts: bool) -> dict[str, str]:
        """As flat data, texts only where they may be kept."""
        found: dict[str, str] = {"kind": self.kind}
        for name, place in (("held_out", self.held_out), ("other", self.other)):
            found |= {f"{name}_origin": place.origin, f"{name}_side": place.side, f"{name}_row": place.row}
            found |= {f"{name}_text": place.text} if keep_texts else {}
        return found


@dataclass(frozen=True)
class Rows:
    """Columns of the rows that are compared."""

    origins: Sequence[str]
    sides: Sequence[str]
    names: Sequence[str]
    texts: Sequence[str]

    def place(self, row: int) -> Place:
        """One of them."""
        return Place(self.origins[row], self.sides[row] or TRAIN, self.names[row], self.texts[row])


def exact(rows: Rows, hashes: Hashes, gone: Mask, published: str) -> list[Leak]:
    """Each row in `gone`, with the first row of the published side that has its text."""
    first: dict[int, int] = {}
    for row, side in enumerate(rows.sides):
        if side == published:
            first.setdefault(int(hashes[row]), row)
    return [Leak("exact", rows.place(first[int(hashes[row])]), rows.place(row)) for row in gone.nonzero()[0].tolist()]


def near(rows: Rows, pairs: npt.NDArray[np.int64]) -> list[Leak]:
    """Pairs of near-duplicates that stand on two sides; of the two, test is held out from validation from train."""
    import numpy as np

    ranks = {TRAIN: 0, VALIDATION: 1, TEST: 2}
    rank = np.array([ranks[side] for side in rows.sides], np.int64)
    crossing = pairs[rank[pairs[:, 0]] != rank[pairs[:, 1]]] if len(pairs) else pairs
    ordered = [sorted(pair, key=lambda row: (-rank[row], row)) for pair in crossing.tolist()]
    return [Leak("near", rows.place(held), rows.place(other)) for held, other in sorted(ordered)]


def held_out(leaks: Sequence[Leak]) -> list[str]:
    """The origins of the distinct held-out rows, test first."""
    places = {leak.held_out.origin: leak.held_out.side for leak in leaks}
    return sorted(places, key=lambda origin: (-SIDES.index(places[origin]), origin))
