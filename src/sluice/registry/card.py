"""The model card: what a version is, where it comes from, what it is worth."""

from __future__ import annotations

from typing import Any

from sluice.inference.bundle import Bundle


def card(
    name: str,
    bundle: Bundle,
    prepared: dict[str, Any],
    fitted: dict[str, Any],
    results: str,
    evaluated: dict[str, Any],
) -> str:
    """Markdown for MLflow's pages and for the bundle's README.md."""
    lineage = bundle.lineage
    worst = sorted(evaluated["labels"].items(), key=lambda item: item[1]["f1"])[:3]
    weak = ", ".join(f"{label} (F1 {figures['f1']:.2f}, {figures['support']:.0f} rows)" for label, figures in worst)
    sides = ", ".join(f"{count:,} {side}" for side, count in prepared["rows"].items())
    return f"""# {name}

A {bundle.task} model of {fitted["parameters"] / 1e6:.1f} M parameters, {len(bundle.labels)} labels, trained by Sluice.

{results}

Weakest labels: {weak}.

| from | |
| --- | --- |
| rows | {sides} |
| data digest | `{lineage.data}` |
| split digest | `{lineage.split}` |
| pretraining digest | `{lineage.pretraining or "none"}` |
| configuration digest | `{lineage.config}` |
| code | `{lineage.git}` |
| run | `{lineage.run}` |

Intended for texts like those it was trained on; its figures say nothing about others.

Labels: {", ".join(bundle.labels)}.
"""
