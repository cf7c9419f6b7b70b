"""Trainer's checkpoints: when they are written, which of them a killed run can go on from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

WHOLE = "whole"
"""The file that says that all others are there: Trainer writes a checkpoint in place."""


class Keeper(TrainerCallback):
    """Asks for a checkpoint every `interval` steps, marks each as whole, and keeps the newest and the best."""

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask beside the validations, which ask for themselves."""
        if state.global_step % self.interval == 0:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the new one first, then remove what it replaces."""
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir)
        newest = folder / f"checkpoint-{state.global_step}"
        (newest / WHOLE).touch()
        kept = {newest, folder / f"checkpoint-{state.best_global_step}"}
        for checkpoint in set(folder.glob("checkpoint-*")) - kept:
            _remove(checkpoint)


def newest_whole(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; those that a kill left half written are deleted."""
    found = sorted(folder.glob("checkpoint-*"), key=step, reverse=True)
    for checkpoint in found:
        if (checkpoint / WHOLE).exists():
            return checkpoint
        _remove(checkpoint)
    return None


def step(checkpoint: Path) -> int:
    """The optimizer step that a checkpoint was written after."""
    return int(checkpoint.name.split("-")[1])


def _remove(checkpoint: Path) -> None:
    (checkpoint / WHOLE).unlink(missing_ok=True)  # first: a kill may leave the rest
    shutil.rmtree(checkpoint)
