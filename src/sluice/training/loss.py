"""The training loss: the task's, and where asked for a weight a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sluice.tasks.task import IGNORED, Targets, Task
from sluice.training.settings import Train


def loss_of(task: Task, settings: Train, targets: Targets, classes: int) -> Callable[..., torch.Tensor]:
    """From scores and targets to one number.

    Dividing by all items of a step makes one large batch, its parts added up and its parts on several processes the
    same loss: heads of transformers take a mean of each part instead.

    An item is a row, or a token that has a target; `targets` are those of the training rows.
    """
    weights = None
    if settings.class_weights == "balanced":
        weights = class_weights([task.kinds(torch.as_tensor(one)) for one in targets], classes)

    def loss(scores: Any, targets: torch.Tensor, items: torch.Tensor | int | None = None) -> torch.Tensor:
        each: torch.Tensor = task.losses(scores, targets, settings.label_smoothing)
        if weights is not None:
            each = each * weights.to(each.device)[task.kinds(targets).clamp(min=0)]
        return each.sum() / ((targets != IGNORED).sum() if items is None else items)

    return loss


def class_weights(targets: Targets, classes: int) -> torch.Tensor:
    """Weights by which every kind of item has the same sum over all items and the mean item has weight one."""
    items = np.concatenate([np.atleast_1d(one) for one in targets])
    items = items[items != IGNORED]
    counts = np.bincount(items, minlength=classes)
    return torch.from_numpy(len(items) / (len(counts) * np.maximum(counts, 1))).float()
