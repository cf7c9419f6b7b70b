"""Judged queries: what the index finds beside what BM25 finds in the same passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sluice.errors import UserError
from sluice.metrics.ranking import measure
from sluice.search.build import embedded
from sluice.search.lines import plain_id, read_rows
from sluice.search.searcher import MORE, Searcher

DEPTH = 1000
"""Documents of a ranking that are looked at."""


@dataclass(frozen=True)
class Judgements:
    """Queries with at least one relevant document, and the relevance of documents for each."""

    queries: list[str]
    relevance: list[dict[str, float]]
    left_out: int
    """Queries without a relevant document, which have no figures."""


def read(queries: Path, judgements: Path) -> Judgements:
    """JSONL of `id`, `text` and of `query_id`, `doc_id`, `rel`. Raises UserError by file and line."""
    texts = {plain_id(row["id"]): str(row["text"]) for row in read_rows(queries, ("id", "text"))}
    found: dict[str, dict[str, float]] = {name: {} for name in texts}
    for number, row in enumerate(read_rows(judgements, ("query_id", "doc_id", "rel")), 1):
        name, relevance = plain_id(row["query_id"]), row["rel"]
        if name not in found:
            raise UserError(f"{judgements}: judgement {number} is of query '{name}', which {queries} does not have")
        if isinstance(relevance, bool) or not isinstance(relevance, int | float):
            raise UserError(f"{judgements}: judgement {number}: rel is {relevance!r}, expected a number")
        found[name][plain_id(row["doc_id"])] = float(relevance)
    kept = [name for name, judged in found.items() if any(value > 0 for value in judged.values())]
    if not kept:
        raise UserError(f"{judgements}: no query has a relevant document")
    return Judgements([texts[name] for name in kept], [found[name] for name in kept], len(texts) - len(kept))


def compare(searcher: Searcher, judged: Judgements) -> dict[str, dict[str, float]]:
    """Figures of the index (`model`) and of BM25, on the same passages; a document is as good as its best one."""
    ranked = searcher.documents(judged.queries, DEPTH)
    ids = {name for batch in searcher.table.column("id") for name in batch.column("id").to_pylist()}
    if not any(name in ids for relevance in judged.relevance for name in relevance):
        raise UserError(
            "no judged document is in the index: doc_id has to be the documents' id, such as "
            f"'{min(ids)}' here. Name the column with index.id="
        )
    return {
        "model": measure(ranked, judged.relevance),
        "bm25": measure(bm25(searcher, judged.queries), judged.relevance),
    }


def bm25(searcher: Searcher, queries: Sequence[str]) -> list[list[str]]:
    """The ids of the best documents for each query by the words that they share."""
    from sluice.metrics.bm25 import bm25_rankings

    batches = searcher.table.column("key", "id", "title", "text")
    rows = sorted((row for batch in batches for row in batch.to_pylist()), key=lambda row: row["key"])
    found = bm25_rankings([embedded(row["title"], row["text"]) for row in rows], queries, MORE * DEPTH)
    return [list(dict.fromkeys(rows[at]["id"] for at in ranked))[:DEPTH] for ranked in found.tolist()]
