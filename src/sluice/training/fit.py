"""One fine-tuning: model, rows and settings in, the best checkpoint's model out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.errors import UserError
from sluice.tasks.task import Task
from sluice.training.checkpoints import step
from sluice.training.reporter import Log
from sluice.training.rows import Rows
from sluice.training.settings import Train

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sluice.training.distillation import Teacher


@dataclass(frozen=True)
class Fitted:
    """The best model and what its training took."""

    model: PreTrainedModel
    steps: int
    best: float
    """The task's validation metric."""
    resumed_from: int | None
    """The optimizer step that a killed run went on from."""


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    train: Rows,
    validation: Rows,
    labels: Sequence[str],
    settings: Train,
    *,
    seed: int,
    folder: Path,
    checkpoint: Path | None,
    log: Log,
    teacher: Teacher | None = None,
) -> Fitted:
    """Train to the end, going on from `checkpoint` where there is one; checkpoints go to `folder`."""
    from sluice.training.distillation import Distiller
    from sluice.training.lora import adapted, merged
    from sluice.training.loss import loss_of
    from sluice.training.trainer import FineTuner, make_trainer

    validation = validation.by_length()

    if settings.token_dropout and tokenizer.mask_token_id is None:
        raise UserError(
            f"train.token_dropout={settings.token_dropout:g} needs a mask token, which this tokenizer has not: "
            "train.token_dropout=0"
        )

    if settings.class_weights == "balanced" and not labels:
        raise UserError(f"train.class_weights=balanced: task={task.name} has no classes. Take none")

    def measure(prediction: Any) -> dict[str, float]:
        kept = prediction.predictions
        return task.validation_figures(kept, validation.encoded, validation.references, labels, tokenizer)

    trainer = make_trainer(
        adapted(model, settings.lora) if settings.lora else model,
        tokenizer,
        task,
        train,
        validation,
        settings,
        measure=measure,
        loss=loss_of(task, settings, train.targets, model.config.num_labels),
        seed=seed,
        folder=folder,
        log=log,
        kind=partial(Distiller, teacher) if teacher else FineTuner,
    )
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    state = trainer.state
    return Fitted(
        model=merged(trainer.model) if settings.lora else trainer.model,
        steps=state.global_step,
        best=math.nan if state.best_metric is None else float(state.best_metric),
        resumed_from=step(checkpoint) if checkpoint else None,
    )
