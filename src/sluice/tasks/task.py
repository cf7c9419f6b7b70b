"""`Task`: what every stage reads of a task, so that no stage has to know which one it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field

from sluice.part import Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sluice.metrics.significance import Tally

Columns = Mapping[str, Sequence[Any]]
"""Rows by column: every sequence has one entry a row."""


@dataclass(frozen=True)
class Baselines:
    """Predictions of simple predictors on the test rows, by name."""

    trivial: dict[str, npt.NDArray[np.int64]]
    """Those that know nothing of the text."""
    strong: dict[str, npt.NDArray[np.int64]]
    """Those that a team would otherwise ship."""


class Task(Part, ABC):
    """One thing that a model can learn. Fields are its configuration, methods what the stages read."""

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    """The columns that a row must have."""
    primary_metric: ClassVar[str]
    """The metric that chooses the best checkpoint and that the gate compares: higher is better."""
    Options: ClassVar[type[BaseModel]]
    """What a caller may ask for beside the input."""
    Result: ClassVar[type[BaseModel]]
    """The answer for one input."""
    plots: ClassVar[tuple[str, ...]]
    """The plots of `sluice.evaluation.plots` that say something about it."""
    example: ClassVar[str]
    """An input for documentation, signatures and the playground."""

    max_length: int = Field(160, ge=8, le=8192)
    """Longest input in tokens; what is longer is cut at the end."""

    @abstractmethod
    def labels(self, rows: Columns) -> list[str]:
        """The label names that training rows define, in index order."""

    @abstractmethod
    def references(self, rows: Columns, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """The right answer of each row as an index into `labels`, shape (rows,)."""

    @abstractmethod
    def encode(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut to `max_length`."""

    @abstractmethod
    def model_class(self) -> type[Any]:
        """The transformers Auto class that puts this task's head on a backbone."""

    @abstractmethod
    def logits(self, model: PreTrainedModel, batch: Mapping[str, Any]) -> Any:
        """The model's raw scores for a padded batch, shape (batch, labels)."""

    @abstractmethod
    def predictions(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
        """The answer of each row as an index into the labels, shape (rows,)."""

    @abstractmethod
    def probabilities(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """How probable each label is, shape (rows, labels)."""

    @abstractmethod
    def metrics(self, logits: npt.NDArray[np.floating], references: npt.NDArray[np.integer]) -> dict[str, float]:
        """All figures, by `evaluate.Metric` subclasses; what these rows cannot show is left out.

        Shapes (rows, labels) and (rows,).
        """

    @abstractmethod
    def decode(self, logits: npt.NDArray[np.floating], labels: Sequence[str], options: BaseModel) -> list[BaseModel]:
        """One `Result` a row of logits, shape (rows, labels)."""

    @abstractmethod
    def breakdown(
        self,
        predictions: npt.NDArray[np.integer],
        references: npt.NDArray[np.integer],
        labels: Sequence[str],
    ) -> dict[str, dict[str, float]]:
        """Figures by label name."""

    @abstractmethod
    def tally(
        self,
        predictions: npt.NDArray[np.integer],
        references: npt.NDArray[np.integer],
        classes: int,
    ) -> Tally:
        """What to count of each row, so that the headline figures of any rows follow: bounds and slices rest on it."""

    @abstractmethod
    def baselines(self, train: Columns, test: Columns, labels: Sequence[str]) -> Baselines:
        """What simple predictors, fitted on the training rows, say of the test rows."""
