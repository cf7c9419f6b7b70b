"""Token labels: a tag for each word of a text, and the entities that the tags spell."""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sluice.metrics.spans import OUTSIDE, is_broken, spans_of
from sluice.tasks.encoding import Encoded, Tokenizer, encodings
from sluice.tasks.task import IGNORED, Answers, Baselines, Breakdown, Columns, Kind, Outputs, Targets, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sluice.metrics.significance import Tally

SCHEME = re.compile(r"O|[BIESM]-.+")
"""BIO, and BIOES or BMES, which also mark ends and entities of one word."""
IDEOGRAM = r"[\u2e80-\u9fff\uf900-\ufaff]"
WORD = re.compile(rf"{IDEOGRAM}|(?:(?!{IDEOGRAM})\w)+|[^\w\s]")
"""A word of a text that nobody has divided yet: letters and digits, one ideogram, or one sign."""


class TokenClassificationOptions(BaseModel):
    """What a caller may ask of a tagger: nothing yet."""

    model_config = ConfigDict(extra="forbid")


class Entity(BaseModel):
    """Words that belong together."""

    type: str = Field(description="What it is.")
    text: str = Field(description="The words as they stand in the input.")
    start: int = Field(description="Its first character, counted from 0.")
    end: int = Field(description="The character after its last.")
    score: float = Field(description="Mean probability of its tags, 0 to 1.")


class TokenClassificationResult(BaseModel):
    """The answer for one text."""

    entities: list[Entity] = Field(description="In the order of the text.")
    truncated: bool = Field(description="Whether words at the end were not read.")


class TokenClassification(Task):
    """A tag for each word, by an encoder with a token-classification head."""

    name: ClassVar[str] = "token_classification"
    verb: ClassVar[str] = "tag"
    columns: ClassVar[Mapping[str, Kind]] = {"tokens": "list", "tags": "list"}
    primary_metric: ClassVar[str] = "f1"
    validation_metric: ClassVar[str] = "f1"
    Options: ClassVar[type[BaseModel]] = TokenClassificationOptions
    Result: ClassVar[type[BaseModel]] = TokenClassificationResult
    example: ClassVar[str] = "Raises ValueError unless every element of the list is an instance of Tensor."

    def unusable(self, rows: Columns) -> dict[str, list[int]]:
        """Rows with more or fewer tags than words, or with a tag of no scheme."""
        tokens, tags = (list(map(items, rows[column])) for column in self.columns)
        unequal = [row for row, (words, own) in enumerate(zip(tokens, tags, strict=True)) if len(words) != len(own)]
        unknown = [row for row, own in enumerate(tags) if not all(map(SCHEME.fullmatch, own))]
        return {"tags_unlike_words": unequal, "unknown_tag": sorted({*unknown} - {*unequal})}

    def odd(self, rows: Columns) -> dict[str, list[int]]:
        """Rows in which an entity goes on that never began."""
        return {"broken_entity": [row for row, cell in enumerate(rows["tags"]) if is_broken(items(cell))]}

    def labels(self, rows: Columns) -> list[str]:
        """The distinct tags, sorted, and the one outside of entities."""
        return sorted({OUTSIDE, *(tag for cell in rows["tags"] for tag in items(cell))})

    def texts(self, rows: Columns) -> Sequence[str]:
        """The words of each row with a blank between them."""
        return [" ".join(items(cell)) for cell in rows["tokens"]]

    def inputs(self, rows: Columns) -> Sequence[Any]:
        """The words of each row; a text is divided by `WORD`."""
        return [items(cell) for cell in rows["tokens"]]

    def references(self, rows: Columns) -> Answers:
        """The tags of each row."""
        return [items(cell) for cell in rows["tags"]]

    def encode(self, tokenizer: Tokenizer, inputs: Sequence[Any], *, whole: bool = False) -> list[Encoded]:
        """Token ids of each input, and the first token of each word: its output is the word's.

        Words are read with one blank between them, whether they were given or are those of a text: as in training.
        """
        if not inputs:
            return []
        texts, spans = zip(*(_spans(_words(given)) for given in inputs), strict=True)
        found = encodings(tokenizer, texts, self.limit(tokenizer, whole), offsets=True)
        return [
            Encoded(one.ids, _firsts(one.offsets, own), bool(one.overflowing))
            for one, own in zip(found, spans, strict=True)
        ]

    def targets(
        self, tokenizer: Tokenizer, encoded: Sequence[Encoded], rows: Columns, labels: Sequence[str]
    ) -> Targets:
        """The tag's index at the first token of each word."""
        index = {label: position for position, label in enumerate(labels)}
        found = []
        for one, cell in zip(encoded, rows["tags"], strict=True):
            row = [IGNORED] * len(one.ids)
            for position, tag in zip(one.positions or (), items(cell), strict=False):
                row[position] = index[tag]
            found.append(row)
        return found

    def model_class(self) -> type[Any]:
        """The Auto class for token classification."""
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification

    def collator(self, tokenizer: Tokenizer, model: PreTrainedModel, multiple: int) -> Any:
        """Pads tokens and targets."""
        from transformers import DataCollatorForTokenClassification

        return DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=multiple)

    def predictions(self, outputs: Outputs, labels: Sequence[str]) -> Answers:
        """The most probable tag of each word that was read."""
        return [[labels[index] for index in row.argmax(axis=-1)] for row in outputs]

    def agreement(self, ours: Outputs, theirs: Outputs, labels: Sequence[str]) -> float:
        """The share of words with the same tag."""
        one, other = ([tag for tags in self.predictions(some, labels) for tag in tags] for some in (ours, theirs))
        return sum(tag == second for tag, second in zip(one, other, strict=True)) / max(1, len(one))

    def metrics(self, outputs: Outputs, labels: Sequence[str], references: Answers) -> dict[str, float]:
        """Precision, recall and F1 of whole entities, and the accuracy of single tags."""
        from sluice.metrics.entities import Entities

        return dict(Entities().compute(predictions=self.predictions(outputs, labels), references=references))

    def decode(
        self, inputs: Sequence[Any], outputs: Outputs, labels: Sequence[str], options: BaseModel
    ) -> list[BaseModel]:
        """The entities of each text with their places."""
        from sluice.tasks.classification import softmax

        results: list[BaseModel] = []
        for given, scores, tags in zip(inputs, outputs, self.predictions(outputs, labels), strict=True):
            text, spans = _spans(given)
            sure = softmax(scores).max(axis=-1) if len(scores) else scores
            found = [
                Entity(
                    type=kind,
                    text=text[spans[first][0] : spans[last][1]],
                    start=spans[first][0],
                    end=spans[last][1],
                    score=float(sure[first : last + 1].mean()),
                )
                for kind, first, last in spans_of(tags)
            ]
            results.append(TokenClassificationResult(entities=found, truncated=len(tags) < len(spans)))
        return results

    def breakdown(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Breakdown:
        """Precision, recall, F1 and support by entity type."""
        from sluice.metrics.entities import by_type

        return by_type(predictions, references)

    def tally(self, predictions: Answers, references: Answers, labels: Sequence[str]) -> Tally:
        """Entities found, said and meant: F1 over all of them."""
        from sluice.metrics.entities import entity_tally

        return entity_tally(predictions, references)

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """No entity at all, and each word's most frequent tag in the training rows."""
        from sluice.metrics.entities import frequent_tags

        words = self.inputs(test)
        return Baselines(
            trivial={"no_entities": [[OUTSIDE] * len(row) for row in words]},
            strong={"frequent_tags": frequent_tags(self.inputs(train), self.references(train), words)},
        )


def items(cell: str) -> list[str]:
    """What a cell lists: one item a line, or divided by white space or, where there is none, by commas."""
    if "\n" in cell:
        return cell.split("\n")
    return cell.split() if len(cell.split()) > 1 or "," not in cell.strip(",") else cell.split(",")


def words(text: str) -> list[tuple[int, int]]:
    """Start and end of each word of a text."""
    return [found.span() for found in WORD.finditer(text)]


def _words(given: Any) -> list[str]:
    return [given[start:end] for start, end in words(given)] if isinstance(given, str) else list(given)


def _spans(given: Any) -> tuple[str, list[tuple[int, int]]]:
    """The text of an input with start and end of its words, which may be given or are found."""
    if isinstance(given, str):
        return given, words(given)
    ends, at = [], 0
    for word in given:
        ends.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(given), ends


def _firsts(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[int]:
    """The first token that ends after each word's start; words after the last token have none."""
    read = [(end, position) for position, (start, end) in enumerate(offsets) if end > start]
    ends = [end for end, _ in read]
    found = [bisect.bisect_right(ends, start) for start, _ in spans]
    return [read[place][1] for place in found if place < len(read)]
