"""Sides drawn anew at random: what chance alone would show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]
    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

DRAWS = 100
"""Divisions drawn: enough for the spread of a figure to within 7 %."""
SIGMAS = 4.5
"""Spreads above the mean of the draws: of a thousand divisions at random not one is called a shift."""
LEAST = 0.05
"""A smaller difference changes no score that anyone would notice, however certain it is."""
LEAST_UNITS = 20
"""Units that each side needs for anything to be told."""


@dataclass(frozen=True)
class Measured:
    """A figure, and the most that chance and indifference together explain of it."""

    found: float
    bound: float

    @property
    def shifted(self) -> bool:
        """Whether the sides differ."""
        return self.found > self.bound


def divisions(units: Ints, other: Bools, seed: int) -> Bools:
    """The side of each unit, as it is (column 0) and as drawn, shape (units, 1 + DRAWS).

    `units` numbers from 0 what stays together, a unit stands on one side. Rows of one file share phrases: what
    tells two random halves of the files apart row by row is the files, so it is units that change sides.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    actual = np.zeros(units.max() + 1, bool)
    actual[units] = other
    drawn = [generator.permutation(actual) for _ in range(DRAWS)]
    return np.stack([actual, *drawn], axis=1)


def measured(figures: Floats, alike: float = 0.0) -> Measured:
    """The figure of the actual division (the first) against those of the drawn ones; `alike` is that of no shift."""
    import numpy as np

    drawn = figures[1:][np.isfinite(figures[1:])]
    chance = drawn.mean() + SIGMAS * drawn.std() if len(drawn) > 1 else 1.0
    found = float(np.nan_to_num(figures[0], nan=alike))
    return Measured(found, float(max(chance, alike + LEAST)))


def shares(units: Ints, other: Bools, values: Ints, seed: int, *, ordered: bool) -> Measured:
    """How far the shares of `values` (numbered from 0) differ between two sides, 0 to 1.

    Total variation, half the sum of the differences; for ordered values the Kolmogorov-Smirnov distance.
    """
    import numpy as np
    from scipy.sparse import coo_array

    drawn = divisions(units, other, seed).astype(np.float64)
    counts = coo_array((np.ones(len(units)), (units, values)), shape=(len(drawn), values.max() + 1)).tocsr()
    right = counts.T @ drawn
    left = counts.sum(axis=0)[:, None] - right
    difference = right / right.sum(axis=0) - left / left.sum(axis=0)
    if ordered:
        return measured(np.abs(np.cumsum(difference, axis=0)).max(axis=0))
    return measured(np.abs(difference).sum(axis=0) / 2)
