"""`Keeper`: when checkpoints are written, and which of them stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from sluice.training.checkpoints import mark_whole, remove


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
        mark_whole(newest)
        kept = {newest, folder / f"checkpoint-{state.best_global_step}"}
        for checkpoint in set(folder.glob("checkpoint-*")) - kept:
            remove(checkpoint)
