"""Metrics of written text, as `evaluate.Metric` subclasses that need no hub."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import ClassVar

import datasets

from sluice.metrics.metric import Metric
from sluice.metrics.overlap import rouge_tally, tokenizer_for

TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Sequence(datasets.Value("string"))}
)
REPEATED = 3
"""Words of a run that says nothing new the second time."""


class Rouge(Metric):
    """ROUGE-1, -2 and -L, F-measures from 0 to 1 by rouge-score: of several references that which is nearest."""

    features: ClassVar[datasets.Features] = TEXTS

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        return rouge_tally(predictions, references).exact()


class Bleu(Metric):
    """Corpus BLEU from 0 to 1, by sacreBLEU."""

    features: ClassVar[datasets.Features] = TEXTS

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        from sacrebleu.metrics import BLEU

        found = BLEU(tokenize=tokenizer_for(references)).corpus_score(list(predictions), _streams(references))
        return {"bleu": found.score / 100}


class ChrF(Metric):
    """Corpus chrF2 (Popovic 2015) from 0 to 1, by sacreBLEU."""

    features: ClassVar[datasets.Features] = TEXTS

    def _compute(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
        from sacrebleu.metrics import CHRF

        return {"chrf": CHRF().corpus_score(list(predictions), _streams(references)).score / 100}


def manner(texts: Sequence[str]) -> dict[str, float]:
    """Mean length in words, and the share of runs of three words that stand in the same text before."""
    runs = repeated = 0
    for text in texts:
        words = text.split()
        own = [tuple(words[at : at + REPEATED]) for at in range(len(words) - REPEATED + 1)]
        runs, repeated = runs + len(own), repeated + len(own) - len(set(own))
    return {
        "mean_words": statistics.fmean(len(text.split()) for text in texts),
        "repetition": repeated / runs if runs else 0.0,
    }


def exact(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Share of the texts that are a right one, letter by letter."""
    return statistics.fmean(text in right for text, right in zip(texts, references, strict=True))


def distinct(texts: Sequence[str]) -> dict[str, float]:
    """Different words, and pairs of neighbouring words, over all of them (Li et al. 2016)."""
    found = {}
    for size in (1, 2):
        runs = [
            tuple(words[at : at + size])
            for text in texts
            for words in [text.split()]
            for at in range(len(words) - size + 1)
        ]
        found[f"distinct_{size}"] = len(set(runs)) / len(runs) if runs else 0.0
    return found


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """One list a place among the references, as sacreBLEU wants them; rows with fewer have None there."""
    most = max(map(len, references))
    return [[right[place] if place < len(right) else None for right in references] for place in range(most)]
