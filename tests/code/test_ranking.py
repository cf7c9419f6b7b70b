"""Figures of rankings: what must hold for all of them, and cases counted by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.metrics.bm25 import bm25_rankings
from sluice.metrics.ranking import NAMES, average_precision, measure, ndcg, recall, reciprocal_rank

IDS = list("abcdefghij")
RANKINGS = st.permutations(IDS).flatmap(lambda order: st.integers(0, 10).map(lambda count: order[:count]))
JUDGED = st.dictionaries(st.sampled_from([*IDS, "never found"]), st.integers(0, 3), min_size=1).filter(
    lambda judged: any(judged.values())
)


@given(RANKINGS, JUDGED)
def test_every_figure_lies_between_0_and_1(ranked: list[str], judged: dict[str, float]):
    assert all(0 <= value <= 1 + 1e-9 for value in measure([ranked], [judged]).values())


@given(JUDGED)
def test_the_best_order_has_figures_of_1(judged: dict[str, float]):
    best = sorted(judged, key=lambda one: -judged[one])
    assert ndcg(best, judged, 10) == pytest.approx(1)
    assert average_precision(best, judged) == pytest.approx(1)
    assert reciprocal_rank(best, judged, 10) == 1


@given(RANKINGS, JUDGED, st.data())
def test_moving_a_better_one_up_never_lowers_a_figure(ranked: list[str], judged: dict[str, float], data: st.DataObject):
    if len(ranked) < 2:
        return
    at = data.draw(st.integers(0, len(ranked) - 2))
    if judged.get(ranked[at], 0) >= judged.get(ranked[at + 1], 0):
        return
    swapped = [*ranked[:at], ranked[at + 1], ranked[at], *ranked[at + 2 :]]
    before, after = measure([ranked], [judged]), measure([swapped], [judged])
    assert all(after[name] >= before[name] - 1e-12 for name in NAMES)


def test_words_find_passages_in_scripts_without_blanks_too():
    passages = ["the river and the boat", "\u8239\u5728\u6cb3\u4e0a", "an old mill", "7"]
    queries = ["boats on a river", "\u6cb3\u4e0a", "7"]
    found = bm25_rankings(passages, queries, 10)
    assert found.shape == (3, 4)
    assert found[:, 0].tolist() == [0, 1, 3]
    assert bm25_rankings(["the", "and"], ["of"], 10).tolist() == [[0, 1]]


def test_by_hand():
    ranked, judged = ["x", "a", "y", "b"], {"a": 2.0, "b": 1.0, "c": 1.0, "z": 0.0}
    assert recall(ranked, judged, 2) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranked, judged, 10) == 1 / 2
    assert reciprocal_rank(ranked, judged, 1) == 0
    assert average_precision(ranked, judged) == pytest.approx((1 / 2 + 2 / 4) / 3)
    best = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(ranked, judged, 10) == pytest.approx((2 / math.log2(3) + 1 / math.log2(5)) / best)


def test_a_query_without_a_relevant_document_has_no_figure():
    with pytest.raises(ValueError, match="no relevant candidate"):
        recall(["a"], {"a": 0}, 1)


@given(st.lists(st.tuples(RANKINGS, JUDGED), min_size=1, max_size=5))
def test_as_scikit_learn_counts_gains_and_precision(queries: list[tuple[list[str], dict[str, float]]]):
    from sklearn.metrics import ndcg_score

    for ranked, judged in queries:
        everything = [*ranked, *(one for one in judged if one not in ranked)]
        if len(everything) < 2 or len(ranked) < len(everything):
            continue
        gains = [[judged.get(one, 0) for one in everything]]
        scores = [[-at for at in range(len(everything))]]
        assert ndcg(ranked, judged, 10) == pytest.approx(ndcg_score(gains, scores, k=10))
