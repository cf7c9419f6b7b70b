"""Distillation: a student learns from what a teacher says of the same rows, and from what stands between its layers.

Hinton et al. 2015 (softened answers), Romero et al. 2015 and Sanh et al. 2019 (hidden states).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sluice.compression.settings import Student
from sluice.models.fewer import layer_stack, spaced
from sluice.tasks.task import IGNORED, Task
from sluice.training.precision import autocast
from sluice.training.trainer import FineTuner


@dataclass(frozen=True)
class Teacher:
    """Who teaches, and how much he is listened to."""

    bundle: Path
    settings: Student

    def model(self, task: Task, device: torch.device) -> Any:
        """The teacher, loaded apart from the student, who learns nothing."""
        model = task.model_class().from_pretrained(self.bundle.absolute(), dtype=torch.float32)
        task.settle(model)
        return model.eval().requires_grad_(False).to(device)


class Distiller(FineTuner):
    """A `FineTuner` whose loss is the task's, and how far the student is from its teacher."""

    def __init__(self, teacher: Teacher, **options: Any) -> None:
        super().__init__(**options)
        self.said = teacher.settings
        self.teacher = teacher.model(self.task, self.args.device)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The task's loss, the teacher's softened answers and hidden states; while validating, the task's alone."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        targets, student = inputs["labels"], self.accelerator.unwrap_model(model)
        given = {name: value for name, value in inputs.items() if name != "labels"}
        own, matched = self._places
        with heard(self.teacher, matched) as theirs, heard(student, own) as ours:
            with torch.no_grad(), autocast(self.settings.precision, self.args.device.type):
                taught = self.task.scores(self.teacher, dict(given), targets)
            loss, found = super().compute_loss(model, inputs, True, num_items_in_batch)
            items = (targets != IGNORED).sum()
            part = torch.ones(()) if num_items_in_batch is None else items / num_items_in_batch
            if num_items_in_batch is not None:  # those of all processes, whose gradients are averaged
                part = part * self.accelerator.num_processes
            apart = self.task.apart(found["scores"], taught, targets, self.said.temperature).sum() / items * part
            total = (1 - self.said.share) * loss + self.said.share * apart
            if own and len(ours) == len(own):  # a task that reads two texts goes through the layers twice
                # Decoders read rows side by side, without a mask: then it is the tokens of answers.
                real = given["attention_mask"].bool() if "attention_mask" in given else targets != IGNORED
                total = total + self.said.hidden * part * _distance(ours, theirs, real)
        return (total, found) if return_outputs else total

    @property
    def _places(self) -> tuple[list[int], list[int]]:
        """The student's layers, and those of the teacher that they answer to; none where states are not compared, as
        those of new weights, which may be of another width."""
        if not self.said.hidden or self.said.config:
            return [], []
        count = self.accelerator.unwrap_model(self.model).config.num_hidden_layers
        return list(range(count)), spaced(self.teacher.config.num_hidden_layers, count)


@contextmanager
def heard(model: Any, places: list[int]) -> Iterator[list[torch.Tensor]]:
    """The hidden states that the layers at these places give while the context lasts, in their order."""
    layers = model.get_submodule(layer_stack(model)) if places else []
    found: list[torch.Tensor] = []

    def keep(layer: Any, given: Any, states: Any) -> None:
        found.append(states[0] if isinstance(states, tuple) else states)

    hooks = [layers[place].register_forward_hook(keep) for place in places]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _distance(ours: list[torch.Tensor], theirs: list[torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the states of `real` tokens over the teacher's mean square, the mean over layers."""
    each = []
    for own, other in zip(ours, theirs, strict=True):
        one, two = own[real].float(), other[real].float()
        each.append((one - two).square().mean() / two.square().mean())
    return torch.stack(each).mean()
