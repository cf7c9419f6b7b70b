"""`Rows`: what a fine-tuning learns from and is validated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Rows:
    """Encoded rows: token ids and the right answers as label indices."""

    ids: Sequence[Sequence[int]]
    references: npt.NDArray[np.int64]

    def dataset(self) -> datasets.Dataset:
        """In the form that Trainer reads."""
        import datasets

        return datasets.Dataset.from_dict({"input_ids": self.ids, "labels": self.references})

    def by_length(self) -> Rows:
        """The same rows from short to long, so that batches of them in order are padded little."""
        order = sorted(range(len(self.ids)), key=lambda row: len(self.ids[row]))
        return Rows([self.ids[row] for row in order], self.references[order])
