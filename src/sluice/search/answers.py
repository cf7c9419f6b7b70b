"""Answers from documents: passages are found, a model that writes is given them, and says which it used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

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


class AskOptions(BaseModel):
    """What a caller may ask for beside the question."""

    model_config = ConfigDict(extra="forbid")

    passages: int = Field(2, ge=1, le=20, description="Passages that the writer is given.")
    passage_words: int = Field(60, ge=5, description="Words of each, at most.")
    search: str | None = Field(None, description="The model that finds; none takes the service's first.")


class Answered(BaseModel):
    """An answer, what it was given, and how much of it stands there."""

    text: str
    hits: list[Hit]
    cited: list[int] = Field(description="Numbers, from 1, of the passages that the answer names.")
    grounded: float = Field(
        description="Share of its pairs of neighbouring words that stand in the passages that it names, "
        "or where it names none, in any."
    )


@dataclass(frozen=True)
class Prompt:
    """What a writer is asked, and the passages that it is shown."""

    text: str
    shown: list[str]


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
        words = self.settings.passage_words
        prompts = [prompt_from(question, hits, words) for question, hits in zip(questions, found, strict=True)]
        results: list[Any] = self.writer.predict([prompt.text for prompt in prompts]).results
        return [
            answered(one.text, hits, prompt.shown) for one, hits, prompt in zip(results, found, prompts, strict=True)
        ]

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


def prompt_from(question: str, hits: Sequence[Hit], words: int) -> Prompt:
    """What a writer is asked: the question, and the first `words` of each passage."""
    shown = [_shown(hit, words) for hit in hits]
    return Prompt(grounded(question, shown), shown)


def _shown(hit: Hit, words: int) -> str:
    name = [f"{hit.title}:"] if hit.title and not hit.text.startswith(hit.title) else []
    return " ".join([*name, *hit.text.split()[:words]])


def answered(text: str, hits: list[Hit], shown: list[str]) -> Answered:
    """What an answer names of the passages that were shown, and how much of it stands there."""
    cited = sorted({int(number) for number in CITED.findall(text)} & set(range(1, len(hits) + 1)))
    used = [shown[at - 1] for at in cited] or shown
    return Answered(text=text, hits=hits, cited=cited, grounded=groundedness(text, used))


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
