"""The evidence for the gate: challenger, champion and baselines on the challenger's test rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sluice.evaluation import behaviour
from sluice.evaluation.latency import latency_ratios
from sluice.evaluation.measure import margin
from sluice.evaluation.scored import Scored
from sluice.evaluation.settings import Evaluate
from sluice.evaluation.slices import slices_of
from sluice.evaluation.testset import TestSet
from sluice.gate import Against, Bounds, Evidence, Gate
from sluice.inference.bundle import TRAIN_ROWS, weights_size
from sluice.inference.engine import Engine
from sluice.inference.predictor import Predictor
from sluice.metrics.direction import sign
from sluice.metrics.significance import Resampler, Tally
from sluice.tasks.task import Answers, Columns


@dataclass(frozen=True)
class Pair:
    """Two models' answers to the same rows, over the labels of both."""

    ours: Tally
    theirs: Tally

    @classmethod
    def of(cls, challenger: Scored, champion: Predictor, test: Columns) -> Pair:
        """Score the champion on the rows that the challenger was scored on."""
        task, theirs = challenger.task, champion.bundle.labels
        names = sorted({*challenger.labels, *theirs})
        answers = champion.task.predictions(champion.task.observe(champion.outputs, test), theirs)
        return cls(
            task.tally(challenger.predictions, challenger.references, names),
            task.tally(answers, challenger.references, names),
        )


def gather(
    challenger_folder: Path,
    champion_folder: Path | None,
    test: TestSet,
    *,
    engine: Engine,
    settings: Evaluate,
    rules: Gate,
    seed: int,
) -> Evidence:
    """Score both models on the test rows, which carry `row` hashes, and compare them with each other and baselines."""
    predictor = Predictor(challenger_folder, engine)
    scored = Scored.of(predictor, test.rows)
    metric = scored.task.primary_metric
    resampler = Resampler(len(scored.references), settings.sampling(seed))

    def over(guesses: Answers) -> Bounds:
        return gate_bounds(margin(scored.tally, scored.beside(guesses), resampler)[metric], metric)

    against = None
    if champion_folder:
        champion = Predictor(champion_folder, engine)
        pair = Pair.of(scored, champion, test.rows)
        against = _against(predictor, champion, pair, test.rows, engine, settings, rules, resampler)
    return Evidence(
        metric=metric,
        scores=scored.metrics(predictor.bundle.abstention),
        trivial={name: over(guesses) for name, guesses in test.baselines.trivial.items()},
        strong={name: over(guesses) for name, guesses in test.baselines.strong.items()},
        behaviour=behaviour.shares(behaviour.try_cases(predictor, test.cases)) if test.cases.cases else None,
        seen=seen(challenger_folder, test.rows),
        champion=against,
    )


def beside(
    challenger_folder: Path,
    champion_folder: Path,
    rows: Columns,
    *,
    engine: Engine,
    settings: Evaluate,
    seed: int,
) -> dict[str, Any]:
    """Challenger minus champion by metric, with bounds and p, and how many of the rows the champion learnt from."""
    scored = Scored.of(Predictor(challenger_folder, engine), rows)
    pair = Pair.of(scored, Predictor(champion_folder, engine), rows)
    resampler = Resampler(len(scored.references), settings.sampling(seed))
    return {"margins": margin(pair.ours, pair.theirs, resampler), "seen": seen(champion_folder, rows)}


def seen(folder: Path, test: Columns) -> int:
    """Test rows that stand in a bundle's training manifest."""
    manifest = np.load(folder / TRAIN_ROWS, allow_pickle=False)
    rows = np.array([int(row, 16) for row in test["row"]], np.uint64)
    return int(np.isin(rows, manifest).sum())


def _against(
    challenger: Predictor,
    champion: Predictor,
    pair: Pair,
    rows: Columns,
    engine: Engine,
    settings: Evaluate,
    rules: Gate,
    resampler: Resampler,
) -> Against:
    metric = challenger.task.primary_metric
    slices = {
        one.name: resampler.differences(pair.ours.only(one.rows), pair.theirs.only(one.rows))[metric]
        for one in slices_of(challenger.task, rows, settings)
    }
    ratio, control = math.nan, math.nan
    if rules.max_latency_ratio is not None:
        inputs = challenger.task.inputs(rows)[: settings.latency_texts]
        ratio, control = latency_ratios(challenger, champion, Predictor(champion.folder, engine), inputs)
    return Against(
        difference=gate_bounds(margin(pair.ours, pair.theirs, resampler)[metric], metric),
        latency_ratio=ratio,
        latency_control=control,
        size_ratio=weights_size(challenger.folder) / weights_size(champion.folder),
        slices={name: gate_bounds(asdict(bounds), metric) for name, bounds in slices.items()},
        seen=seen(champion.folder, rows),
    )


def gate_bounds(found: dict[str, float], metric: str) -> Bounds:
    """A difference as the gate reads it: more is better."""
    if sign(metric) > 0:
        return Bounds.model_validate(found)
    return Bounds.model_validate({**found, "mean": -found["mean"], "low": -found["high"], "high": -found["low"]})
