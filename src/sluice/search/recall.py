"""The approximate index: built where it pays, looked through until it finds what exact search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluice.search.settings import Index

if TYPE_CHECKING:
    import pyarrow as pa

    from sluice.search.store import Table, Vectors

SAMPLE = 256
"""Stored vectors that are asked for."""
K = 10


def approximate(table: Table, settings: Index) -> dict[str, Any]:
    """Build the index over a large, tidy table. Returns what to look through (`probes`, None: all) and the recall.

    As many groups as the square root of the rows; the fewest of them, doubled from 4, that reach `settings.recall`.
    """
    rows = len(table)
    if rows < settings.ann_from:
        return {"rows": rows, "partitions": None, "probes": None, "recall": None}
    partitions = round(rows**0.5)
    table.approximate(partitions)
    sample = _sample(table)
    truth = table.nearest(sample, K, None, ["key"])
    probes = 4
    while (found := recall(truth, table.nearest(sample, K, probes, ["key"]))) < settings.recall and probes < partitions:
        probes = min(2 * probes, partitions)
    return {"rows": rows, "partitions": partitions, "probes": probes, "recall": found}


def recall(truth: list[pa.Table], found: list[pa.Table]) -> float:
    """Mean share of the true rows that were found; one of the same score as the last true row counts as true."""
    shares = []
    for exact, near in zip(truth, found, strict=True):
        last = exact.column("score")[-1].as_py() - 1e-6
        keys = set(exact.column("key").to_pylist())
        pairs = zip(near.column("key").to_pylist(), near.column("score").to_pylist(), strict=True)
        hits = sum(key in keys or score >= last for key, score in pairs)
        shares.append(min(1.0, hits / len(keys)))
    return sum(shares) / len(shares)


def _sample(table: Table) -> Vectors:
    """Vectors of rows chosen by their keys, which are digests: the same rows of the same table."""
    import numpy as np

    chosen = np.sort(table.keys())[:SAMPLE].tolist()
    return np.stack(list(table.vectors("key", chosen).values()))
