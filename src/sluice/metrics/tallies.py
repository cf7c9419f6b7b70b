"""What to count of each row, so that figures of any rows follow from sums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sluice.metrics.significance import Figures, Tally

Sums = npt.NDArray[np.float64]


def label_tally(predictions: npt.NDArray[np.integer], references: npt.NDArray[np.integer], classes: int) -> Tally:
    """Accuracy and macro F1 of single labels: by class, the hits, and how often it is predicted or right."""
    from scipy.sparse import coo_array

    rows = np.arange(len(references))
    hits = np.flatnonzero(predictions == references)
    columns = np.concatenate([references[hits], predictions + classes, references + classes])
    at = (np.concatenate([hits, rows, rows]), columns)
    counts = coo_array((np.ones(len(columns), np.float32), at), shape=(len(rows), 2 * classes))

    def figures(sums: Sums) -> Figures:
        hits, named = sums[:, :classes], sums[:, classes:]
        f1 = ratio(2 * hits, named, empty=0.0)
        present = (named > 0).sum(axis=1)
        return {"accuracy": ratio(2 * hits.sum(axis=1), named.sum(axis=1)), "macro_f1": ratio(f1.sum(axis=1), present)}

    return Tally(counts.tocsr(), figures)


def ratio(part: npt.NDArray[np.floating], whole: npt.NDArray[np.number], empty: float = np.nan) -> Sums:
    """`part / whole`, and `empty` where there is no whole."""
    return np.divide(part, whole, out=np.full(part.shape, empty), where=whole > 0)
