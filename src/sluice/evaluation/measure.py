"""One model on its test rows: figures, intervals, baselines beside them, slices, behaviour, what it got wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sluice.evaluation import behaviour, slices
from sluice.evaluation.abstention import settle
from sluice.evaluation.plots import PLOTS, forest
from sluice.evaluation.samples import write_samples
from sluice.evaluation.scored import Scored
from sluice.evaluation.settings import Evaluate
from sluice.evaluation.testset import TestSet
from sluice.files import write_json
from sluice.inference.predictor import Predictor
from sluice.metrics.significance import Resampler, Tally, plain
from sluice.tasks.task import Baselines, Columns


def measure(
    predictor: Predictor,
    test: TestSet,
    validation: Columns | None,
    settings: Evaluate,
    *,
    seed: int,
    folder: Path,
    keep_texts: bool,
) -> dict[str, Any]:
    """Score the test rows and write tables and plots into `folder`. Returns the record of the evaluation.

    A threshold is chosen on the `validation` rows, which are read for nothing else.
    """
    scored = Scored.of(predictor, test.rows)
    resampler = Resampler(len(scored.references), settings.sampling(seed))
    ready = Scored.of(predictor, validation) if validation else None
    abstention, silence = settle(settings.abstain, settings.out_of_scope, ready, scored, resampler)
    tried = behaviour.try_cases(predictor, test.cases)
    own = resampler.intervals(scored.tally)
    metric = scored.task.primary_metric
    parts = slices.slices_of(scored.task, test.rows, settings)
    judged = slices.judge(scored.tally, metric, parts, resampler)
    record = {
        "rows": len(scored.references),
        "primary": metric,
        "metrics": scored.metrics(abstention),
        "intervals": plain(own),
        "baselines": compare(scored, test.baselines, resampler),
        "labels": scored.task.breakdown(scored.predictions, scored.references, scored.labels),
        "slices": slices.record(judged),
        "behaviour": {"shares": behaviour.shares(tried), "cases": behaviour.record(tried)},
        "silence": silence,
        "abstention": abstention.model_dump() if abstention else None,
    }
    write_json(folder / "evaluation.json", record)
    for plot in scored.task.plots:
        PLOTS[plot](scored, folder / f"{plot}.png")
    if judged:
        slices.write_csv(folder / "slices.csv", judged, metric)
        forest(judged, own[metric], metric, folder / "slices.png")
    if tried:
        behaviour.write_csv(folder / "behaviour.csv", tried, keep_texts)
    write_samples(folder, scored, test.rows, settings.errors, keep_texts, seed)
    return record


def compare(scored: Scored, baselines: Baselines, resampler: Resampler) -> dict[str, dict[str, dict[str, float]]]:
    """By baseline: its own figures, and `model - <metric>`, the model minus it on the same rows."""
    found = {}
    for name, guesses in {**baselines.trivial, **baselines.strong}.items():
        theirs = scored.beside(guesses)
        margins = margin(scored.tally, theirs, resampler)
        found[name] = {
            **plain(resampler.intervals(theirs)),
            **{f"model - {metric}": value for metric, value in margins.items()},
        }
    return found


def margin(ours: Tally, theirs: Tally, resampler: Resampler) -> dict[str, dict[str, float]]:
    """Ours minus theirs by metric, with bounds and the p of a permutation test."""
    bounds, chances = plain(resampler.differences(ours, theirs)), resampler.p_values(ours, theirs)
    return {metric: {**bounds[metric], "p": chances[metric]} for metric in bounds}
