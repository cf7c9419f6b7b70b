"""`Predictor`: texts in, results out. The same path for evaluation, batch prediction and the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine
from sluice.inference.tokenizer import load_tokenizer
from sluice.tasks.encoding import Encoded


@dataclass(frozen=True)
class Prediction:
    """Results in the order of the inputs, and the number of tokens that were read."""

    results: list[BaseModel]
    tokens: int


class Texts:
    """What stands around a model: texts become tokens, and outputs become results. Loads no weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = Bundle.read(folder)
        self.task = self.bundle.resolve_task()
        self.tokenizer = load_tokenizer(folder, self.task)

    def encode(self, inputs: Sequence[Any]) -> list[Encoded]:
        """What the model reads of each input: a text, or what the task makes of a row."""
        return self.task.encode(self.tokenizer, inputs)

    def read(self, raw: Any, encoded: Encoded) -> Any:
        """What the task takes of one input's raw outputs."""
        return self.task.read(raw, encoded, self.tokenizer)

    def decode(
        self, inputs: Sequence[Any], outputs: Sequence[Any], options: BaseModel | None = None
    ) -> list[BaseModel]:
        """One result an input, from what was read of its outputs."""
        options = options or self.task.Options()
        results = self.task.decode(inputs, outputs, self.bundle.labels, options)
        if rule := self.bundle.abstention:
            results = [self.task.withheld(one, rule.threshold, rule.out_of_scope) for one in results]
        return results


class Predictor(Texts):
    """A loaded bundle."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder)
        self.engine = engine.chosen(folder, self.task)
        self.together = min(self.task.together, self.engine.together or self.task.together)
        self._forward = self.engine.load(folder, self.task)

    def predict(self, inputs: Sequence[Any], options: BaseModel | None = None) -> Prediction:
        """One result an input."""
        encoded = self.encode(inputs)
        outputs = self.compute(encoded, options)
        return Prediction(self.decode(inputs, outputs, options), sum(len(one.ids) for one in encoded))

    def outputs(self, inputs: Sequence[Any], options: BaseModel | None = None) -> list[Any]:
        """What the task reads of the model's outputs, one an input."""
        return self.compute(self.encode(inputs), options)

    def compute(self, encoded: Sequence[Encoded], options: BaseModel | None = None) -> list[Any]:
        """The same of inputs that are encoded; those of like length share a batch, to compute little padding."""
        options = options or self.task.Options()
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
        outputs: list[Any] = [None] * len(encoded)
        for start in range(0, len(order), self.together):
            chunk = order[start : start + self.together]
            raw = self._forward([encoded[index].ids for index in chunk], options)
            for index, row in zip(chunk, raw, strict=True):
                outputs[index] = self.read(row, encoded[index])
        return outputs
