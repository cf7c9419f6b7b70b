"""`ApiChat`: questions about functions and classes, with docstrings to answer from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from sluice.data.rows import make_table
from sluice.data.source import Source
from sluice.data.sources.apidocs import ApiDocs
from sluice.data.sources.docstrings import Doc
from sluice.part import digest
from sluice.tasks.chat import grounded
from sluice.tasks.task import Kind

if TYPE_CHECKING:
    import pyarrow as pa

SECTION = r"(?=\s:\w+|\s(?:Args|Raises|Yields|Examples?|Notes?|See Also):|\s[A-Z][\w ]{2,20} -{3,}|$)"
RETURNS = re.compile(rf"(?::returns?:|\bReturns:|\bReturns -{{3,}})\s+(.+?){SECTION}")
PARAMETER = re.compile(rf":param (?:[\w.]+ )?(\w+):\s+(.+?){SECTION}")
SENTENCE = re.compile(r"(?<=[.!?])\s")
"""What docstrings in the styles of Sphinx, Google and NumPy have, their lines joined."""


@dataclass(frozen=True)
class Question:
    """What is asked about a docstring, and the words of it that answer."""

    doc: Doc
    text: str
    answer: str


class ApiChat(Source):
    """Conversations of one question about docstrings of installed packages. Groups are files.

    The prompt has passages, numbered in random order, of which one holds the answer; the answer is a sentence of it and
    its number: what an assistant has to learn that answers from documents and says from which.
    """

    docs: ApiDocs
    """Which docstrings, and how many characters of each; names are not masked here."""
    passages: int = Field(2, ge=1, le=9)
    """Passages in a prompt: the one with the answer, and others of the same file."""
    answer_words: tuple[int, int] = (3, 30)
    """Fewest and most words of an answer."""
    rows: int | None = Field(None, ge=1)
    """At most that many questions, chosen by hash; null takes all."""

    def fingerprint(self) -> str:
        """SHA-256 of this configuration and the versions of the packages that are read."""
        return digest({"source": self, "pins": self.docs.pins()})

    def read(self, columns: Mapping[str, Kind]) -> pa.Table:
        """One row a question: the prompt, the answer, its file as group, `file:line` as origin."""
        self.refuse_others(columns, ("prompt", "answer"))
        _, parsed = self.docs.parse()
        by_file: dict[str, list[Doc]] = {}
        for doc in parsed.docs:
            by_file.setdefault(doc.file, []).append(doc)
        asked = [one for doc in parsed.docs if doc.name for one in self._questions(doc)]
        chosen = sorted(asked, key=lambda one: _draw(one.doc, one.text))[: self.rows]
        chosen.sort(key=lambda one: (one.doc.file, one.doc.line, one.text))
        notes = {
            "pins": self.docs.pins(),
            "left_out": {"too_short": parsed.short, "over_rows": len(asked) - len(chosen)},
            "unreadable": parsed.unreadable,
        }
        rows = [self._row(one, by_file[one.doc.file]) for one in chosen]
        return make_table(
            {"prompt": [prompt for prompt, _ in rows], "answer": [answer for _, answer in rows]},
            origin=[f"{one.doc.file}:{one.doc.line}" for one in chosen],
            group=[one.doc.file for one in chosen],
            notes=notes,
        )

    def _questions(self, doc: Doc) -> list[Question]:
        """What can be asked about a docstring so that a sentence of it is the answer."""
        found = [(f"What does {doc.name} do?", doc.text[: doc.lead])]
        found += [(f"What does {doc.name} return?", match[1]) for match in RETURNS.finditer(doc.text)][:1]
        found += [(f"What is {match[1]} of {doc.name}?", match[2]) for match in PARAMETER.finditer(doc.text)]
        sentences = [(text, SENTENCE.split(answer.strip(), maxsplit=1)[0]) for text, answer in found]
        fewest, most = self.answer_words
        return [Question(doc, text, said) for text, said in sentences if fewest <= len(said.split()) <= most]

    def _row(self, question: Question, beside: Sequence[Doc]) -> tuple[str, str]:
        """Prompt and answer. Which other passages, and in which order, follows from the question."""
        own = question.doc
        others = [doc for doc in beside if doc.line != own.line and doc.name]
        others.sort(key=lambda doc: _draw(doc, question.text))
        shown = sorted([own, *others[: self.passages - 1]], key=lambda doc: _draw(doc, f"order {question.text}"))
        prompt = grounded(question.text, [f"{doc.name}: {doc.text}" for doc in shown])
        return prompt, f"{question.answer} [{shown.index(own) + 1}]"


def _draw(doc: Doc, salt: str) -> bytes:
    return hashlib.blake2b(f"{doc.file}:{doc.line} {salt}".encode(), digest_size=8).digest()
