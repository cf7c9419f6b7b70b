"""How well text is foretold: bits a byte, and n-grams of bytes as what a model has to beat."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio


def likelihood_tally(predictions: Sequence[Sequence[float]]) -> Tally:
    """Bits a byte over rows, from the nats and bytes of each."""
    from scipy.sparse import csr_array

    def figures(sums: Sums) -> Figures:
        return {"bits_per_byte": ratio(sums[:, 0] / math.log(2), sums[:, 1])}

    return Tally(csr_array(np.asarray(predictions, np.float32).reshape(-1, 2)), figures)


def byte_ngram(train: Sequence[str], test: Sequence[str], order: int) -> list[float]:
    """Nats of each test text, its end included, by n-grams of bytes smoothed by Witten and Bell (1991).

    P(b | context) = (count + kinds * P(b | shorter context)) / (total + kinds), down to one in 257.
    """
    counts: list[Counter[bytes]] = [Counter() for _ in range(order + 1)]
    for text in train:
        data = _closed(text, order)
        for width in range(1, order + 1):
            first = order - width
            counts[width].update(data[at : at + width] for at in range(first, len(data) - width + 1))
    totals: list[Counter[bytes]] = [Counter() for _ in range(order + 1)]
    kinds: list[Counter[bytes]] = [Counter() for _ in range(order + 1)]
    for width in range(1, order + 1):
        for gram, count in counts[width].items():
            totals[width][gram[:-1]] += count
            kinds[width][gram[:-1]] += 1

    def nats(gram: bytes) -> float:
        share = 1 / 257
        for width in range(1, order + 1):
            own = gram[order - width :]
            before = own[:-1]
            total, several = totals[width][before], kinds[width][before]
            if total:
                share = (counts[width][own] + several * share) / (total + several)
        return -math.log(share)

    known: dict[bytes, float] = {}
    found = []
    for text in test:
        data = _closed(text, order)
        grams = [data[at : at + order] for at in range(len(data) - order + 1)]
        for gram in grams:
            if gram not in known:
                known[gram] = nats(gram)
        found.append(sum(known[gram] for gram in grams))
    return found


def _closed(text: str, order: int) -> bytes:
    """Zeros before it, so that its first byte has a context, and one after it: no text holds any."""
    return b"\0" * (order - 1) + text.encode().replace(b"\0", b" ") + b"\0"
