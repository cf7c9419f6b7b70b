"""Bootstrap bounds and permutation tests, for one model and for the difference of two on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Figures = dict[str, npt.NDArray[np.float64]]
"""By metric, one value a resample, shape (n,)."""

BLOCK = 16_000_000
"""Weights that are multiplied at a time: bounds the memory at 64 MB, however many rows there are."""
EACH = 2048
"""Rows whose counts are written out at a time."""


@dataclass(frozen=True)
class Sampling:
    """How a bootstrap is drawn."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile-bootstrap bounds; NaN where it cannot be measured."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Tally:
    """Counts of every row whose sums, over any rows, give the figures: so that a resample is a matrix product."""

    counts: csr_array
    """Shape (rows, counts), float32."""
    figures: Callable[[npt.NDArray[np.float64]], Figures]
    """Sums of the counts, shape (n, counts), to the metrics of each of the n."""

    def only(self, rows: npt.NDArray[np.integer]) -> Tally:
        """The same with all other rows counted as nothing."""
        from scipy.sparse import diags_array

        chosen = np.zeros(self.counts.shape[0], np.float32)
        chosen[rows] = 1
        return replace(self, counts=(diags_array(chosen) @ self.counts).tocsr())

    def exact(self) -> dict[str, float]:
        """The figures over the rows as they are."""
        return {name: float(values[0]) for name, values in self.figures(self.total()[None]).items()}

    def each(self, metric: str) -> npt.NDArray[np.float64]:
        """One figure of every row by itself, shape (rows,)."""
        starts = range(0, self.counts.shape[0], EACH)
        parts = [self.figures(self.counts[at : at + EACH].toarray().astype(np.float64))[metric] for at in starts]
        return np.concatenate([np.empty(0), *parts])

    def total(self) -> npt.NDArray[np.float64]:
        """Sums over all rows, shape (counts,)."""
        return np.asarray(self.counts.sum(axis=0, dtype=np.float64))


class Resampler:
    """Draws once what every model, baseline and slice is then measured on, so that all comparisons are paired."""

    def __init__(self, rows: int, sampling: Sampling) -> None:
        self.rows = rows
        self.sampling = sampling

    def intervals(self, tally: Tally) -> dict[str, Interval]:
        """Figures with bounds (Efron 1979: rows drawn with replacement, percentiles of the statistic)."""
        return self._bounds(tally.exact(), self._resampled(tally))

    def differences(self, ours: Tally, theirs: Tally) -> dict[str, Interval]:
        """Ours minus theirs, both on the same resampled rows (Koehn 2004)."""
        exact, other = ours.exact(), theirs.exact()
        samples, others = self._resampled(ours), self._resampled(theirs)
        return self._bounds(
            {name: exact[name] - other[name] for name in exact},
            {name: samples[name] - others[name] for name in exact},
        )

    def p_values(self, ours: Tally, theirs: Tally) -> dict[str, float]:
        """Two-sided paired permutation test: the chance of such a difference if the models' answers were exchangeable.

        Each row's answers change sides with probability one half (Noreen 1989); the smallest p is 1 / (resamples + 1).
        """
        exact, other = ours.exact(), theirs.exact()
        moved = self._products(self._swaps, replace(ours, counts=(theirs.counts - ours.counts).tocsr()))
        left, right = ours.figures(ours.total() + moved), ours.figures(theirs.total() - moved)
        found = {}
        for name in exact:
            at_least = np.abs(left[name] - right[name]) >= abs(exact[name] - other[name]) - 1e-12
            found[name] = float((1 + at_least.sum()) / (1 + self.sampling.resamples))
        return found

    @cached_property
    def _draws(self) -> npt.NDArray[np.uint8]:
        """How often each resample holds each row, shape (rows, resamples)."""
        rng = np.random.default_rng(self.sampling.seed)
        drawn = np.empty((self.sampling.resamples, self.rows), np.uint8)
        for resample in drawn:
            resample[:] = np.bincount(rng.integers(0, self.rows, self.rows), minlength=self.rows)
        return np.ascontiguousarray(drawn.T)

    @cached_property
    def _swaps(self) -> npt.NDArray[np.uint8]:
        """Which rows change sides in each permutation, shape (rows, resamples)."""
        rng = np.random.default_rng([self.sampling.seed, 1])
        return rng.integers(0, 2, (self.rows, self.sampling.resamples), np.uint8)

    def _resampled(self, tally: Tally) -> Figures:
        return tally.figures(self._products(self._draws, tally))

    def _products(self, weights: npt.NDArray[np.uint8], tally: Tally) -> npt.NDArray[np.float64]:
        """Weighted sums of the counts, shape (resamples, counts)."""
        transposed = tally.counts.T
        return np.concatenate([(transposed @ block).T for block in self._blocks(weights)]).astype(np.float64)

    def _blocks(self, weights: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
        width = max(1, BLOCK // max(1, self.rows))
        for start in range(0, weights.shape[1], width):
            yield weights[:, start : start + width].astype(np.float32)

    def _bounds(self, exact: dict[str, float], samples: Figures) -> dict[str, Interval]:
        tail = (1 - self.sampling.confidence) / 2 * 100
        found = {}
        for name, values in samples.items():
            measured = values[~np.isnan(values)]  # a small slice may be missing from a resample
            low, high = np.percentile(measured, [tail, 100 - tail]) if len(measured) else (np.nan, np.nan)
            found[name] = Interval(exact[name], float(low), float(high))
        return found


def plain(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Intervals as they are written to JSON."""
    return {name: asdict(interval) for name, interval in intervals.items()}
