"""Rows side by side in one sequence, so that no padding is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice.tasks.task import IGNORED

ROUND = 64
"""Tokens of a batch are a multiple of it: a processor's matrix kernels are prepared anew for every new shape."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Packing:
    """Collator of rows with `input_ids` and as `labels` the targets among them; prompts have none.

    The target of a token is the one that follows it.
    """

    padding: int
    multiple: int
    """Of the length that rows are padded to, where they are."""
    apart: bool = True
    """Side by side, where the model's attention keeps to a row (`training/attention.py`), else below each other."""

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Tensors of shape (1, all tokens), or (rows, length)."""
        return self._packed(rows) if self.apart else self._padded(rows)

    def _packed(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Positions begin anew with each row: that is the border between texts. What fills up is a row of its own."""
        import torch

        lengths = [len(row["input_ids"]) - 1 for row in rows]
        rest = -sum(lengths) % ROUND
        ids = [token for row in rows for token in row["input_ids"][:-1]] + [self.padding] * rest
        targets = [token for row in rows for token in row["labels"][1:]] + [IGNORED] * rest
        positions = torch.cat([torch.arange(length) for length in [*lengths, rest]])
        return {
            "input_ids": torch.tensor([ids]),
            "position_ids": positions.unsqueeze(0),
            "labels": torch.tensor([targets]),
        }

    def _padded(self, rows: Sequence[Row]) -> dict[str, Any]:
        import torch

        lengths = [len(row["input_ids"]) - 1 for row in rows]
        shape = (len(rows), -(-max(lengths) // self.multiple) * self.multiple)
        ids, targets, mask = (torch.full(shape, fill) for fill in (self.padding, IGNORED, 0))
        for at, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            ids[at, :length] = torch.tensor(row["input_ids"][:-1])
            targets[at, :length] = torch.tensor(row["labels"][1:])
            mask[at, :length] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": targets}
