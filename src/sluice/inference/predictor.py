"""`Predictor`: texts in, results out. The same path for evaluation, batch prediction and the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BATCH = 32
"""Texts in one forward pass: sorted by length, larger batches bring nothing on a CPU."""


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

    def predict(self, texts: Sequence[str], options: BaseModel | None = None) -> Prediction:
        """One result a text."""
        ids = self.task.encode(self._tokenizer, texts)
        logits = self._run(ids)
        results = self.task.decode(logits, self.bundle.labels, options or self.task.Options())
        return Prediction(results, sum(map(len, ids)))

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Raw scores, shape (texts, labels)."""
        return self._run(self.task.encode(self._tokenizer, texts))

    def _run(self, ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Texts of like length share a batch, so that little padding is computed."""
        import numpy as np

        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        chunks = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        logits = np.empty((len(ids), len(self.bundle.labels)), np.float32)
        for chunk in chunks:
            logits[chunk] = self._forward([ids[index] for index in chunk])
        return logits
