"""Near-duplicates: every pair above the threshold is joined, nothing below it is paired."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.data.duplicates import clusters, near_pairs

WORDS = [
    "the",
    "gate",
    "opens",
    "when",
    "water",
    "of",
    "a",
    "river",
    "has",
    "been",
    "measured",
    "and",
    "compared",
    "with",
    "what",
    "stood",
    "there",
    "before",
]


def shingles(text: str) -> set[str]:
    text = text.ljust(5)
    return {text[at : at + 5] for at in range(len(text) - 4)}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), max_size=30))
@settings(max_examples=60)
def test_every_pair_is_truly_similar(texts: list[str]) -> None:
    for one, other in near_pairs(texts).tolist():
        assert one < other
        assert jaccard(texts[one], texts[other]) >= 0.8


def test_nearly_all_similar_pairs_are_found() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, 40)) for _ in range(300)]
    edited = [text.replace("gate", "gates", 1) for text in texts]
    cluster = clusters(600, near_pairs(texts + edited))
    similar = [row for row in range(300) if jaccard(texts[row], edited[row]) >= 0.8]
    assert len(similar) > 250
    assert sum(cluster[row] == cluster[row + 300] for row in similar) >= 0.99 * len(similar)


def test_copies_without_number_are_one_cluster() -> None:
    texts = ["exactly the same short boilerplate, again and again"] * 1000 + ["and one that is not like it"]
    cluster = clusters(len(texts), near_pairs(texts))
    assert set(cluster[:1000]) == {cluster[0]}
    assert cluster[1000] != cluster[0]


def test_languages_without_spaces_and_very_short_texts() -> None:
    texts = [
        "这本书的内容非常好我很喜欢推荐给大家阅读和收藏",
        "这本书的内容非常好我很喜欢推荐给大家阅读和收藏吧",
        "ok",
        "no",
        "ok",
    ]
    assert near_pairs(texts).tolist() == [[0, 1], [2, 4]]


def test_no_rows_and_one_row_have_no_pairs() -> None:
    assert near_pairs([]).shape == near_pairs(["alone"]).shape == (0, 2)
