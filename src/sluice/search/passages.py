"""Documents cut into passages of a bounded number of words, at paragraphs or sentences where there are any."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST_WORD = 64
"""Characters; what goes on longer without a blank counts as several words."""
IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{IDEOGRAPH}]|[^\s{IDEOGRAPH}]{{1,{LONGEST_WORD}}}")
"""A word stands between blanks; in scripts without blanks each sign is one."""
PARAGRAPH = re.compile(r"\n[ \t]*\n")
SENTENCE = re.compile(r"[.!?…。！？][\"')\]”’»]*$")  # noqa: RUF001  (ends of sentences in several scripts)


@dataclass(frozen=True)
class Passage:
    """A piece of a document."""

    start: int
    """Where it begins, in characters."""
    text: str


def cut(text: str, words: int, overlap: int) -> list[Passage]:
    """Passages of at most `words` words that together hold every word in order; none for a blank text.

    A passage ends at the last paragraph or else sentence of its second half, or else where it is full. It begins with
    the first sentence of the last `overlap` words of the one before it or right after it, or else `overlap` words back.
    """
    spans = [found.span() for found in WORD.finditer(text)]
    passages: list[Passage] = []
    first = 0
    while first < len(spans):
        end = _end(text, spans, first, words)
        start = spans[first][0]
        passages.append(Passage(start, text[start : spans[end - 1][1]]))
        if end == len(spans):
            break
        first = _next(text, spans, max(first + 1, end - overlap), end)
    return passages


def _end(text: str, spans: list[tuple[int, int]], first: int, words: int) -> int:
    """The index after the last word of the passage that begins with word `first`."""
    full = first + words
    if full >= len(spans):
        return len(spans)
    sentence = None
    for at in range(full, first + words // 2, -1):
        if _paragraph(text, spans, at):
            return at
        if sentence is None and _sentence(text, spans, at):
            sentence = at
    return sentence or full


def _next(text: str, spans: list[tuple[int, int]], earliest: int, end: int) -> int:
    """The first word of the next passage: where a sentence begins, or else the earliest."""
    starts = [at for at in range(earliest, end + 1) if _paragraph(text, spans, at) or _sentence(text, spans, at)]
    return starts[0] if starts else earliest


def _paragraph(text: str, spans: list[tuple[int, int]], at: int) -> bool:
    """Whether a blank line stands before word `at`."""
    before, after = spans[at - 1][1], spans[at][0]
    return after - before > 1 and PARAGRAPH.search(text, before, after) is not None


def _sentence(text: str, spans: list[tuple[int, int]], at: int) -> bool:
    """Whether a sentence ends with the word before word `at`."""
    start, end = spans[at - 1]
    if text[end - 1].isalnum():  # nearly all: the rest costs
        return False
    apart = end < spans[at][0] or text[end - 1] in "。！？"  # noqa: RUF001
    return apart and SENTENCE.search(text[start:end]) is not None
