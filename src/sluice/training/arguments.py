"""Trainer's arguments: what fine-tuning and pretraining have in common, from the settings of a loop."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from sluice.training.settings import Loop

LOGGED = 50
"""Times that the loss is told over a whole training."""


def arguments(settings: Loop, steps: int, seed: int, folder: Path, **own: Any) -> TrainingArguments:
    """Checkpoints and figures of a training of `steps` go to `folder`; `own` is what only one kind of training says."""
    interval = max(1, math.ceil(steps / settings.evaluations))
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        optim=settings.optimizer,
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        logging_steps=max(1, steps // LOGGED),
        dataloader_pin_memory=False,
        report_to="none",
        seed=seed,
        data_seed=seed,
        disable_tqdm=False,
        **own,
    )


def checkpoint_interval(settings: Loop, steps: int) -> int:
    """Optimizer steps from one checkpoint to the next, beside those at validations."""
    return max(1, math.ceil(steps / settings.checkpoints))
