"""How good an order of candidates is, by which of them are right: what search is measured by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio

DEPTH = 100
"""Candidates of a ranking that count; reciprocal ranks and average precision are those within them."""
NAMES = ("recall_1", "recall_10", "recall_100", "mrr", "ndcg_10", "map")
"""Figures of a ranking; all go from 0 to 1."""


def ranking_tally(rankings: Sequence[Sequence[int]], right: Sequence[Sequence[int]]) -> Tally:
    """Means over rows of `ranking_figures`; candidates are numbers, best first, each at most once."""
    from scipy.sparse import csr_array

    counts = np.ones((len(right), 1 + len(NAMES)), np.float32)
    for row, (ranked, own) in enumerate(zip(rankings, right, strict=True)):
        counts[row, 1:] = ranking_figures(np.isin(np.asarray(ranked[:DEPTH], np.int64), own), len(own))

    def figures(sums: Sums) -> Figures:
        rows, *scores = sums.T
        return {name: ratio(score, rows) for name, score in zip(NAMES, scores, strict=True)}

    return Tally(csr_array(counts), figures)


def ranking_figures(hits: npt.NDArray[np.bool_], relevant: int) -> list[float]:
    """The figures of `NAMES` for one ranking: `hits` tells of each place whether the candidate there is right.

    Recall at 1, 10 and 100: the share of the right ones, of as many as could stand there. Reciprocal rank of the first
    right one (Voorhees 1999); nDCG at 10 with gains of one (Jarvelin & Kekalainen 2002); average precision.
    """
    hits = hits[:DEPTH]
    places = np.flatnonzero(hits)
    recalls = [float(hits[:cut].sum() / min(relevant, cut)) for cut in (1, 10, DEPTH)]
    gains = 1 / np.log2(np.arange(2, 12))
    ideal = gains[: min(relevant, 10)].sum()
    precision = (np.arange(1, len(places) + 1) / (places + 1)).sum() / min(relevant, DEPTH)
    first = 1 / (places[0] + 1) if len(places) else 0.0
    return [*recalls, float(first), float(gains[: len(hits[:10])][hits[:10]].sum() / ideal), float(precision)]
