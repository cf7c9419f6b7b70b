"""Figures of written text: those of rouge-score and sacreBLEU, and the same from counts of rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from sluice.metrics.baselines import nearest
from sluice.metrics.generation import Bleu, ChrF, Rouge, manner
from sluice.metrics.overlap import bleu_tally, first_sentence, rouge_tally

WORDS = st.lists(st.sampled_from(["a", "the", "gate", "gates", "opens", "opened", "."]), max_size=9).map(" ".join)
ROWS = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=8)


@settings(max_examples=60)
@given(ROWS)
def test_bleu_from_counts_is_that_of_sacrebleu(rows: list[tuple[str, list[str]]]):
    texts, right = (list(side) for side in zip(*rows, strict=True))
    counted = bleu_tally(texts, right).exact()["bleu"]
    assert counted == pytest.approx(Bleu().compute(predictions=texts, references=right)["bleu"], abs=1e-6)


@settings(max_examples=60)
@given(ROWS)
def test_rouge_takes_the_nearest_reference_and_means_over_rows(rows: list[tuple[str, list[str]]]):
    texts, right = (list(side) for side in zip(*rows, strict=True))
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    best = [max(scorer.score(one, text)["rouge1"].fmeasure for one in own) for text, own in rows]
    figures = rouge_tally(texts, right).exact()
    assert figures["rouge_1"] == pytest.approx(sum(best) / len(best), abs=1e-6)
    assert Rouge().compute(predictions=texts, references=right) == pytest.approx(figures)


def test_a_perfect_text_has_all_and_another_none():
    right = [["the gate is open now", "it opens"], ["water comes through the lock"]]
    assert rouge_tally(["it opens", right[1][0]], right).exact() == pytest.approx(
        {"rouge_1": 1, "rouge_2": 1, "rouge_l": 1}
    )
    assert bleu_tally([own[0] for own in right], right).exact()["bleu"] == pytest.approx(1)
    assert bleu_tally(["x y z w", "v"], right).exact()["bleu"] == 0.0
    assert ChrF().compute(predictions=[own[0] for own in right], references=right)["chrf"] == pytest.approx(1)


def test_chinese_is_counted_by_characters():
    right, text = [["闸门打开了,水流过去"]], ["闸门打开,水流过"]
    assert rouge_tally(text, right).exact()["rouge_1"] > 0.8
    expected = BLEU(tokenize="zh").corpus_score(text, [[right[0][0]]]).score / 100
    assert bleu_tally(text, right).exact()["bleu"] == pytest.approx(expected, abs=1e-6)
    assert expected > 0.5


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One."),
        ("Only one", "Only one"),
        ("Is it? Yes.", "Is it?"),
        ("一。二。", "一。"),
        ("v1.2 is out. So", "v1.2 is out."),
    ],
)
def test_first_sentence(text: str, first: str):
    assert first_sentence(text) == first


def test_length_and_repetition():
    assert manner(["a b c a b c", "d"]) == {"mean_words": 3.5, "repetition": 0.25}


def test_the_nearest_training_pair():
    assert nearest(["a red gate", "two dogs"], ["ein rotes Tor", "zwei Hunde"], ["dogs", "the gate"]) == [
        "zwei Hunde",
        "ein rotes Tor",
    ]
