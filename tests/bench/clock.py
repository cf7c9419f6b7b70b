"""The pace of a training's steps, the first ones left out: kernels are prepared then."""

from __future__ import annotations

import time
from typing import Any

import torch
from transformers import TrainerCallback


class Clock(TrainerCallback):
    """Notes when each step ended."""

    WARM_UP = 2

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args: Any, **options: Any) -> None:
        """Called after the optimizer's step."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())

    def rate(self) -> float:
        """Steps a second."""
        return (len(self.ends) - self.WARM_UP) / (self.ends[-1] - self.ends[self.WARM_UP - 1])

    def seconds(self) -> float:
        """Of all steps, at that rate."""
        return len(self.ends) / self.rate()
