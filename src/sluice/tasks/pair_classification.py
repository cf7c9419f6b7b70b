"""Pair classification: two texts, one label for how they stand to each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sluice.errors import UserError
from sluice.files import write_json
from sluice.tasks.classification import Classification
from sluice.tasks.encoding import Encoded, Tokenizer, encodings
from sluice.tasks.task import Baselines, Columns, Kind

Pair = tuple[str, str]
EXPECTED = 'expected a pair as a JSON list of two texts, ["one", "other"], sent as one string'


class PairClassification(Classification):
    """A label for a pair of texts: what follows from what, what asks the same."""

    name: ClassVar[str] = "pair_classification"
    verb: ClassVar[str] = "compare"
    columns: ClassVar[Mapping[str, Kind]] = {"text_a": "text", "text_b": "text", "label": "text"}
    example: ClassVar[str] = '["Sort the keys of a mapping.", "Order a dictionary by its keys."]'

    def texts(self, rows: Columns) -> Sequence[str]:
        """Both texts on one line: a row is known by the two of them."""
        return [f"{one} | {other}" for one, other in self.inputs(rows)]

    def corpus(self, rows: Columns) -> Sequence[str]:
        """Both texts of each row."""
        return [*rows["text_a"], *rows["text_b"]]

    def inputs(self, rows: Columns) -> Sequence[Pair]:
        """The pairs."""
        return list(zip(rows["text_a"], rows["text_b"], strict=True))

    def refusal(self, text: str) -> str | None:
        """A text alone is no pair: a label for it would only look like an answer."""
        return None if _pair(text) else EXPECTED

    def encode(self, tokenizer: Tokenizer, inputs: Sequence[Any], *, whole: bool = False) -> list[Encoded]:
        """Both texts in one sequence, the longer one cut first; a caller's pair is read from JSON."""
        if not inputs:
            return []
        found = encodings(tokenizer, [pair_of(one) for one in inputs], self.limit(tokenizer, whole))
        return [Encoded(one.ids, cut=bool(one.overflowing)) for one in found]

    def export(self, folder: Path) -> None:
        """Whoever opens the tokenizer tells the texts apart as in training: by the separator, not by token types."""
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, {**settings, "model_input_names": ["input_ids", "attention_mask"]})

    def baselines(self, train: Columns, test: Columns) -> Baselines:
        """The majority label, and logistic regression on the TF-IDF of both texts."""
        from sluice.metrics.baselines import majority, tfidf_pair_logistic

        pairs, asked = self.inputs(train), self.inputs(test)
        return Baselines(
            trivial={"majority": majority(train["label"], len(asked))},
            strong={"tfidf_pair_logistic": tfidf_pair_logistic(pairs, train["label"], asked)},
        )


def pair_of(given: str | Pair) -> Pair:
    """The pair that an input is: a row's own, or what a caller wrote."""
    pair = given if isinstance(given, tuple) else _pair(given)
    if pair is None:
        raise UserError(f"{given[:40]!r}: {EXPECTED}")
    return pair


def _pair(text: str) -> Pair | None:
    """The two texts of a JSON list; None where a text is anything else."""
    try:
        pair = json.loads(text)
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) and one.strip() for one in pair):
            "".join(pair).encode()  # half of a surrogate pair, which JSON can write and no tokenizer can read
            return pair[0], pair[1]
    except (ValueError, RecursionError):
        pass
    return None
