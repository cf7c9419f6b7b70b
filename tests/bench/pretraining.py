"""What pretraining brings: accuracy and macro F1 on the test rows, over the number of labels and over time.

    make bench-pretrain                                       # everything: hours; goes on after a kill
    make bench-pretrain ARGS="--seeds 0 --reading 0 2400"     # a part of it
    make bench-pretrain ARGS="--plot-only"                    # the picture and the table of what has been measured

Each measured point is a line in docs/figures/pretraining.jsonl, and a point that stands there is not measured again.
Trailing arguments are overrides of the configuration, such as `model=base`.

The recipe. Every fine-tuning validates three times and keeps the best checkpoint; validation and test rows are all rows
of their sides, whatever the number of labels to learn from, which is more than somebody with 100 labels would have,
with and without pretraining alike. With few labels it takes 15 passes over them, but 200 steps at least and the
default recipe's steps at most, and is made at both learning rates: the default one, tuned for a model from scratch,
and a third of it, which a pretrained model may want. The better one on validation rows counts, again for both alike.
Every seed pretrains a model of its own. Against time stand models from scratch that are fine-tuned for longer, beside
pretraining and fine-tuning together, both at the fastest rate that the machine had for such steps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import told, whole

PASSES, FEWEST_STEPS, FULL_STEPS, BATCH = 15, 200, 2100, 32
LONGER = (1.5, 2.5)
"""How much longer a model from scratch is fine-tuned on all labels, for the curves over time."""
RATES = (7e-4, 2.3e-4)
SIMPLE = "tfidf_logistic"
"""The baseline that stands beside, fitted on the same labels."""
RESULTS = Path("docs/figures/pretraining.jsonl")
IMAGE = Path("docs/images/pretraining.png")
RED = "#c0392b"
COLORS = ("#777777", "#9ecae1", "#4292c6", "#08519c", "#08306b")


@dataclass(frozen=True)
class Point:
    """One fine-tuning to measure."""

    seed: int
    reading: int
    """Optimizer steps of pretraining; 0 for none."""
    labels: int | None
    """Training rows; None for all of them."""
    steps: int
    learning_rate: float


def plan(seeds: Iterable[int], reading: Iterable[int], labels: Iterable[int | None]) -> Iterator[Point]:
    """All points, a whole curve a seed, the quick ones first."""
    reading, labels = sorted(reading), sorted(labels, key=lambda count: count or 1 << 60)
    for seed in seeds:
        for count in labels:
            for length in reading:
                for rate in RATES if count else RATES[:1]:
                    yield Point(seed, length, count, steps_for(count), rate)
        if None in labels:
            for factor in LONGER:
                yield Point(seed, 0, None, round(FULL_STEPS * factor), RATES[0])


def steps_for(labels: int | None) -> int:
    """Optimizer steps of a fine-tuning."""
    return FULL_STEPS if labels is None else min(FULL_STEPS, max(FEWEST_STEPS, PASSES * labels // BATCH))


def measured(point: Point, root: Path, overrides: list[str]) -> dict[str, Any]:
    """Run the stages for a point; what they share with other points is found done."""
    from pipelines import evaluate, finetune, preprocess, pretrain
    from pipelines.shared.session import Session
    from tests.conftest import compose_config

    chosen = ["pretrain=none"]
    if point.reading:
        chosen = ["pretrain=mlm", f"pretrain.max_steps={point.reading}", f"pretrain.seed={point.seed}"]
    if point.labels is not None:
        chosen.append(f"data.train_rows={point.labels}")
    recipe = [f"train.max_steps={point.steps}", f"train.learning_rate={point.learning_rate}", "train.evaluations=3"]
    names = [f"root={root}", "name=pretraining", f"seed={point.seed}"]
    with Session(compose_config(*chosen, *recipe, *names, *overrides)) as session:
        prepared = preprocess.run(session)
        pretrained = pretrain.run(session, prepared)
        start = time.perf_counter()
        fitted = finetune.run(session, prepared)
        if not fitted.fresh:  # finished by a run that was killed before it wrote its line: how long it took is lost
            session.workspace.forget(fitted)
            start = time.perf_counter()
            fitted = finetune.run(session, prepared)
        seconds = time.perf_counter() - start
        evaluated = evaluate.run(session, prepared, fitted).record
    test, simple = evaluated["metrics"], evaluated["baselines"][SIMPLE]
    reading = pretrained.record if pretrained else None
    return {
        "rows": prepared.record["rows"]["train"],
        "validation": fitted.record["best_validation"],
        "accuracy": test["accuracy"],
        "macro_f1": test["macro_f1"],
        SIMPLE: {metric: simple[metric]["mean"] for metric in ("accuracy", "macro_f1")},
        "finetune_s": seconds,
        "pretrain_s": reading["tokens_seen"] / reading["tokens_per_s"] if reading else 0.0,
        "held_out_loss": reading["held_out"]["loss"] if reading else None,
    }


def run(points: list[Point], root: Path, file: Path, overrides: list[str]) -> None:
    """Measure the points that have no line in `file` yet, and write one for each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    done = [line["point"] for line in lines(file, overrides)]
    waiting = [point for point in points if asdict(point) not in done]
    if waiting:  # libraries that the first point would otherwise pay for
        import datasets  # noqa: F401
        import transformers  # noqa: F401
    for number, point in enumerate(waiting, 1):
        print(f"--- {number} of {len(waiting)}: {point}", flush=True)
        found = measured(point, root, overrides)
        line = {"point": asdict(point), "overrides": overrides, **found}
        with file.open("a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")
        print(json.dumps(found), flush=True)


def lines(file: Path, overrides: list[str]) -> list[dict[str, Any]]:
    """What has been measured with these overrides; a line that a kill cut off counts for nothing."""
    found = []
    for text in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in found if line["overrides"] == overrides]


def best(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each point's learning rates the one that is better on validation rows."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in results:
        point = line["point"]
        groups[point["seed"], point["reading"], point["labels"], point["steps"]].append(line)
    return [max(group, key=lambda line: line["validation"]) for group in groups.values()]


def curves(results: list[dict[str, Any]]) -> dict[int, dict[int | None, list[dict[str, Any]]]]:
    """Pretraining steps -> labels -> one line a seed, of the fine-tunings with the usual number of steps."""
    found: dict[int, dict[int | None, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for line in results:
        point = line["point"]
        if point["steps"] == steps_for(point["labels"]):
            found[point["reading"]][point["labels"]].append(line)
    return dict(sorted(found.items()))


def table(results: list[dict[str, Any]]) -> str:
    """Mean over the seeds, and the span from the worst to the best of them."""
    found = curves(results)
    labels = sorted({count for row in found.values() for count in row}, key=lambda count: count or 1 << 60)
    heads = [f"{count:,} labels" if count else "all labels" for count in labels]
    text = [f"| pretraining | {' | '.join(heads)} |", "| --- |" + " --- |" * len(labels)]
    for reading, row in found.items():
        cells = [f"{_cell(row[count], 'accuracy')}, {_cell(row[count], 'macro_f1')}" for count in labels]
        text.append(f"| {_reading(reading)} | {' | '.join(cells)} |")
    beside = simple(results)
    cells = [f"{_cell(beside[count], 'accuracy')}, {_cell(beside[count], 'macro_f1')}" for count in labels]
    text.append(f"| {SIMPLE} | {' | '.join(cells)} |")
    text += ["", "over time, all labels", "", "| pretraining | fine-tuning | minutes | accuracy | macro F1 |"]
    text.append("| --- " * 5 + "|")
    for (reading, steps), group in over_time(results).items():
        figures = f"{_cell(group, 'accuracy')} | {_cell(group, 'macro_f1')}"
        minutes = _minutes(results, reading, steps)
        text.append(f"| {reading:,} steps | {steps:,} steps | {minutes:.1f} | {figures} |")
    return "\n".join(["accuracy, macro F1: of several seeds the mean [worst, best]", "", *text])


def simple(results: list[dict[str, Any]]) -> dict[int | None, list[dict[str, Any]]]:
    """Labels -> the baseline's figures on them; the seed does not change them."""
    found = {line["point"]["labels"]: [line[SIMPLE]] for line in results}
    rows = {line["point"]["labels"]: line["rows"] for line in results}
    return {count: [{**group[0], "rows": rows[count]}] for count, group in found.items()}


def over_time(results: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """(pretraining steps, fine-tuning steps) -> one line a seed, of the fine-tunings on all labels."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for line in results:
        if line["point"]["labels"] is None:
            found[line["point"]["reading"], line["point"]["steps"]].append(line)
    return dict(sorted(found.items()))


def _reading(steps: int) -> str:
    return f"{steps:,} steps" if steps else "none"


def _cell(group: list[dict[str, Any]], metric: str) -> str:
    values = [line[metric] for line in group]
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{sum(values) / len(values):.3f} [{min(values):.3f}, {max(values):.3f}]" if values else "-"


def plot(results: list[dict[str, Any]], image: Path) -> None:
    """Two panels: over labels, by minutes of pretraining; over total time, with and without pretraining."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    found = curves(results)
    for color, (reading, row) in zip(COLORS, found.items(), strict=False):
        groups = sorted(((group[0]["rows"], group) for group in row.values()), key=lambda item: item[0])
        _line(left, groups, color, f"pretraining: {_reading(reading)}")
    beside = sorted(((group[0]["rows"], group) for group in simple(results).values()), key=lambda item: item[0])
    _line(left, beside, RED, "TF-IDF + logistic regression")
    left.set_xscale("log")
    left.set_xlabel("labelled training rows")
    left.set_title("Test metric over labels")
    timed = [(_minutes(results, *key), key[0], group) for key, group in over_time(results).items()]
    for color, name, own in (
        (COLORS[0], "fine-tuning only", [(minutes, group) for minutes, reading, group in timed if not reading]),
        (COLORS[3], "pretraining first", [(minutes, group) for minutes, reading, group in timed if reading]),
    ):
        _line(right, sorted(own, key=lambda item: item[0]), color, name)
    right.set_xlabel("pretraining + fine-tuning, minutes (all labels)")
    right.set_title("Test metric over total time")
    for axes in (left, right):
        axes.set_ylabel("accuracy (solid), macro F1 (dashed)")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    image.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(image, dpi=110)


def _line(axes: Any, groups: list[tuple[float, list[dict[str, Any]]]], color: str, name: str) -> None:
    for metric, style in (("accuracy", "-"), ("macro_f1", "--")):
        places = [place for place, _ in groups]
        values = [[line[metric] for line in group] for _, group in groups]
        label = name if style == "-" else None
        axes.plot(places, [sum(some) / len(some) for some in values], style, color=color, marker="o", label=label)
        axes.fill_between(
            places, [min(some) for some in values], [max(some) for some in values], color=color, alpha=0.15
        )


def _minutes(results: list[dict[str, Any]], reading: int, steps: int) -> float:
    """Both trainings at the fastest rate that the results have for each, whatever else the machine did at times."""
    points = [(line, line["point"]) for line in results]
    read = [line["pretrain_s"] / point["reading"] for line, point in points if point["reading"]]
    learn = [line["finetune_s"] / point["steps"] for line, point in points if point["labels"] is None]
    return (reading * min(read, default=0.0) + steps * min(learn)) / 60


def _labels(text: str) -> int | None:
    return None if text == "all" else whole(text)


def main() -> None:
    """Read the command line, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("mlruns/bench"), help="folder of everything generated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--reading", type=int, nargs="+", default=[0, 800, 2400, 8000], help="steps of pretraining")
    parser.add_argument(
        "--labels", type=_labels, nargs="+", default=[100, 500, 2000, None], help="training rows, or all"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="a line a point")
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument("--plot-only", action="store_true")
    parser.add_argument("overrides", nargs="*", help="of the configuration")
    given = parser.parse_intermixed_args()
    if not given.plot_only:
        run([*plan(given.seeds, given.reading, given.labels)], given.root, given.results, given.overrides)
    results = best(lines(given.results, given.overrides))
    if not results:
        parser.error(f"{given.results} has no points with these overrides yet: measure some without --plot-only")
    plot(results, given.image)
    print(f"\n{table(results)}\n\n{given.image}")


if __name__ == "__main__":
    told(main)
