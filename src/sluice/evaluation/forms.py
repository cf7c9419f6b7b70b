"""Faster forms of a model held against its own weights: do they answer alike, what does it cost, what does it bring?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from sluice.data.prepare import load
from sluice.errors import UserError
from sluice.evaluation.latency import FEWEST, TOGETHER, speed
from sluice.evaluation.settings import Evaluate
from sluice.evaluation.slices import Rows, slices_of
from sluice.inference.bundle import Estimate, Form, Worst, weights_size
from sluice.inference.engine import Engine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.footprint import peak
from sluice.inference.predictor import Predictor
from sluice.inference.processor import Processor, processor
from sluice.metrics.direction import sign
from sluice.metrics.significance import Interval, Resampler, Tally
from sluice.tasks.task import Columns, Outputs

WEIGHTS = "model.safetensors"
CALIBRATION = "ece"
"""The metric that says how far probabilities are from how often answers are right."""


@dataclass(frozen=True)
class Heard:
    """What a model said of rows."""

    outputs: Outputs
    """Those of every input that was asked for."""
    tally: Tally | None = None
    """Of its answers to the rows; None where some are no numbers."""
    calibration: float | None = None
    """Expected calibration error; None where answers have no probabilities."""
    broken: int = 0
    """Outputs that are no finite numbers."""


class Yardstick:
    """A bundle's own weights, run by PyTorch in float32, on rows that have the task's columns."""

    def __init__(self, bundle: Path, rows: Columns, settings: Evaluate, seed: int) -> None:
        self._bundle, self._rows, self._settings = bundle, rows, settings
        self._plain, self._control = Predictor(bundle, TorchEngine()), Predictor(bundle, TorchEngine())
        self._task = self._plain.task
        self._references = self._task.references(rows)
        self._resampler = Resampler(len(self._references), settings.sampling(seed))
        self._slices = slices_of(self._task, rows, settings)
        self._own = self._hear(self._plain)
        if self._own.tally is None:
            raise UserError(f"{bundle}: {self._own.broken:,} outputs of its own weights are no finite numbers")
        self._tally = self._own.tally

    def measure(self, file: str | None, engine: Engine, bundle: Path | None = None, memory: bool = False) -> Form:
        """Hold the form in a bundle's `file`, which `engine` runs, against the weights.

        Without a file it is the weights of that bundle; without a bundle, that of the weights it is held against.
        With `memory`, it is loaded once more in a process of its own, to see what that takes.
        """
        bundle = bundle or self._bundle
        task, predictor = self._task, Predictor(bundle, engine)
        heard, alone = self._hear(predictor), engine.model_copy(update={"threads": 1})
        if heard.tally is None:
            return self._broken(bundle, file, heard)
        inputs = task.inputs(self._rows)
        # Texts that are written take long, and servers write them side by side and not in batches.
        singly, many = inputs[: FEWEST if task.writes else self._settings.latency_texts], inputs[:TOGETHER]
        with _one_thread():
            compared = Predictor(bundle, alone), self._plain, self._control
            timed = speed(*compared, singly)
            together = timed if task.writes else speed(*compared, many, len(many))
        return Form(
            file=file or WEIGHTS,
            size=_size(bundle, file),
            rows=len(self._references),
            agreement=task.agreement(heard.outputs, self._own.outputs, predictor.bundle.labels),
            metric=task.primary_metric,
            difference=self._difference(heard.tally),
            speed=Estimate(value=timed.median, low=timed.low, high=timed.high),
            control=max(timed.control, together.control, key=lambda one: abs(one - 1)),
            together=None if task.writes else Estimate(value=together.median, low=together.low, high=together.high),
            calibration=None if heard.calibration is None else heard.calibration - (self._own.calibration or 0),
            worst=self._worst(heard.tally),
            memory=peak(bundle, alone, self._plain.encode(singly)) if memory else None,
            processor=_device(),
        )

    def _broken(self, bundle: Path, file: str | None, heard: Heard) -> Form:
        """What can be said of a form whose outputs are no numbers."""
        none = Estimate(value=math.nan, low=math.nan, high=math.nan)
        return Form(
            file=file or WEIGHTS,
            size=_size(bundle, file),
            rows=len(self._references),
            agreement=math.nan,
            metric=self._task.primary_metric,
            difference=none,
            speed=none,
            control=1,
            broken=heard.broken,
            together=none,
            processor=_device(),
        )

    def _difference(self, tally: Tally, rows: Rows | None = None) -> Estimate:
        """From the weights in the primary metric, on all rows or these, positive where the form is better."""
        metric, pair = self._task.primary_metric, [tally, self._tally]
        if rows is not None:
            pair = [one.only(rows) for one in pair]
        found: Interval = self._resampler.differences(*pair)[metric]
        if sign(metric) < 0:
            return Estimate(value=-found.mean, low=-found.high, high=-found.low)
        return Estimate(value=found.mean, low=found.low, high=found.high)

    def _worst(self, tally: Tally) -> Worst | None:
        each = [Worst(name=one.name, difference=self._difference(tally, one.rows)) for one in self._slices]
        measured = [one for one in each if not math.isnan(one.difference.high)]  # a slice without any entity is not
        return min(measured, key=lambda one: one.difference.high, default=None)

    def _hear(self, predictor: Predictor) -> Heard:
        outputs: list[Any] = []

        def ask(inputs: Sequence[Any], options: BaseModel) -> list[Any]:
            found = predictor.outputs(inputs, options)
            outputs.extend(found)
            return found

        task, labels = self._task, predictor.bundle.labels
        observed = task.observe(ask, self._rows)
        if broken := sum(map(_no_number, outputs)):
            return Heard(outputs, broken=broken)
        answers = task.predictions(observed, labels)
        calibration = task.metrics(observed, labels, self._references).get(CALIBRATION)
        return Heard(outputs, task.tally(answers, self._references, labels), calibration)


def _no_number(output: Any) -> bool:
    return isinstance(output, np.ndarray) and output.dtype.kind == "f" and not np.isfinite(output).all()


def sample(prepared: Path, count: int, seed: int, side: str = "validation") -> Columns:
    """At most `count` of the prepared rows of a side, drawn by the seed."""
    rows = load(prepared)[side]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    found: Columns = rows.select(np.sort(drawn)).to_dict()
    return found


def _size(bundle: Path, file: str | None) -> int:
    """Bytes of a form, with what lies beside a graph; without a file, of the weights."""
    if file is None:
        return weights_size(bundle)
    path = bundle / file
    if path.parent != bundle:
        return sum(one.stat().st_size for one in path.parent.iterdir())
    return sum(one.stat().st_size for one in (path, path.with_suffix(".bin")) if one == path or path.suffix == ".xml")


def _device() -> Processor:
    """What PyTorch computes on here: the processor, and the GPU where there is one."""
    import torch

    found = processor()
    if not torch.cuda.is_available():
        return found
    return found.model_copy(update={"model": f"{found.model} and {torch.cuda.get_device_name()}"})


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
