"""Passages cover a document in order, none of them beyond the limit."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.search.passages import WORD, cut

PIECES = st.sampled_from(
    ["word", "end.", "Why?", "a", "x" * 150, "语言。", "模型", "\n\n", "\n", "  ", "- item", 'said."']
)
TEXTS = st.lists(PIECES, max_size=120).map(" ".join) | st.text(max_size=200)


@given(TEXTS, st.integers(4, 30), st.data())
def test_passages_hold_every_word_in_order_and_none_is_too_long(text: str, words: int, data: st.DataObject):
    overlap = data.draw(st.integers(0, words // 2))
    passages = cut(text, words, overlap)
    spans = [found.span() for found in WORD.finditer(text)]
    covered = set()
    for before, passage in zip([None, *passages], passages, strict=False):
        end = passage.start + len(passage.text)
        assert text[passage.start : end] == passage.text
        held = {at for at, span in enumerate(spans) if passage.start <= span[0] and span[1] <= end}
        assert 0 < len(held) <= words
        assert len(held & covered) <= overlap
        assert before is None or before.start < passage.start
        assert min(held) <= max(covered, default=-1) + 1, "words were left out"
        covered |= held
    assert covered == set(range(len(spans)))


def test_a_short_text_is_one_passage_without_the_blanks_around_it():
    assert [one.text for one in cut("  two\n words \n", 4, 0)] == ["two\n words"]
    assert cut(" \n\t", 4, 0) == []


def test_a_passage_ends_at_a_paragraph_before_a_sentence_before_a_word():
    assert cut("a b c d e\n\nf g. h i j", 8, 0)[0].text == "a b c d e"
    assert cut("a b c d e f. g h i j", 8, 0)[0].text == "a b c d e f."
    assert cut("a b c d e f g h i j", 8, 0)[0].text == "a b c d e f g h"


def test_a_passage_begins_with_a_sentence_where_one_begins_in_the_overlap():
    assert cut("a b c d e. F g h i j k l", 8, 4)[1].text == "F g h i j k l"
    assert cut("a b c d e f g h i j k l", 8, 4)[1].text.startswith("e f g h")
