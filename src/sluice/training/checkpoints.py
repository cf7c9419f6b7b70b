"""Trainer's checkpoints on disk: which of them a killed run can go on from."""

from __future__ import annotations

import shutil
from pathlib import Path

WHOLE = "whole"
"""The file that says that all others are there: Trainer writes a checkpoint in place."""


def newest_whole(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; those that a kill left half written are deleted."""
    found = sorted(folder.glob("checkpoint-*"), key=step, reverse=True)
    for checkpoint in found:
        if (checkpoint / WHOLE).exists():
            return checkpoint
        remove(checkpoint)
    return None


def mark_whole(checkpoint: Path) -> None:
    """Say of a checkpoint that it is complete."""
    (checkpoint / WHOLE).touch()


def step(checkpoint: Path) -> int:
    """The optimizer step that a checkpoint was written after."""
    return int(checkpoint.name.split("-")[1])


def remove(checkpoint: Path) -> None:
    """Delete a checkpoint; a kill meanwhile leaves one that is not whole."""
    (checkpoint / WHOLE).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)
