"""One fine-tuning: model, rows and settings in, the best checkpoint's model out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError
from sluice.tasks.task import Task
from sluice.training.checkpoints import newest_complete
from sluice.training.precision import use_bf16
from sluice.training.reporter import Log, reporter
from sluice.training.settings import Train

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

WIDTH = 16
"""Batches are padded to a multiple of it: a processor's matrix kernels are prepared anew for every new shape."""


@dataclass(frozen=True)
class Rows:
    """Encoded rows: token ids and the right answers as label indices."""

    ids: Sequence[Sequence[int]]
    references: npt.NDArray[np.int64]

    def dataset(self) -> datasets.Dataset:
        """In the form that Trainer reads."""
        import datasets

        return datasets.Dataset.from_dict({"input_ids": self.ids, "labels": self.references})


@dataclass(frozen=True)
class Fitted:
    """The best model and what its training took."""

    model: PreTrainedModel
    steps: int
    best: float
    """The task's primary metric on the validation rows."""
    resumed_from: int | None
    """The optimizer step that a killed run went on from."""


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Rows,
    validation: Rows,
    settings: Train,
    *,
    seed: int,
    folder: Path,
    log: Log,
) -> Fitted:
    """Train to the end, going on from the newest checkpoint in `folder` where there is one."""
    from transformers.trainer_callback import ProgressCallback

    if settings.token_dropout and tokenizer.mask_token_id is None:
        raise UserError(
            f"train.token_dropout={settings.token_dropout:g} needs a mask token, which this tokenizer has not: "
            "train.token_dropout=0"
        )
    trainer = _trainer(model, tokenizer, task, train, validation, settings, seed, folder)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(reporter(log))
    checkpoint = newest_complete(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    return Fitted(
        model=trainer.model,
        steps=state.global_step,
        best=math.nan if state.best_metric is None else float(state.best_metric),
        resumed_from=int(checkpoint.name.split("-")[1]) if checkpoint else None,
    )


def _trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Rows,
    validation: Rows,
    settings: Train,
    seed: int,
    folder: Path,
) -> Trainer:
    from transformers import DataCollatorWithPadding, Trainer

    from sluice.training.sampler import GroupedByLength

    class Grouping(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> GroupedByLength:
            lengths = [len(row) for row in train.ids]
            return GroupedByLength(lengths, settings.batch_size * settings.accumulation, seed)

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            # Here and not in the collator, which runs a batch ahead: a resumed run must draw the same.
            inputs["input_ids"] = drop_tokens(inputs["input_ids"], tokenizer, settings.token_dropout)
            return super().training_step(model, inputs, *args, **kwargs)

    def measure(prediction: Any) -> dict[str, float]:
        return task.metrics(prediction.predictions, prediction.label_ids)

    trainer = Grouping(
        model=model,
        args=_arguments(settings, task, len(train.ids), seed, folder),
        train_dataset=train.dataset(),
        eval_dataset=validation.dataset(),
        data_collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=WIDTH),
        compute_metrics=measure,
    )
    # Heads with a plain mean loss accept **kwargs, which Trainer takes for "already divided by the number of items":
    # left so, the gradient is multiplied by accumulation steps and by processes.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def drop_tokens(ids: Any, tokenizer: PreTrainedTokenizerBase, share: float) -> Any:
    """A share of the tokens, special ones aside, replaced by the mask token; a tensor of ids, shape (batch, length)."""
    import torch

    if not share:
        return ids
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids, device=ids.device))
    dropped = (torch.rand(ids.shape, device=ids.device) < share) & ~special
    return ids.masked_fill(dropped, tokenizer.mask_token_id)


def _arguments(settings: Train, task: Task, rows: int, seed: int, folder: Path) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments

    steps = total_steps(settings, rows)
    interval = max(1, math.ceil(steps / settings.evaluations))
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs or 1,
        max_steps=-1 if settings.epochs else settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=2 * settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        label_smoothing_factor=settings.label_smoothing,
        optim=settings.optimizer,
        use_cpu=not torch.cuda.is_available(),
        bf16=use_bf16(settings.precision),
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=task.primary_metric,
        greater_is_better=True,
        logging_steps=max(1, steps // 50),
        dataloader_pin_memory=False,
        report_to="none",
        seed=seed,
        data_seed=seed,
        disable_tqdm=False,
    )


def total_steps(settings: Train, rows: int) -> int:
    """Optimizer steps of the whole training."""
    if settings.epochs is None:
        return settings.max_steps
    batches = math.ceil(rows / settings.batch_size)
    return math.ceil(math.ceil(batches / settings.accumulation) * settings.epochs)
