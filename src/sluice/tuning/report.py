"""A study as a table and as a plot."""

from __future__ import annotations

from pathlib import Path

from sluice.tuning.study import Outcome, Study

SHOWN = 10
"""Trials in the table."""


def table(study: Study, markdown: bool = False) -> str:
    """The best trials first, what became of the others, and how much each setting matters."""
    outcomes = study.outcomes()
    paths = list(study.settings.space)
    header = ["trial", study.objective, *paths, "state"]
    lines = [_line(outcome, paths) for outcome in outcomes[:SHOWN]]
    counts = {state: sum(one.state == state for one in outcomes) for state in ("done", "pruned", "failed")}
    said = [f"{len(outcomes)} trials: " + ", ".join(f"{count} {state}" for state, count in counts.items())]
    if weights := study.importances():
        ranked = sorted(weights.items(), key=lambda one: -one[1])
        said.append("importance: " + ", ".join(f"{path} {weight:.2f}" for path, weight in ranked))
    if markdown:
        rows = ["| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *lines]]
        return "\n".join([*rows, "", "\n\n".join(said)])
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [header, *lines]
    ]
    return "\n".join([*rows, *said])


def _line(outcome: Outcome, paths: list[str]) -> list[str]:
    value = "-" if outcome.value is None else f"{outcome.value:.4f}"
    return [str(outcome.number), value, *(_cell(outcome.params.get(path)) for path in paths), outcome.state]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plot(study: Study, path: Path) -> None:
    """The value of each trial that came to its end, and the best so far, as an image."""
    from matplotlib.figure import Figure

    ended = sorted((one.number, one.value) for one in study.outcomes() if one.state == "done" and one.value is not None)
    numbers, values = [number for number, _ in ended], [value for _, value in ended]
    best = [max(values[: index + 1]) for index in range(len(values))]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(numbers, values, "o", label="trial")
    axes.step(numbers, best, where="post", label="best so far")
    axes.set(xlabel="trial", ylabel=study.objective)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
