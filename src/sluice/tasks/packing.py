"""Rows side by side in one sequence, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sluice.tasks.task import IGNORED

WIDTH = 256
"""Tokens of a packed sequence, unless a row is longer: wide enough to fill, narrow enough for attention's square."""


def bins_of(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Which rows share a sequence of `size` tokens: the longest first, each where it first fits."""
    bins: list[list[int]] = []
    rest: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        at = next((at for at, room in enumerate(rest) if room >= lengths[row]), len(bins))
        if at == len(bins):
            bins.append([])
            rest.append(size)
        bins[at].append(row)
        rest[at] -= lengths[row]
    return bins


def packed(rows: Sequence[Mapping[str, Any]], multiple: int, padding: int) -> dict[str, Any]:
    """A batch of sequences, each of several rows; every row has `input_ids` and as `labels` the targets among them.

    Positions begin anew with each row: without an attention mask, transformers takes that for the border between texts
    that must not see each other. The target of a token is the one that follows it; prompts have none.
    """
    import torch

    lengths = [len(row["input_ids"]) - 1 for row in rows]
    size = -(-max(*lengths, min(WIDTH, sum(lengths))) // multiple) * multiple
    bins = bins_of(lengths, size)
    shape = (len(bins), size)
    ids, targets, positions = (torch.full(shape, fill) for fill in (padding, IGNORED, 0))
    for at, own in enumerate(bins):
        start = 0
        for row in own:
            end = start + lengths[row]
            ids[at, start:end] = torch.tensor(rows[row]["input_ids"][:-1])
            targets[at, start:end] = torch.tensor(rows[row]["labels"][1:])
            positions[at, start:end] = torch.arange(lengths[row])
            start = end
        positions[at, start:] = torch.arange(size - start)
    return {"input_ids": ids, "position_ids": positions, "labels": targets}
