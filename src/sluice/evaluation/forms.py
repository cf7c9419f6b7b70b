"""Faster forms of a model held against its own weights: do they answer alike, what does it cost, what does it bring?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from sluice.data.prepare import load
from sluice.evaluation.latency import speed
from sluice.evaluation.settings import Evaluate
from sluice.inference.bundle import Estimate, Form
from sluice.inference.engine import Engine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.metrics.direction import sign
from sluice.metrics.significance import Resampler, Tally
from sluice.tasks.task import Columns, Outputs


@dataclass(frozen=True)
class Heard:
    """What a model said of rows."""

    outputs: Outputs
    """Those of every input that was asked for."""
    tally: Tally
    """Of its answers to the rows."""


class Yardstick:
    """A bundle's own weights, run by PyTorch in float32, on rows that have the task's columns."""

    def __init__(self, bundle: Path, rows: Columns, settings: Evaluate, seed: int) -> None:
        self._bundle, self._rows, self._settings = bundle, rows, settings
        self._plain, self._control = Predictor(bundle, TorchEngine()), Predictor(bundle, TorchEngine())
        self._task = self._plain.task
        self._references = self._task.references(rows)
        self._resampler = Resampler(len(self._references), settings.sampling(seed))
        self._own = self._hear(self._plain)

    def measure(self, file: str, engine: Engine, bundle: Path | None = None) -> Form:
        """Hold the form in a bundle's `file`, which `engine` runs, against the weights; none is their own bundle."""
        bundle = bundle or self._bundle
        task, predictor = self._task, Predictor(bundle, engine)
        heard, metric = self._hear(predictor), task.primary_metric
        found = self._resampler.differences(heard.tally, self._own.tally)[metric]
        mean, low, high = found.mean, found.low, found.high
        if sign(metric) < 0:
            mean, low, high = -mean, -high, -low
        with _one_thread():
            alone = Predictor(bundle, engine.model_copy(update={"threads": 1}))
            inputs = task.inputs(self._rows)[: self._settings.latency_texts]
            timed = speed(alone, self._plain, self._control, inputs)
        return Form(
            file=file,
            size=(bundle / file).stat().st_size,
            rows=len(self._references),
            agreement=task.agreement(heard.outputs, self._own.outputs, predictor.bundle.labels),
            metric=metric,
            difference=Estimate(value=mean, low=low, high=high),
            speed=Estimate(value=timed.median, low=timed.low, high=timed.high),
            control=timed.control,
        )

    def _hear(self, predictor: Predictor) -> Heard:
        outputs: list[Any] = []

        def ask(inputs: Sequence[Any], options: BaseModel) -> list[Any]:
            found = predictor.outputs(inputs, options)
            outputs.extend(found)
            return found

        task, labels = self._task, predictor.bundle.labels
        answers = task.predictions(task.observe(ask, self._rows), labels)
        return Heard(outputs, task.tally(answers, self._references, labels))


def sample(prepared: Path, count: int, seed: int) -> Columns:
    """At most `count` of the prepared validation rows, drawn by the seed."""
    rows = load(prepared)["validation"]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    found: Columns = rows.select(np.sort(drawn)).to_dict()
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """PyTorch with one thread, as it runs beside other workers of a service; its threads are those of the process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
