"""Entities out of tags: the same as seqeval counts, whatever the tags, and cells as files write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities

from sluice.metrics.entities import Entities, by_type, entity_tally, frequent_tags
from sluice.metrics.spans import is_broken, spans_of
from sluice.tasks.token_classification import TokenClassification, items, words

PREFIXES = ("O", *(f"{prefix}-{kind}" for prefix in "BIESM" for kind in ("PER", "new-york")))
TAGS = st.lists(st.sampled_from(PREFIXES), max_size=8)
PAIRS = st.lists(
    st.integers(1, 6).flatmap(
        lambda size: st.tuples(*[st.lists(st.sampled_from(PREFIXES), min_size=size, max_size=size)] * 2)
    ),
    min_size=1,
    max_size=6,
)


def known(tags: list[str]) -> list[str]:
    """seqeval has no M."""
    return [f"I{tag[1:]}" if tag[0] == "M" else tag for tag in tags]


@given(TAGS)
def test_spans_are_those_of_seqeval(tags: list[str]):
    assert spans_of(tags) == get_entities(known(tags))


@given(PAIRS)
def test_figures_are_those_of_seqeval_and_follow_from_counts(pairs: list[tuple[list[str], list[str]]]):
    said, meant = (list(side) for side in zip(*pairs, strict=True))
    figures = Entities().compute(predictions=said, references=meant)
    counted = entity_tally(said, meant).exact()
    entities = sum(len(spans_of(tags)) for tags in meant)
    for name, value in counted.items():
        if entities:  # without any, seqeval calls recall and F1 zero and we call them not measured
            assert value == pytest.approx(figures[name]), name
    report = classification_report(
        [known(tags) for tags in meant], [known(t) for t in said], output_dict=True, zero_division=0
    )
    for kind, own in by_type(said, meant).items():
        if own["support"]:
            assert own["f1"] == pytest.approx(report[kind]["f1-score"])
            assert own["support"] == report[kind]["support"]


def test_one_case_done_by_hand():
    meant = [["B-a", "I-a", "O", "B-b"], ["O", "O"]]
    said = [["B-a", "O", "O", "B-b"], ["B-b"]]
    figures = entity_tally(said, meant).exact()
    assert figures == {"f1": pytest.approx(2 / 5), "precision": pytest.approx(1 / 3), "recall": pytest.approx(1 / 2)}
    assert by_type(said, meant)["b"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1.0}


def test_an_entity_that_goes_on_without_having_begun_is_broken():
    assert not any(map(is_broken, (["B-a", "I-a", "O"], ["B-a", "M-a", "E-a"], ["S-a", "B-a", "E-a"], ["O"], [])))
    assert all(map(is_broken, (["I-a"], ["B-a", "I-b"], ["S-a", "E-a"], ["O", "M-a"], ["B-a", "E-a", "I-a"])))


def test_the_most_frequent_tag_of_a_word():
    train = [["Paris", "is"], ["Paris", "Hilton"], ["Paris"]]
    tags = [["B-loc", "O"], ["B-per", "I-per"], ["B-loc"]]
    assert frequent_tags(train, tags, [["Paris", "unseen"]]) == [["B-loc", "O"]]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("B-a\nO", ["B-a", "O"]),
        ("New York\nis", ["New York", "is"]),
        ("B-a O", ["B-a", "O"]),
        ("B-a,O", ["B-a", "O"]),
        ("a , b", ["a", ",", "b"]),
        (",", [","]),
        ("one", ["one"]),
    ],
)
def test_cells_as_files_write_them(cell: str, found: list[str]):
    assert items(cell) == found


def test_words_of_a_text():
    text = "torch.nn's  深度 (β2)"
    assert [text[start:end] for start, end in words(text)] == ["torch", ".", "nn", "'", "s", "深", "度", "(", "β2", ")"]


def test_rows_that_cannot_be_learnt_from_are_told_from_odd_ones():
    task = TokenClassification()
    rows = {"tokens": ["a b", "a b", "a b", "a b"], "tags": ["B-x,I-x", "O", "O X", "O I-x"]}
    assert task.unusable(rows) == {"tags_unlike_words": [1], "unknown_tag": [2]}
    assert task.odd(rows) == {"broken_entity": [3]}
