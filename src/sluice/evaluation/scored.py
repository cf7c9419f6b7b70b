"""`Scored`: what one model says of rows, beside the right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sluice.inference.bundle import Abstention
from sluice.inference.predictor import Predictor
from sluice.metrics.selective import SILENT, Answers
from sluice.metrics.significance import Tally
from sluice.tasks.task import Columns, Task


@dataclass(frozen=True)
class Scored:
    """Everything that tables, plots and figures of one model are made from."""

    task: Task
    labels: Sequence[str]
    logits: npt.NDArray[np.float32]
    references: npt.NDArray[np.int64]

    @classmethod
    def of(cls, predictor: Predictor, rows: Columns) -> Scored:
        """Predict the rows, which have the task's columns."""
        task, labels = predictor.task, predictor.bundle.labels
        return cls(task, labels, predictor.logits(rows["text"]), task.references(rows, labels))

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """Answers, shape (rows,)."""
        return self.task.predictions(self.logits)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Shape (rows, labels)."""
        return self.task.probabilities(self.logits)

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Probability of the most probable label, shape (rows,)."""
        return self.probabilities.max(axis=1)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which answers are the references."""
        return self.predictions == self.references

    @property
    def tally(self) -> Tally:
        """What the bounds of the headline figures are made from."""
        return self.task.tally(self.predictions, self.references, len(self.labels))

    def metrics(self, abstention: Abstention | None) -> dict[str, float]:
        """The task's figures, and those of answering only when sure; what these rows cannot show is left out."""
        figures = self.task.metrics(self.logits, self.references)
        if abstention:
            figures |= self.answers(abstention.out_of_scope).tally(abstention.threshold).exact()
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def answers(self, out_of_scope: str | None) -> Answers:
        """How sure the model is of each row; with an out-of-scope label, of the most probable label in scope."""
        if out_of_scope is None:
            return Answers(self.confidence, self.right)
        outside = list(self.labels).index(out_of_scope)
        inside = np.delete(self.probabilities, outside, axis=1).max(axis=1)
        silent = self.predictions == outside
        return Answers(np.where(silent, SILENT, inside), self.right, self.references == outside)
