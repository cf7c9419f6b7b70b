"""`Rows`: what a fine-tuning learns from and is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluice.tasks.encoding import Encoded
from sluice.tasks.task import Answers, Columns, Targets, Task

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Rows:
    """Encoded rows, what the loss holds their outputs against, and the right answers."""

    encoded: Sequence[Encoded]
    targets: Targets
    references: Answers
    beside: Sequence[Any] | None = None
    """What the task's collator needs of each row beyond these."""

    @classmethod
    def of(cls, task: Task, tokenizer: PreTrainedTokenizerBase, rows: Columns, labels: Sequence[str]) -> Rows:
        """Encode the rows of a task."""
        encoded = task.encode(tokenizer, task.lessons(rows))
        targets = task.targets(tokenizer, encoded, rows, labels)
        return cls(encoded, targets, task.references(rows), task.beside(tokenizer, rows))

    @property
    def ids(self) -> list[list[int]]:
        """Token ids of each row."""
        return [one.ids for one in self.encoded]

    @property
    def lengths(self) -> list[int]:
        """How much each row is to read, in tokens, what stands beside it included."""
        more = self.beside or [[]] * len(self.encoded)
        return [len(one.ids) + sum(map(len, own)) for one, own in zip(self.encoded, more, strict=True)]

    def dataset(self) -> datasets.Dataset:
        """In the form that Trainer reads."""
        import datasets

        more = {} if self.beside is None else {"beside": self.beside}
        return datasets.Dataset.from_dict({"input_ids": self.ids, "labels": self.targets, **more})

    def take(self, rows: Sequence[int]) -> Rows:
        """The rows of these indices, in their order."""
        parts = (self.encoded, self.targets, self.references, self.beside)
        return Rows(*(None if part is None else [part[row] for row in rows] for part in parts))  # type: ignore[arg-type]

    def by_length(self) -> Rows:
        """The same rows from short to long, so that batches of them in order are padded little."""
        lengths = self.lengths
        return self.take(sorted(range(len(lengths)), key=lengths.__getitem__))
