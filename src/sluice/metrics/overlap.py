"""How much of a text stands in the right ones: ROUGE and BLEU of every row, so that figures of any rows follow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from sluice.metrics.significance import Figures, Tally
from sluice.metrics.tallies import Sums, ratio

IDEOGRAM = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*")
ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
ORDERS = 4
"""Longest n-grams of BLEU."""


def first_sentence(text: str) -> str:
    """Up to the first full stop, question or exclamation mark."""
    return SENTENCE_END.split(text.strip(), maxsplit=1)[0]


def rouge_tally(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Tally:
    """F-measures of ROUGE-1, -2 and -L (Lin 2004), of several references that which is nearest; means over rows."""
    from scipy.sparse import csr_array

    scorer = _scorer()
    counts = np.ones((len(references), 1 + len(ROUGE)), np.float32)
    for row, (text, right) in enumerate(zip(predictions, references, strict=True)):
        scores = scorer.score_multi(list(right), text)
        counts[row, 1:] = [scores[name].fmeasure for name in ROUGE.values()]

    def figures(sums: Sums) -> Figures:
        rows, *scores = sums.T
        return {name: ratio(score, rows) for name, score in zip(ROUGE, scores, strict=True)}

    return Tally(csr_array(counts), figures)


def bleu_tally(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Tally:
    """BLEU (Papineni et al. 2002) as sacreBLEU counts it, from 0 to 1; for Chinese by characters."""
    from sacrebleu.metrics import BLEU
    from scipy.sparse import csr_array

    bleu = BLEU(tokenize=tokenizer_for(references), effective_order=True)
    counts = np.zeros((len(references), 2 + 2 * ORDERS), np.float32)
    for row, (text, right) in enumerate(zip(predictions, references, strict=True)):
        found = bleu.sentence_score(text, list(right))
        counts[row] = [found.sys_len, found.ref_len, *found.counts, *found.totals]
    return Tally(csr_array(counts), _bleu)


def tokenizer_for(references: Sequence[Sequence[str]]) -> str:
    """sacreBLEU's own name of the tokenizer that the references want."""
    return "zh" if any(IDEOGRAM.search(text) for right in references for text in right) else "13a"


def _bleu(sums: Sums) -> Figures:
    """Geometric mean of the precisions, those without a hit smoothed (Chen & Cherry 2014, method 3), and brevity."""
    length, right, hits, totals = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + ORDERS], sums[:, 2 + ORDERS :]
    halved = 2.0 ** -np.cumsum(hits == 0, axis=1)
    precisions = ratio(np.where(hits > 0, hits, halved), totals)
    with np.errstate(divide="ignore", invalid="ignore"):
        brevity = np.exp(np.minimum(0.0, 1 - ratio(right, length)))
        score = brevity * np.exp(np.log(precisions).mean(axis=1))
    return {"bleu": np.where((totals.min(axis=1) > 0) & (hits.sum(axis=1) > 0), score, 0.0)}


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE.values()), use_stemmer=True, tokenizer=_Tokenizer())


class _Tokenizer:
    """rouge-score's own, with every ideogram as a word: it knows only Latin letters and digits."""

    def __init__(self) -> None:
        from rouge_score.tokenizers import DefaultTokenizer

        self.default = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        if not IDEOGRAM.search(text):
            return list(self.default.tokenize(text))
        parts = re.split(rf"({IDEOGRAM.pattern})", text)
        return [
            word for part in parts for word in ([part] if IDEOGRAM.fullmatch(part) else self.default.tokenize(part))
        ]
