"""How good an order of candidates is, by which of them are right: what search is measured by."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio

Judged = Mapping[Any, float]
"""Relevance by candidate; above 0 is relevant, what is not judged is 0."""
Ranked = Sequence[Hashable]
"""Candidates, best first, each at most once."""
NAMES = ("recall_1", "recall_10", "recall_100", "mrr", "ndcg_10", "map")
"""Figures of a ranking; all go from 0 to 1."""
DEPTH = 100
"""Candidates of a ranking that a test row keeps: its reciprocal rank and average precision are those within them."""


def ranking_tally(rankings: Sequence[Ranked], right: Sequence[Sequence[Any]]) -> Tally:
    """Means over rows of the figures of a ranking in which all that is right is equally right."""
    from scipy.sparse import csr_array

    counts = np.ones((len(right), 1 + len(NAMES)), np.float32)
    for row, (ranked, own) in enumerate(zip(rankings, right, strict=True)):
        counts[row, 1:] = ranking_figures(ranked, dict.fromkeys(own, 1.0))

    def figures(sums: Sums) -> Figures:
        rows, *scores = sums.T
        return {name: ratio(score, rows) for name, score in zip(NAMES, scores, strict=True)}

    return Tally(csr_array(counts), figures)


def measure(rankings: Sequence[Ranked], judged: Sequence[Judged]) -> dict[str, float]:
    """Means over queries, each of which has a relevant candidate."""
    rows = [ranking_figures(one, of) for one, of in zip(rankings, judged, strict=True)]
    return {name: sum(column) / len(rows) for name, column in zip(NAMES, zip(*rows, strict=True), strict=True)}


def ranking_figures(ranked: Ranked, judged: Judged) -> list[float]:
    """The figures of `NAMES` for one ranking."""
    recalls = [recall(ranked, judged, cut) for cut in (1, 10, 100)]
    first = reciprocal_rank(ranked, judged, len(ranked))
    return [*recalls, first, ndcg(ranked, judged, 10), average_precision(ranked, judged)]


def recall(ranked: Ranked, judged: Judged, k: int) -> float:
    """Share of the relevant candidates among the first `k`."""
    relevant = _relevant(judged)
    return len(relevant & set(ranked[:k])) / len(relevant)


def reciprocal_rank(ranked: Ranked, judged: Judged, k: int) -> float:
    """One over the rank of the first relevant candidate within `k`, else 0."""
    relevant = _relevant(judged)
    return next((1 / rank for rank, one in enumerate(ranked[:k], 1) if one in relevant), 0.0)


def ndcg(ranked: Ranked, judged: Judged, k: int) -> float:
    """Discounted gain over that of the best order; the gain is the relevance itself, as trec_eval has it."""
    best = sorted((gain for gain in judged.values() if gain > 0), reverse=True)[:k]
    return _discounted([max(0.0, judged.get(one, 0.0)) for one in ranked[:k]]) / _discounted(best)


def average_precision(ranked: Ranked, judged: Judged) -> float:
    """Precision at the rank of each relevant candidate, averaged over all: those not ranked count as 0."""
    relevant, found, total = _relevant(judged), 0, 0.0
    for rank, one in enumerate(ranked, 1):
        if one in relevant:
            found += 1
            total += found / rank
    return total / len(relevant)


def _relevant(judged: Judged) -> set[Any]:
    relevant = {one for one, relevance in judged.items() if relevance > 0}
    if not relevant:
        raise ValueError("no relevant candidate: such a query has no figures")
    return relevant


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
