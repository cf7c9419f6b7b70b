"""Answers from documents: passages are found, a model that writes is given them, and says which it used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError
from sluice.metrics.ranking import recall, reciprocal_rank
from sluice.search.lines import plain_id, read_rows
from sluice.search.searcher import Hit, Searcher
from sluice.search.settings import Ask
from sluice.tasks.chat import grounded

if TYPE_CHECKING:
    from sluice.inference.predictor import Predictor

CITED = re.compile(r"\[(\d+)\]")
WORD = re.compile(r"\w+")
RUN = 2
"""Words in a row that have to stand in a passage to count as taken from it."""


@dataclass(frozen=True)
class Answered:
    """An answer, what it was given, and how much of it stands there."""

    text: str
    hits: list[Hit]
    cited: list[int]
    """Numbers, from 1, of the passages that the answer names."""
    grounded: float
    """Share of its pairs of neighbouring words that stand in the passages that it names, or where none, in any."""


@dataclass(frozen=True)
class Asked:
    """A question whose right document, and perhaps answer, is known."""

    text: str
    document: str
    answer: str | None


class Answerer:
    """Questions in, answers out."""

    def __init__(self, searcher: Searcher, writer: Predictor, settings: Ask) -> None:
        if not writer.task.writes:
            raise UserError(f"ask.model={settings.model} does not write: it is of task={writer.task.name}")
        self.searcher, self.writer, self.settings = searcher, writer, settings

    def answer(self, questions: Sequence[str]) -> list[Answered]:
        """One answer a question."""
        found = self.searcher.search(questions, self.settings.passages)
        shown = [[self._shown(hit) for hit in hits] for hits in found]
        prompts = [grounded(question, texts) for question, texts in zip(questions, shown, strict=True)]
        results: list[Any] = self.writer.predict(prompts).results
        return [answered(one.text, hits, texts) for one, hits, texts in zip(results, found, shown, strict=True)]

    def _shown(self, hit: Hit) -> str:
        words = hit.text.split()[: self.settings.passage_words]
        name = [f"{hit.title}:"] if hit.title and not hit.text.startswith(hit.title) else []
        return " ".join([*name, *words])

    def measure(self, asked: Sequence[Asked]) -> dict[str, float]:
        """How often the right document is found, named and used; ROUGE-L where right answers are known."""
        from sluice.metrics.overlap import rouge_tally

        answers = self.answer([one.text for one in asked])
        ranked = [[hit.id for hit in one.hits] for one in answers]
        right = [{one.document: 1.0} for one in asked]
        named = [[one.hits[at - 1].id for at in one.cited] for one in answers]
        figures = {
            "recall": _mean(recall(ids, own, len(ids)) for ids, own in zip(ranked, right, strict=True)),
            "mrr": _mean(reciprocal_rank(ids, own, len(ids)) for ids, own in zip(ranked, right, strict=True)),
            "cites": _mean(bool(one.cited) for one in answers),
            "cites_right": _mean(one.document in ids for one, ids in zip(asked, named, strict=True)),
            "grounded": _mean(one.grounded for one in answers),
        }
        told = [(one.text, [own.answer]) for one, own in zip(answers, asked, strict=True) if own.answer]
        if told:
            texts, references = zip(*told, strict=True)
            figures["rouge_l"] = rouge_tally(texts, references).exact()["rouge_l"]
        return figures


def read_questions(path: Path) -> list[Asked]:
    """JSONL of `text`, `doc_id` and perhaps `answer`. Raises UserError by file and line."""
    rows = read_rows(path, ("text", "doc_id"))
    if not rows:
        raise UserError(f"{path}: no questions")
    return [
        Asked(str(row["text"]), plain_id(row["doc_id"]), str(row["answer"]) if row.get("answer") else None)
        for row in rows
    ]


def answered(text: str, hits: list[Hit], shown: list[str]) -> Answered:
    """What an answer names of the passages that were shown, and how much of it stands there."""
    cited = sorted({int(number) for number in CITED.findall(text)} & set(range(1, len(hits) + 1)))
    used = [shown[at - 1] for at in cited] or shown
    return Answered(text, hits, cited, groundedness(text, used))


def groundedness(text: str, passages: Sequence[str]) -> float:
    """Share of the text's runs of neighbouring words that stand in a passage; of a single word, whether it does."""
    own = _runs(CITED.sub(" ", text))
    known = {run for passage in passages for run in _runs(passage)}
    if own:
        return _mean(run in known for run in own)
    words = {word for passage in passages for word in _words(passage)}
    return _mean(word in words for word in _words(CITED.sub(" ", text)))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]


def _runs(text: str) -> list[tuple[str, ...]]:
    words = _words(text)
    return [tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)]


def _mean(values: Any) -> float:
    listed = [float(value) for value in values]
    return sum(listed) / len(listed) if listed else 0.0
