"""Figures for ranked lists of ids against judgements: pure functions, each from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Judged = Mapping[str, float]
"""Relevance by id; above 0 is relevant, what is not judged is 0."""
FIGURES = ("recall@10", "recall@100", "mrr@10", "ndcg@10", "map")


def recall(ranked: Sequence[str], judged: Judged, k: int) -> float:
    """Share of the relevant ids among the first `k`."""
    relevant = _relevant(judged)
    return len(relevant & set(ranked[:k])) / len(relevant)


def reciprocal_rank(ranked: Sequence[str], judged: Judged, k: int) -> float:
    """One over the rank of the first relevant id within `k`, else 0."""
    relevant = _relevant(judged)
    return next((1 / rank for rank, one in enumerate(ranked[:k], 1) if one in relevant), 0.0)


def ndcg(ranked: Sequence[str], judged: Judged, k: int) -> float:
    """Discounted gain over that of the best order; the gain is the relevance itself, as trec_eval has it."""
    best = sorted((gain for gain in judged.values() if gain > 0), reverse=True)[:k]
    return _discounted([max(0.0, judged.get(one, 0.0)) for one in ranked[:k]]) / _discounted(best)


def average_precision(ranked: Sequence[str], judged: Judged) -> float:
    """Precision at the rank of each relevant id, averaged over all relevant ones: those not ranked count as 0."""
    relevant, found, total = _relevant(judged), 0, 0.0
    for rank, one in enumerate(ranked, 1):
        if one in relevant:
            found += 1
            total += found / rank
    return total / len(relevant)


def measure(ranked: Sequence[Sequence[str]], judged: Sequence[Judged]) -> dict[str, float]:
    """Means over queries, each of which has a relevant id. Every id may stand once in a list."""
    rows = [_figures(one, of) for one, of in zip(ranked, judged, strict=True)]
    return {name: sum(column) / len(rows) for name, column in zip(FIGURES, zip(*rows, strict=True), strict=True)}


def _figures(ranked: Sequence[str], judged: Judged) -> tuple[float, ...]:
    return (
        recall(ranked, judged, 10),
        recall(ranked, judged, 100),
        reciprocal_rank(ranked, judged, 10),
        ndcg(ranked, judged, 10),
        average_precision(ranked, judged),
    )


def _relevant(judged: Judged) -> set[str]:
    relevant = {one for one, relevance in judged.items() if relevance > 0}
    if not relevant:
        raise ValueError("no relevant id: such a query has no figures")
    return relevant


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
