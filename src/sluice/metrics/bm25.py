"""BM25 (Robertson & Zaragoza 2009) by the bm25s library: what search is without a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def bm25_rankings(passages: Sequence[str], queries: Sequence[str], depth: int) -> npt.NDArray[np.int64]:
    """The best passages for each query, best first, as indices; shape (queries, min(depth, passages))."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(list(passages), stopwords="en", show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(list(queries), stopwords="en", show_progress=False)
    found, _ = index.retrieve(tokens, k=min(depth, len(passages)), show_progress=False)
    return np.asarray(found, np.int64)
