"""`Predictor`: texts in, results out. The same path for evaluation, batch prediction and the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine
from sluice.tasks.task import Encoded


@dataclass(frozen=True)
class Prediction:
    """Results in the order of the inputs, and the number of tokens that were read."""

    results: list[BaseModel]
    tokens: int


class Predictor:
    """A loaded bundle."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        from transformers import AutoTokenizer

        self.folder = folder
        self.bundle = Bundle.read(folder)
        self.task = self.bundle.resolve_task()
        self._tokenizer = AutoTokenizer.from_pretrained(folder.absolute())
        self._forward = engine.load(folder, self.task)

    def predict(self, inputs: Sequence[Any], options: BaseModel | None = None) -> Prediction:
        """One result an input: a text, or what the task makes of a row."""
        encoded = self.task.encode(self._tokenizer, inputs)
        options = options or self.task.Options()
        results = self.task.decode(inputs, self._run(encoded, options), self.bundle.labels, options)
        if rule := self.bundle.abstention:
            results = [self.task.withheld(one, rule.threshold, rule.out_of_scope) for one in results]
        return Prediction(results, sum(len(one.ids) for one in encoded))

    def outputs(self, inputs: Sequence[Any], options: BaseModel | None = None) -> list[Any]:
        """What the task reads of the model's outputs, one an input."""
        return self._run(self.task.encode(self._tokenizer, inputs), options or self.task.Options())

    def tokens(self, inputs: Sequence[Any]) -> int:
        """How many tokens are read of the inputs."""
        return sum(len(one.ids) for one in self.task.encode(self._tokenizer, inputs))

    def _run(self, encoded: Sequence[Encoded], options: BaseModel) -> list[Any]:
        """Inputs of like length share a batch, so that little padding is computed."""
        order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
        outputs: list[Any] = [None] * len(encoded)
        for start in range(0, len(order), self.task.together):
            chunk = order[start : start + self.task.together]
            raw = self._forward([encoded[index].ids for index in chunk], options)
            for index, row in zip(chunk, raw, strict=True):
                outputs[index] = self.task.read(row, encoded[index], self._tokenizer)
        return outputs
