"""BM25 (Robertson & Zaragoza 2009) by the bm25s library: what search is without a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sluice.metrics.overlap import IDEOGRAM

WORD = r"\w+"


def bm25_rankings(passages: Sequence[str], queries: Sequence[str], depth: int) -> npt.NDArray[np.int64]:
    """The best passages for each query, best first, as indices; shape (queries, min(depth, passages)).

    Words are runs of letters and digits, in Chinese and Japanese each sign; common English ones count for nothing.
    """
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = bm25s.BM25(method="lucene")
    words, tokens = (
        bm25s.tokenize(
            [IDEOGRAM.sub(r" \g<0> ", text) for text in texts],
            stopwords="en",
            token_pattern=WORD,
            show_progress=False,
        )
        for texts in (passages, queries)
    )
    if not any(words.ids):
        return np.tile(np.arange(min(depth, len(passages))), (len(queries), 1))
    index.index(words, show_progress=False)
    found, _ = index.retrieve(tokens, k=min(depth, len(passages)), show_progress=False)
    return np.asarray(found, np.int64)
