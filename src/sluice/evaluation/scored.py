"""`Scored`: what one model says of rows, beside the right answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sluice.errors import UserError
from sluice.inference.bundle import Abstention
from sluice.inference.predictor import Predictor
from sluice.metrics.selective import SILENT, Sureness
from sluice.metrics.significance import Tally
from sluice.tasks.task import Answers, Columns, Outputs, Task


@dataclass(frozen=True)
class Scored:
    """Everything that tables, plots and figures of one model are made from."""

    task: Task
    labels: Sequence[str]
    outputs: Outputs
    references: Answers

    @classmethod
    def of(cls, predictor: Predictor, rows: Columns) -> Scored:
        """Predict the rows, which have the task's columns."""
        task, labels = predictor.task, predictor.bundle.labels
        return cls(task, labels, task.observe(predictor.outputs, rows), task.references(rows))

    @cached_property
    def predictions(self) -> Answers:
        """The model's answer for each row."""
        return self.task.predictions(self.outputs, self.labels)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Shape (rows, labels). Raises UserError for a task whose answers are no choice among labels."""
        found = self.task.probabilities(self.outputs)
        if found is None:
            raise UserError(f"task={self.task.name} has no probability for an answer")
        return found

    @cached_property
    def confidence(self) -> npt.NDArray[np.float64]:
        """Probability of the most probable label, shape (rows,)."""
        return self.probabilities.max(axis=1)

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which answers are the references."""
        return np.array([one == other for one, other in zip(self.predictions, self.references, strict=True)], bool)

    @cached_property
    def tally(self) -> Tally:
        """What the bounds of the headline figures are made from."""
        return self.task.tally(self.predictions, self.references, self.labels)

    def beside(self, answers: Answers) -> Tally:
        """The same of somebody else's answers for these rows."""
        return self.task.tally(answers, self.references, self.labels)

    def metrics(self, abstention: Abstention | None) -> dict[str, float]:
        """The task's figures, and those of answering only when sure; what these rows cannot show is left out."""
        figures = self.task.metrics(self.outputs, self.labels, self.references)
        if abstention:
            figures |= self.sureness(abstention.out_of_scope).tally(abstention.threshold).exact()
        return {name: value for name, value in figures.items() if not math.isnan(value)}

    def sureness(self, out_of_scope: str | None) -> Sureness:
        """How sure the model is of each row; with an out-of-scope label, of the most probable label in scope."""
        if out_of_scope is None:
            return Sureness(self.confidence, self.right)
        outside = list(self.labels).index(out_of_scope)
        inside = np.delete(self.probabilities, outside, axis=1).max(axis=1)
        silent, meant = (
            np.array([label == out_of_scope for label in some]) for some in (self.predictions, self.references)
        )
        return Sureness(np.where(silent, SILENT, inside), self.right, meant)
