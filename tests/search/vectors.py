"""Vectors that need no model: hashed TF-IDF words, and small corpora to search in."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sluice.search.settings import Index
from tests.conftest import make_rows

WIDTH = 64


def embed(texts: Sequence[str]) -> np.ndarray:
    """Words of a text, hashed to few places: the same text has the same vector in every process."""
    from sklearn.feature_extraction.text import HashingVectorizer

    found = HashingVectorizer(n_features=WIDTH, norm="l2").transform(list(texts)).toarray()
    return found.astype(np.float32)


def write_documents(path: Path, count: int, seed: int = 0) -> Path:
    """JSONL with id, title and text."""
    rows = [{"id": f"d{at}", "title": label, "text": text} for at, (text, label) in enumerate(make_rows(count, seed))]
    return write_rows(path, rows)


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def settings(path: Path | str, **more: object) -> Index:
    """An index of one pattern."""
    return Index(corpus=(str(path),), **{"words": 8, "overlap": 2, "block": 64, **more})
