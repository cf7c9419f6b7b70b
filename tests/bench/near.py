"""How well near-duplicates are found in a corpus without keeping its texts: against exact similarities.

make bench-near ARGS="--documents 20000"
make bench-near ARGS="--corpus 'docs/*.jsonl' --threshold 0.9"
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.sparse import csr_array

from sluice.data.duplicates import SHINGLE
from sluice.data.rows import normalise
from sluice.data.sources import shards
from sluice.data.sources.corpus import Corpus
from sluice.data.sources.near import without_near_duplicates
from tests.conftest import REPOSITORY

ROWS = 200
"""Documents that are compared with all others at a time."""


def main() -> None:
    """Print how many documents go, how many of them rightly, how many stay wrongly, and what it takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--corpus", nargs="+", help="JSONL, Parquet or text files; none: the docstrings of data=apidocs"
    )
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--threshold", type=float, default=0.8)
    given = parser.parse_args()
    texts = list(islice(_files(given.corpus) if given.corpus else _docstrings(), given.documents))
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        corpus = without_near_duplicates(Corpus("", [lambda _: iter(texts)]), given.threshold, Path(folder))
        places = set(json.loads((Path(folder) / "00000.json").read_text()))
    seconds = time.perf_counter() - start
    assert sum(1 for _ in corpus.shards) == 1
    print(report(texts, places, given.threshold, seconds))


def report(texts: Sequence[str], places: set[int], threshold: float, seconds: float) -> str:
    """The figures as text."""
    best = nearest_kept(texts, places)
    gone = np.array([at in places for at in range(len(texts))])
    right, missed = int((best[gone] >= threshold).sum()), int((best[~gone] >= threshold).sum())
    characters = sum(map(len, texts))
    wrong = np.sort(best[gone & (best < threshold)])
    lines = [
        f"{len(texts):,} documents, {characters / 1e6:.1f} M characters: {gone.sum():,} go ({gone.mean():.1%})",
        f"precision {right / max(1, gone.sum()):.4f}  recall {right / max(1, right + missed):.4f}  at {threshold:g}",
        f"{seconds:.1f} s, {seconds / characters * 1e6:.2f} s a million characters",
    ]
    if len(wrong):
        lines.append(f"similarity of those that go wrongly: least {wrong[0]:.3f}, median {np.median(wrong):.3f}")
    return "\n".join(lines)


def nearest_kept(texts: Sequence[str], places: set[int]) -> np.ndarray:
    """The exact Jaccard similarity of each document with the nearest earlier one that stays, shape (documents,)."""
    known: dict[str, int] = {}
    owners, columns = [], []
    for text in map(normalise, texts):
        whole = text.ljust(SHINGLE)
        own = {whole[start : start + SHINGLE] for start in range(len(whole) - SHINGLE + 1)}
        owners.append(len(own))
        columns += [known.setdefault(shingle, len(known)) for shingle in own]
    starts = np.concatenate([[0], np.cumsum(owners)])
    sets = csr_array((np.ones(len(columns), np.float32), columns, starts), shape=(len(texts), len(known)))
    sizes = np.diff(starts)
    kept = np.array([at for at in range(len(texts)) if at not in places])
    others = sets[kept].T.tocsr()
    best = np.zeros(len(texts))
    for start in range(0, len(texts), ROWS):
        shared = (sets[start : start + ROWS] @ others).tocoo()
        rows, beside = shared.row + start, kept[shared.col]
        earlier = beside < rows
        rows, beside, both = rows[earlier], beside[earlier], shared.data[earlier]
        np.maximum.at(best, rows, both / (sizes[rows] + sizes[beside] - both))
    return best


def _files(patterns: Sequence[str]) -> chain[str]:
    return chain.from_iterable(shards.documents(path, "text") for path in shards.find(patterns))


def _docstrings() -> chain[str]:
    """The docstrings in full length, each once."""
    from omegaconf import OmegaConf

    from sluice.data.sources.apidocs import ApiDocs
    from sluice.data.sources.corpus import _docstrings

    given = OmegaConf.load(REPOSITORY / "conf" / "data" / "apidocs.yaml")
    source = ApiDocs(name="corpus", topics=dict(given.topics), max_characters=10**9, min_words=1, mask=False)
    texts, counts = _docstrings(source)
    assert isinstance(counts, Counter)
    return chain(texts)


if __name__ == "__main__":
    main()
