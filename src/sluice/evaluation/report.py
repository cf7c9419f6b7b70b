"""An evaluation's record as a table, for the terminal and for MLflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sluice.gate import NOISE

FEW = 3
"""Slices and failed cases that are worth a look in a terminal."""


def rows(record: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and lines: the model and each baseline with bounds, then the model's margin over each."""
    metrics = list(record["intervals"])
    lines = [["this model", *(_bounds(record["intervals"][metric]) for metric in metrics)]]
    for name, figures in record["baselines"].items():
        lines.append([name, *(_bounds(figures[metric]) for metric in metrics)])
    for name, figures in record["baselines"].items():
        lines.append([f"margin over {name}", *(_bounds(figures[f"model - {m}"], "+") for m in metrics)])
    return [f"test ({record['rows']:,} rows)", *metrics], lines


def table(record: dict[str, Any]) -> str:
    """Aligned columns for a terminal, and below them the rest in a line each."""
    header, lines = rows(record)
    beside = {*header, *(record["silence"] or {}).get("without", {})}
    rest = "  ".join(f"{name} {value:.3f}" for name, value in record["metrics"].items() if name not in beside)
    parts = [*aligned([header, *lines]), rest, *_silence(record), *aligned(_slices(record)), *_behaviour(record)]
    return "\n".join(parts)


def markdown(record: dict[str, Any]) -> str:
    """The same in markdown, with every behavioural case."""
    header, lines = rows(record)
    parts = [marked([header, *lines])]
    if record["silence"]:
        parts.append("\n\n".join(_silence(record)))
    parts.append(marked(_slices(record)))
    if record["behaviour"]["cases"]:
        cases = [[one["kind"], one["case"], f"{one['held']} of {one['of']}"] for one in record["behaviour"]["cases"]]
        parts.append(marked([["behaviour", "case", "held"], *cases]))
    return "\n\n".join(part for part in parts if part)


def margins(other: str, found: dict[str, dict[str, float]]) -> str:
    """One line: what the model is above another by metric."""
    return "  ".join([f"margin over {other}:", *(f"{metric} {_bounds(one, '+')}" for metric, one in found.items())])


def table_of_folds(record: dict[str, Any]) -> str:
    """The figures of a cross-validation for a terminal."""
    return "\n".join(aligned(_folds(record)))


def markdown_of_folds(record: dict[str, Any]) -> str:
    """The same as a markdown table."""
    return marked(_folds(record))


def _folds(record: dict[str, Any]) -> list[list[str]]:
    """A line a fold, then mean and standard deviation of the figures and of the margins over the baselines."""
    metrics, figures = record["headline"], record["metrics"]
    count = len(figures[metrics[0]]["folds"])
    lines = [[f"cross-validation ({count} folds)", *metrics]]
    lines += [[f"fold {fold + 1}", *(f"{figures[m]['folds'][fold]:.3f}" for m in metrics)] for fold in range(count)]
    lines.append(["mean ± std", *(f"{figures[m]['mean']:.3f} ± {figures[m]['std']:.3f}" for m in metrics)])
    for name, margin in record["margins"].items():
        cells = [f"{margin[m]['mean']:+.3f} ± {margin[m]['std']:.3f}" for m in metrics]
        lines.append([f"margin over {name}", *cells])
    return lines


def table_of_forms(record: dict[str, Any]) -> str:
    """What was measured of the faster forms for a terminal."""
    return "\n".join([*aligned(_forms(record)), *_refusals(record)])


def markdown_of_forms(record: dict[str, Any]) -> str:
    """The same in markdown; nothing where no form was made."""
    return "\n\n".join(part for part in [marked(_forms(record)), *_refusals(record)] if part)


def _forms(record: dict[str, Any]) -> list[list[str]]:
    """A line a form, with a header."""
    lines = []
    for name, form in record["forms"].items():
        apart, speed = form["difference"], form["speed"]
        lines.append(
            [
                name,
                f"{form['size'] / 1e6:.1f}",
                f"{form['agreement']:.4f}",
                f"{apart['value']:+.4f} [{apart['low']:+.4f}, {apart['high']:+.4f}]",
                f"{speed['value']:.2f} [{speed['low']:.2f}, {speed['high']:.2f}]",
                "no" if name in record["refused"] else "yes",
            ]
        )
    if not lines:
        return []
    first = next(iter(record["forms"].values()))
    title = f"faster form ({first['rows']:,} validation rows)"
    return [[title, "MB", "agreement", f"{first['metric']} - the model's", "times as fast", "kept"], *lines]


def _refusals(record: dict[str, Any]) -> list[str]:
    told = [f"{name} is not kept: {why}" for name, why in record["refused"].items()]
    noise = max((abs(form["control"] - 1) for form in record["forms"].values()), default=0.0)
    if noise > NOISE:
        told.append(f"times are rough: two copies of the model came out {noise:.0%} apart")
    return told


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells in columns of equal width."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))] if lines else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def marked(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a markdown table; the first is its header."""
    if not lines:
        return ""
    header, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rest])


def _silence(record: dict[str, Any]) -> list[str]:
    silence = record["silence"]
    if not silence:
        return []
    always = {"in_scope_accuracy", "out_of_scope_recall"}  # without a threshold, coverage says nothing new
    lines = [_named("no threshold", {name: one for name, one in silence["without"].items() if name in always})]
    if silence["rule"] and silence["threshold"] is None:
        lines.append(f"threshold: none keeps {silence['rule']} on the validation rows, so that none is set")
    elif silence["rule"]:
        told = f"threshold {silence['threshold']:.4f} ({silence['rule']} on validation)"
        lines.append(_named(told, silence["at_threshold"]))
    return [line for line in lines if line]


def _named(title: str, figures: dict[str, dict[str, float]]) -> str:
    return "  ".join([f"{title}:", *(f"{name} {_bounds(one)}" for name, one in figures.items())]) if figures else ""


def _slices(record: dict[str, Any]) -> list[list[str]]:
    """The weakest slices that are worse than all rows by more than chance explains, with a header."""
    judged = record["slices"]
    if not judged:
        return []
    weak = [one for one in judged if one["weak"]]
    title = f"{len(weak)} of {len(judged)} slices worse than all rows, beyond the bound"
    shown = [[f"{one['column']}={one['value']}", _bounds(one["figure"]), f"{one['rows']:,}"] for one in weak[:FEW]]
    return [[title, record["primary"], "rows"], *shown] if shown else [[title]]


def _behaviour(record: dict[str, Any]) -> list[str]:
    cases = record["behaviour"]["cases"]
    if not cases:
        return []
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in cases:
        counts[one["kind"]][0] += one["held"]
        counts[one["kind"]][1] += one["of"]
    failed = sorted((one for one in cases if one["held"] < one["of"]), key=lambda one: one["held"] / one["of"])
    told = [f"'{one['case']}' {one['held']} of {one['of']}" for one in failed[:FEW]]
    lines = ["behaviour: " + "  ".join(f"{kind} {held} of {of}" for kind, (held, of) in counts.items())]
    return lines + ([f"  weakest: {', '.join(told)}; see behaviour.csv"] if told else [])


def _bounds(figures: dict[str, float], sign: str = "") -> str:
    bounds = f"{figures['mean']:{sign}.3f} [{figures['low']:{sign}.3f}, {figures['high']:{sign}.3f}]"
    return f"{bounds} p {figures['p']:.3f}" if "p" in figures else bounds
