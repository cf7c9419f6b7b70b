"""How much of an answer stands in the passages that it names."""

import pytest

from sluice.errors import UserError
from sluice.search.answers import Asked, answered, groundedness, read_questions
from sluice.search.searcher import Hit


@pytest.mark.parametrize(
    ("text", "passages", "share"),
    [
        ("Return the sum. [1]", ["add: Return the sum of two."], 1.0),
        ("Return the difference", ["Return the sum", "the difference"], 1.0),
        ("Return a sum", ["Return the sum"], 0.0),
        ("sum", ["Return the Sum"], 1.0),
        ("", ["Return"], 0.0),
    ],
)
def test_groundedness_counts_pairs_of_words(text: str, passages: list[str], share: float):
    assert groundedness(text, passages) == share


def test_questions_are_read_and_mistakes_named(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"text": "what?", "doc_id": 7}\n\n{"text": "why?", "doc_id": "a", "answer": "so"}\n')
    assert read_questions(path) == [Asked("what?", "7", None), Asked("why?", "a", "so")]
    path.write_text('{"text": "what?"}\n')
    with pytest.raises(UserError, match=r"questions.jsonl:1: no 'doc_id'"):
        read_questions(path)


def test_an_answer_names_passages_by_their_numbers_and_is_left_as_it_is():
    hits = [Hit(text=text, score=0.5, source="a:1", id=text, title="") for text in ("one two", "three four")]
    shown = [hit.text for hit in hits]
    named = answered("three four [2] [7]", hits, shown)
    assert (named.text, named.cited, named.grounded) == ("three four [2] [7]", [2], 1.0)
    assert answered("three four [1]", hits, shown).grounded == 0.0
    assert answered("values[0] one two", hits, shown).text == "values[0] one two"
