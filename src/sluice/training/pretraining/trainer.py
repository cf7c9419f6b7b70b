"""The transformers Trainer as pretraining uses it: drawn in the step what is to be guessed, held-out text measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from sluice.training.arguments import arguments, checkpoint_interval
from sluice.training.attention import quickened
from sluice.training.keeper import Keeper
from sluice.training.precision import autocast, resolve_precision
from sluice.training.pretraining.objectives import Objective
from sluice.training.pretraining.settings import Pretrain
from sluice.training.pretraining.tokens import Ids, Order
from sluice.training.reporter import Log, reporter

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PreTrainer(Trainer):
    """A Trainer whose steps follow from the seed and the step alone, so that a killed run repeats them exactly."""

    def __init__(self, settings: Pretrain, objective: Objective, **options: Any) -> None:
        super().__init__(**options)
        self.settings = settings
        self.objective = objective
        self.model_accepts_loss_kwargs = False  # the loss is a plain mean

    def autocast(self) -> torch.autocast:
        """What the model is called in."""
        return autocast(self.settings.precision, self.args.device.type)

    def train(self, *args: Any, **options: Any) -> Any:
        """Learn, attention and dropout being ours as long."""
        with quickened(self.accelerator.unwrap_model(self.model), self.settings.precision):
            return super().train(*args, **options)

    def _get_train_sampler(self, train_dataset: Any = None) -> Order:
        draws = self.args.max_steps * self.args.train_batch_size * self.args.world_size
        return Order(len(self.train_dataset), draws, self.settings.seed)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """Draw here and not in the collator, which runs a batch ahead: a resumed run must draw the same."""
        with self.autocast():
            return self.objective.loss(model, inputs["input_ids"])

    def conclude(self) -> dict[str, float]:
        """Figures of the held-out sequences when all is learnt."""
        named = {name.removeprefix("eval_"): value for name, value in self.evaluate().items()}
        self.model.eval()
        ids = torch.from_numpy(self.eval_dataset.astype(np.int64)).to(self.args.device)
        with self.autocast():
            return {**named, **self.objective.final_figures(self.model, ids)}

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Measure the held-out sequences; Trainer's own way would gather the scores of the whole vocabulary."""
        ids = torch.from_numpy(self.eval_dataset.astype(np.int64)).to(self.args.device)
        with self.autocast():
            figures = measure(self.model, torch.split(ids, 2 * self.settings.batch_size), self.objective)
        named = {f"eval_{name}": value for name, value in figures.items()}
        self.log({**named})
        return named


def make_trainer(
    model: PreTrainedModel,
    objective: Objective,
    train: Ids,
    held_out: Ids,
    settings: Pretrain,
    folder: Path,
    log: Log,
) -> PreTrainer:
    """A Trainer over mapped token sequences, shapes (sequences, length)."""
    objective.ready(model)
    steps = total_steps(settings, len(train))
    trainer = PreTrainer(
        settings,
        objective,
        model=model,
        args=_arguments(settings, steps, folder),
        train_dataset=train,
        eval_dataset=held_out,
        data_collator=_stack,
        callbacks=[Keeper(checkpoint_interval(settings, steps))],
    )
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(reporter(log))
    return trainer


def measure(model: Any, batches: Sequence[torch.Tensor], objective: Objective) -> dict[str, float]:
    """Loss (nats), accuracy and perplexity of guessing tokens, the same ones every time it is asked.

    Of hidden tokens, the perplexity is that of several at once, so above what hiding one at a time would give.
    """
    model.eval()
    generator = torch.Generator(batches[0].device).manual_seed(0)
    loss = right = count = 0.0
    with torch.no_grad():
        for batch in batches:
            logits, wanted = objective.scores(model, batch, generator)
            loss += torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum").item()
            right += (logits.argmax(dim=-1) == wanted).sum().item()
            count += len(wanted)
    return {"loss": loss / count, "accuracy": right / count, "perplexity": math.exp(loss / count)}


def total_steps(settings: Pretrain, sequences: int) -> int:
    """Optimizer steps of the whole pretraining."""
    if settings.epochs is None:
        return settings.max_steps
    return math.ceil(sequences * settings.epochs / settings.batch_size)


def _stack(rows: Sequence[Ids]) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.from_numpy(np.stack(rows).astype(np.int64))}


def _arguments(settings: Pretrain, steps: int, folder: Path) -> TrainingArguments:
    return arguments(
        settings,
        steps,
        settings.seed,
        folder,
        max_steps=steps,
        fp16=resolve_precision(settings.precision) == "fp16",
        metric_for_best_model="loss",
        remove_unused_columns=False,
    )
