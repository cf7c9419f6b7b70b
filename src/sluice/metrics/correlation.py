"""How well numbers follow the right ones: Pearson's and Spearman's correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums


def correlation_tally(predictions: Sequence[float], references: Sequence[float]) -> Tally:
    """Spearman's and Pearson's correlation. On some of the rows, ranks are those among all of them."""
    from scipy.sparse import csr_array

    said, right = np.asarray(predictions, np.float64), np.asarray(references, np.float64)
    pairs = [(ranks(said), ranks(right)), (_standard(said), _standard(right))]
    counts = [np.ones(len(said))]
    for one, other in pairs:
        counts += [one, other, one * one, other * other, one * other]

    def figures(sums: Sums) -> Figures:
        rows = sums[:, 0]
        return {"spearman": pearson(rows, *sums[:, 1:6].T), "pearson": pearson(rows, *sums[:, 6:11].T)}

    return Tally(csr_array(np.stack(counts, axis=1).astype(np.float32)), figures)


def ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks of mean 0 from -0.5 to 0.5, equal values sharing theirs; shape (rows,)."""
    from scipy.stats import rankdata

    return (rankdata(values) - (len(values) + 1) / 2) / max(1, len(values))


def _standard(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean 0 and deviation 1, so that sums of products keep their digits."""
    return (values - values.mean()) / (values.std() or 1.0)


def pearson(rows: Sums, one: Sums, other: Sums, squared: Sums, others: Sums, products: Sums) -> Sums:
    """Pearson's correlation from sums over `rows` rows; NaN where a side does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt((squared - one**2 / rows) * (others - other**2 / rows))
        found: Sums = np.where(spread > 1e-9, (products - one * other / rows) / spread, np.nan)
    return found
