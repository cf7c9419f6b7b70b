"""Which side of the split a row stands on: decided by its group alone, so that new rows move no old ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sluice.data.source import Split

TRAIN, VALIDATION, TEST = SIDES = ("train", "validation", "test")


def assign(groups: Sequence[str], given: Sequence[str | None], split: Split) -> list[str]:
    """The side of each row: the given one, else one by the hash of its group.

    Rows without a side go to train and to those of validation and test that no row was given.
    """
    open_sides = set(SIDES) - {side for side in given if side is not None}
    drawn = {group: _draw(group, split) for group in set(groups)}
    return [
        side or (drawn[group] if drawn[group] in open_sides else TRAIN)
        for group, side in zip(groups, given, strict=True)
    ]


def _draw(group: str, split: Split) -> str:
    hashed = hashlib.blake2b(f"{split.seed}:{group}".encode(), digest_size=8).digest()
    point = int.from_bytes(hashed, "big") / 2**64
    if point < split.test:
        return TEST
    return VALIDATION if point < split.test + split.validation else TRAIN
