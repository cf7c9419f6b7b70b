"""`Rows`: what a fine-tuning learns from and is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.tasks.task import Answers, Columns, Encoded, Targets, Task

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Rows:
    """Encoded rows, what the loss holds their outputs against, and the right answers."""

    encoded: Sequence[Encoded]
    targets: Targets
    references: Answers

    @classmethod
    def of(cls, task: Task, tokenizer: PreTrainedTokenizerBase, rows: Columns, labels: Sequence[str]) -> Rows:
        """Encode the rows of a task."""
        encoded = task.encode(tokenizer, task.inputs(rows))
        return cls(encoded, task.targets(tokenizer, encoded, rows, labels), task.references(rows))

    @property
    def ids(self) -> list[list[int]]:
        """Token ids of each row."""
        return [one.ids for one in self.encoded]

    def dataset(self) -> datasets.Dataset:
        """In the form that Trainer reads."""
        import datasets

        return datasets.Dataset.from_dict({"input_ids": self.ids, "labels": self.targets})

    def take(self, rows: Sequence[int]) -> Rows:
        """The rows of these indices, in their order."""
        return Rows(*([values[row] for row in rows] for values in (self.encoded, self.targets, self.references)))

    def by_length(self) -> Rows:
        """The same rows from short to long, so that batches of them in order are padded little."""
        return self.take(sorted(range(len(self.encoded)), key=lambda row: len(self.encoded[row].ids)))
