"""Figures of whole entities, found beside meant, as seqeval counts them; and a baseline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import ClassVar

import datasets
import numpy as np

from sluice.metrics.metric import Metric
from sluice.metrics.significance import Figures, Tally
from sluice.metrics.spans import OUTSIDE, spans_of
from sluice.metrics.tallies import Sums, ratio

Tags = Sequence[str]


class Entities(Metric):
    """Precision, recall and F1 of whole entities over all types, and the share of words with the right tag.

    By seqeval (Nakayama 2018). Words without a predicted tag, cut off at the end, count as outside.
    """

    features: ClassVar[datasets.Features] = datasets.Features(
        {name: datasets.Sequence(datasets.Value("string")) for name in ("predictions", "references")}
    )

    def _compute(self, predictions: Sequence[Tags], references: Sequence[Tags]) -> dict[str, float]:
        from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

        said = [
            [_known(tag) for tag in _padded(own, right)] for own, right in zip(predictions, references, strict=True)
        ]
        meant = [[_known(tag) for tag in own] for own in references]
        figures = {"f1": f1_score, "precision": precision_score, "recall": recall_score}
        found = {name: float(figure(meant, said, zero_division=0)) for name, figure in figures.items()}
        return {**found, "tag_accuracy": float(accuracy_score(meant, said))}


def entity_tally(predictions: Sequence[Tags], references: Sequence[Tags]) -> Tally:
    """F1, precision and recall over all entities: hits, said and meant of each row."""
    from scipy.sparse import csr_array

    counts = np.zeros((len(references), 3), np.float32)
    for row, (own, right) in enumerate(zip(predictions, references, strict=True)):
        said, meant = set(spans_of(own)), set(spans_of(right))
        counts[row] = len(said & meant), len(said), len(meant)

    def figures(sums: Sums) -> Figures:
        hits, said, meant = sums.T
        return {
            "f1": ratio(2 * hits, said + meant),
            "precision": ratio(hits, said, empty=0.0),
            "recall": ratio(hits, meant),
        }

    return Tally(csr_array(counts), figures)


def by_type(predictions: Sequence[Tags], references: Sequence[Tags]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support of every type that is said or meant, by name."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for own, right in zip(predictions, references, strict=True):
        said, meant = set(spans_of(own)), set(spans_of(right))
        for name, some in (("hits", said & meant), ("said", said), ("meant", meant)):
            for kind, _, _ in some:
                counts[kind][name] += 1
    return {
        kind: {
            "precision": _share(own["hits"], own["said"]),
            "recall": _share(own["hits"], own["meant"]),
            "f1": _share(2 * own["hits"], own["said"] + own["meant"]),
            "support": float(own["meant"]),
        }
        for kind, own in sorted(counts.items())
    }


def frequent_tags(words: Iterable[Tags], tags: Iterable[Tags], asked: Iterable[Tags]) -> list[list[str]]:
    """The tag that a word has most often in the training rows, the first by name of several; else outside."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row, own in zip(words, tags, strict=True):
        for word, tag in zip(row, own, strict=True):
            counts[word][tag] += 1
    most = {word: min(own, key=lambda tag: (-own[tag], tag)) for word, own in counts.items()}
    return [[most.get(word, OUTSIDE) for word in row] for row in asked]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _padded(own: Tags, right: Tags) -> list[str]:
    return [*own, *[OUTSIDE] * (len(right) - len(own))]


def _known(tag: str) -> str:
    """seqeval knows no M, the inside of an entity in BMES."""
    return f"I{tag[1:]}" if tag.startswith("M-") else tag
