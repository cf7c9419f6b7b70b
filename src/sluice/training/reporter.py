"""What a training tells: one progress bar for people, figures for the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Log = Callable[[dict[str, float], int], None]
"""Receives figures and the optimizer step they belong to."""


def reporter(log: Log) -> Any:
    """A Trainer callback, in place of Trainer's own progress bars."""
    from transformers.trainer_callback import ProgressCallback

    class Reporter(ProgressCallback):
        """One progress bar with the loss in it; figures go on as `train/loss`, `validation/accuracy`."""

        def __init__(self) -> None:
            super().__init__()
            self.postfix: dict[str, str] = {}

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            figures = {_metric_name(key): float(value) for key, value in (logs or {}).items()}
            log(figures, state.global_step)
            shown = {
                name: figures[name]
                for name in ("train/loss", f"validation/{args.metric_for_best_model}")
                if name in figures
            }
            if self.training_bar is not None and shown:
                self.postfix |= {name: f"{value:.3f}" for name, value in shown.items()}
                self.training_bar.set_postfix(self.postfix)

        def on_prediction_step(self, *args: Any, **kwargs: Any) -> None:
            """A validation pass needs no bar of its own."""

    return Reporter()


def _metric_name(key: str) -> str:
    return f"validation/{key[5:]}" if key.startswith("eval_") else f"train/{key}"
