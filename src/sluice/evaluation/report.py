"""An evaluation's record as a table, for the terminal and for MLflow."""

from __future__ import annotations

from typing import Any


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
    """Aligned columns for a terminal."""
    header, lines = rows(record)
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
    texts = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [header, *lines]
    ]
    rest = "  ".join(f"{name} {value:.3f}" for name, value in record["metrics"].items() if name not in header)
    return "\n".join([*texts, *([rest] if rest else [])])


def markdown(record: dict[str, Any]) -> str:
    """The same as a markdown table."""
    header, lines = rows(record)
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *lines])


def _bounds(figures: dict[str, float], sign: str = "") -> str:
    return f"{figures['mean']:{sign}.3f} [{figures['low']:{sign}.3f}, {figures['high']:{sign}.3f}]"
