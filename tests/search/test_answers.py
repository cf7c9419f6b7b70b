"""How much of an answer stands in the passages that it names."""

import pytest

from sluice.errors import UserError
from sluice.search.answers import Asked, groundedness, read_questions


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
    with pytest.raises(UserError, match=r"questions.jsonl:1: expected an object with text and doc_id"):
        read_questions(path)
