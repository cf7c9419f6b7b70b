"""Two models timed in turn on the same inputs, with a control that tells how noisy the machine is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from sluice.gate import NOISE
from sluice.inference.predictor import Predictor

ROUNDS = 15
ATTEMPTS = 3
ROUND_SECONDS, FEWEST = 1.0, 4
"""A model that takes longer for all inputs, as those do that write texts, is timed on fewer of them."""


def latency_ratios(
    challenger: Predictor, champion: Predictor, control: Predictor, inputs: Sequence[Any]
) -> tuple[float, float]:
    """Challenger over champion, and control (a second copy of the champion) over champion.

    Single inputs, as a service sees them; each round times all three in turn; medians of the rounds' ratios. A control
    that is off by more than the gate's noise bound is tried again, on a machine that may have calmed down.
    """
    for predictor in (challenger, champion, control):
        _seconds(predictor, inputs[:FEWEST])
    fit = int(ROUND_SECONDS / max(_seconds(champion, inputs[:FEWEST]), 1e-9) * FEWEST)
    inputs = inputs[: max(FEWEST, fit)]
    ratios = (0.0, 0.0)
    for _ in range(ATTEMPTS):
        ratios = _measure(challenger, champion, control, inputs)
        if abs(ratios[1] - 1) <= NOISE:
            break
    return ratios


def _measure(
    challenger: Predictor, champion: Predictor, control: Predictor, inputs: Sequence[Any]
) -> tuple[float, float]:
    rounds = [[_seconds(one, inputs) for one in (challenger, champion, control)] for _ in range(ROUNDS)]
    return (
        statistics.median(new / old for new, old, _ in rounds),
        statistics.median(same / old for _, old, same in rounds),
    )


def _seconds(predictor: Predictor, inputs: Sequence[Any]) -> float:
    start = time.perf_counter()
    for one in inputs:
        predictor.outputs([one])
    return time.perf_counter() - start
