"""Two models timed in turn on the same inputs, with a control that tells how noisy the machine is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sluice.gate import NOISE
from sluice.inference.predictor import Predictor

ROUNDS = 15
INNER = 3
"""Rounds beyond either bound of a median: of 15, the bounds then hold it in 96 % of all cases, whatever the noise."""
ATTEMPTS = 3
TOGETHER = 32
"""Texts of a large batch, where there are as many."""
ROUND_SECONDS, FEWEST = 0.4, 4
"""A model that takes longer for all inputs is timed on fewer of them, but for no fewer than so many."""

Round = tuple[float, float, float]
"""Seconds of the first model, of the second, and of a second copy of the second."""


@dataclass(frozen=True)
class Speed:
    """How many times as fast as another a model is, with bounds, and what two copies of the other gave."""

    median: float
    low: float
    high: float
    control: float


def latency_ratios(
    challenger: Predictor, champion: Predictor, control: Predictor, inputs: Sequence[Any]
) -> tuple[float, float]:
    """Challenger over champion, and control (a second copy of the champion) over champion: medians of the rounds."""
    rounds = _rounds(challenger, champion, control, inputs)
    return statistics.median(new / old for new, old, _ in rounds), _control(rounds)


def speed(form: Predictor, plain: Predictor, control: Predictor, inputs: Sequence[Any], size: int = 1) -> Speed:
    """How many times as fast as `plain` a form of it is, `size` inputs at a time; `control` is a copy of `plain`."""
    rounds = _rounds(form, plain, control, inputs, size)
    times = sorted(old / new for new, old, _ in rounds)
    return Speed(statistics.median(times), times[INNER], times[-1 - INNER], 1 / _control(rounds))


def _rounds(
    first: Predictor, second: Predictor, control: Predictor, inputs: Sequence[Any], size: int = 1
) -> list[Round]:
    """Single inputs, as a service sees them, or `size` at a time; each round times all three in turn.

    Where the control is off by more than the gate's noise bound, all is tried again, on a machine that may have
    calmed down.
    """
    for predictor in (first, second, control):
        _seconds(predictor, inputs[:FEWEST])
    fit = int(ROUND_SECONDS / max(_seconds(second, inputs[:FEWEST]), 1e-9) * FEWEST)
    inputs = inputs[: max(FEWEST, size, fit)]
    rounds: list[Round] = []
    for _ in range(ATTEMPTS):
        rounds = [
            (_seconds(first, inputs, size), _seconds(second, inputs, size), _seconds(control, inputs, size))
            for _ in range(ROUNDS)
        ]
        if abs(_control(rounds) - 1) <= NOISE:
            break
    return rounds


def _control(rounds: Sequence[Round]) -> float:
    return statistics.median(same / old for _, old, same in rounds)


def _seconds(predictor: Predictor, inputs: Sequence[Any], size: int = 1) -> float:
    start = time.perf_counter()
    for at in range(0, len(inputs), size):
        predictor.outputs(inputs[at : at + size])
    return time.perf_counter() - start
