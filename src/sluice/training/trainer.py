"""The transformers Trainer as we use it: our sampler and loss, tokens dropped in the step, checkpoints marked whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from sluice.metrics.direction import sign
from sluice.tasks.packing import Packing
from sluice.tasks.task import Task
from sluice.training.arguments import arguments, checkpoint_interval
from sluice.training.attention import keeps_rows_apart, quickened
from sluice.training.keeper import Keeper
from sluice.training.lora import narrow
from sluice.training.precision import autocast, resolve_precision
from sluice.training.reporter import Log, reporter
from sluice.training.rows import Rows
from sluice.training.sampler import GroupedByLength
from sluice.training.settings import Train

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WIDTH = 8
"""Batches are padded to a multiple of it: a processor's matrix kernels are prepared anew for every new shape."""


class FineTuner(Trainer):
    """A Trainer whose steps follow from the seed and the step alone, so that a killed run repeats them exactly."""

    def __init__(
        self, task: Task, settings: Train, lengths: list[int], tokenizer: PreTrainedTokenizerBase, **options: Any
    ) -> None:
        super().__init__(**options)
        self.task = task
        self.settings = settings
        self.lengths = lengths
        self.tokenizer = tokenizer
        self.model_accepts_loss_kwargs = False  # the loss is ours, the heads' own plain mean is not used
        self._loss_shifts_labels = False  # targets stand where they are guessed, also those of causal models

    def _get_train_sampler(self, train_dataset: Any = None) -> GroupedByLength:
        together = self.settings.batch_size * self.settings.accumulation * world_size()
        lengths = [1] * len(self.lengths) if self.side_by_side else self.lengths  # nothing is padded: any will do
        return GroupedByLength(lengths, together, self.args.seed)

    @property
    def side_by_side(self) -> bool:
        """Whether rows share a sequence."""
        return isinstance(self.data_collator, Packing) and self.data_collator.apart

    def train(self, *args: Any, **options: Any) -> Any:
        """Learn, attention and dropout being ours as long."""
        model = self.accelerator.unwrap_model(self.model)
        with quickened(model, self.settings.precision, by_row=self.side_by_side):
            return super().train(*args, **options)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The task's loss of the task's scores."""
        targets = inputs.pop("labels")
        with autocast(self.settings.precision, self.args.device.type):
            scores = self.task.scores(model, inputs, targets)
        loss = self.compute_loss_func(scores, targets, num_items_in_batch)
        if num_items_in_batch is not None:  # those of all processes, whose gradients are averaged
            loss = loss * self.accelerator.num_processes
        return (loss, {"scores": scores}) if return_outputs else loss

    def training_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """Drop tokens here and not in the collator, which runs a batch ahead: a resumed run must draw the same."""
        inputs["input_ids"] = drop_tokens(inputs["input_ids"], self.tokenizer, self.settings.token_dropout)
        return super().training_step(model, inputs, *args, **options)


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Rows,
    validation: Rows,
    settings: Train,
    *,
    measure: Callable[[Any], dict[str, float]],
    loss: Callable[..., torch.Tensor],
    seed: int,
    folder: Path,
    log: Log,
    kind: Callable[..., FineTuner] = FineTuner,
) -> FineTuner:
    """A Trainer that keeps the checkpoint that is best in the task's metric, one of the figures of `measure`."""
    steps = total_steps(settings, len(train.encoded))
    patience = [EarlyStoppingCallback(settings.patience)] if settings.patience else []
    collator = task.collator(tokenizer, model, WIDTH)
    if isinstance(collator, Packing):
        collator = replace(collator, apart=keeps_rows_apart(model))
    if settings.lora:
        narrow(model, settings.precision)
    trainer = kind(
        task=task,
        settings=settings,
        lengths=train.lengths,
        tokenizer=tokenizer,
        model=model,
        args=_arguments(settings, task.validation_metric, steps, seed, folder),
        train_dataset=train.dataset(),
        eval_dataset=validation.dataset(),
        data_collator=collator,
        compute_metrics=measure,
        preprocess_logits_for_metrics=task.keep,
        compute_loss_func=loss,
        callbacks=[Keeper(checkpoint_interval(settings, steps)), *patience],
    )
    trainer.remove_callback(ProgressCallback)
    if trainer.is_world_process_zero():
        trainer.add_callback(reporter(log))
    return trainer


def drop_tokens(ids: torch.Tensor, tokenizer: PreTrainedTokenizerBase, share: float) -> torch.Tensor:
    """A share of the tokens, special ones aside, replaced by the mask token; ids of shape (batch, length)."""
    if not share:
        return ids
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
    dropped = (torch.rand(ids.shape, device=ids.device) < share) & ~special
    return ids.masked_fill(dropped, tokenizer.mask_token_id)


def world_size() -> int:
    """Processes that share this training, as their launcher says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def total_steps(settings: Train, rows: int) -> int:
    """Optimizer steps of the whole training."""
    if settings.epochs is None:
        return settings.max_steps
    batches = math.ceil(math.ceil(rows / settings.batch_size) / world_size())
    return math.ceil(math.ceil(batches / settings.accumulation) * settings.epochs)


def _arguments(settings: Train, metric: str, steps: int, seed: int, folder: Path) -> TrainingArguments:
    precision = resolve_precision(settings.precision)
    return arguments(
        settings,
        steps,
        seed,
        folder,
        num_train_epochs=settings.epochs or 1,
        max_steps=-1 if settings.epochs else settings.max_steps,
        per_device_eval_batch_size=2 * settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        activation_checkpointing=settings.gradient_checkpointing,
        ddp_backend="gloo" if not torch.cuda.is_available() and world_size() > 1 else None,
        fp16=precision == "fp16",
        label_names=["labels"],
        remove_unused_columns=False,
        load_best_model_at_end=True,
        metric_for_best_model=metric,
        greater_is_better=sign(metric) > 0,
        restore_callback_states_from_checkpoint=True,
    )
