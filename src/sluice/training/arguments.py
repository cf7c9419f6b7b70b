"""Trainer's arguments: what fine-tuning and pretraining have in common, from the settings of a loop."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import SchedulerType, Trainer, TrainingArguments, get_scheduler
from transformers.training_args import OptimizerNames

from sluice.errors import UserError
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


def check_choices(settings: Loop) -> None:
    """Raise UserError for an optimizer or a schedule that transformers does not know or cannot make as it is set."""
    group = type(settings).__name__.lower()
    known = [one.value for one in OptimizerNames]
    if settings.optimizer not in known:
        raise UserError(
            f"{group}.optimizer={settings.optimizer}: no such optimizer. {_nearest(settings.optimizer, known)}"
        )
    known = [one.value for one in SchedulerType]
    if settings.schedule not in known:
        raise UserError(f"{group}.schedule={settings.schedule}: no such schedule. {_nearest(settings.schedule, known)}")
    plain = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    try:
        Trainer.get_optimizer_cls_and_kwargs(TrainingArguments(use_cpu=True, optim=settings.optimizer))
    except (ImportError, ValueError) as error:
        raise UserError(f"{group}.optimizer={settings.optimizer}: {_first_line(error)}") from error
    try:
        get_scheduler(settings.schedule, plain, num_warmup_steps=1, num_training_steps=2)
    except (TypeError, ValueError) as error:
        told = f"{group}.schedule={settings.schedule} needs settings of its own, which there are none for here"
        raise UserError(f"{told}: {_first_line(error)}. Take linear, cosine or constant_with_warmup") from error


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def checkpoint_interval(settings: Loop, steps: int) -> int:
    """Optimizer steps from one checkpoint to the next, beside those at validations."""
    return max(1, math.ceil(steps / settings.checkpoints))
