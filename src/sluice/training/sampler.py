"""Length grouping whose order follows from seed and epoch alone, so that a resumed epoch is the same epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

POOL = 50
"""Batches' worth of rows, drawn at random, that are sorted together: enough to pad little, few enough to mix."""


class GroupedByLength(Sampler[int]):
    """Rows of like length side by side, the batches in random order.

    The sampler that Trainer brings draws from torch's global generator, which stands elsewhere when a cut-off run goes
    on in its second epoch (other batches, other weights), and runs through each pool from long rows to short ones.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Trainer calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        size = self.batch_size * POOL
        pools = [order[start : start + size] for start in range(0, len(order), size)]
        rows = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        whole = len(rows) // self.batch_size * self.batch_size
        batches = rng.permutation(rows[:whole].reshape(-1, self.batch_size))
        return iter([*batches.ravel().tolist(), *rows[whole:].tolist()])
