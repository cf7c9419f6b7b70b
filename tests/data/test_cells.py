"""Cells that are lists of texts or conversations: how they become strings, and texts again."""

import json

from sluice.data.sources.cells import Cells
from sluice.data.sources.structured import to_strings
from sluice.tasks.chat import messages_of
from sluice.tasks.task import items


def strings(values: list[object], kind: str) -> list[str]:
    return to_strings(
        "rows.jsonl", "answer", Cells({"answer": values}, list(range(len(values)))), numbers=True, kind=kind
    )


def test_texts_of_a_list_keep_their_line_breaks():
    answers = [["def f():\n    return 1", "one\r\nline"], "plain\ntext", "alone"]
    assert [items(cell) for cell in strings(answers, "list")] == [
        ["def f():\n    return 1", "one\nline"],
        ["plain\ntext"],
        ["alone"],
    ]


def test_a_conversation_is_a_list_of_messages_or_a_text():
    talk = [{"role": "user", "content": "hello\nyou"}, {"role": "assistant", "content": "yes"}]
    cells = strings([talk, json.dumps(talk), "hello"], "talk")
    assert messages_of(cells[0]) == messages_of(cells[1]) == talk
    assert messages_of(cells[2]) == [{"role": "user", "content": "hello"}]
