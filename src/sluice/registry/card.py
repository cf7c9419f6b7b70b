"""The model card: what a version is, where it comes from, what it is worth."""

from __future__ import annotations

from typing import Any

from sluice.inference.bundle import Bundle

CARD = "README.md"
"""The card's file in a bundle."""


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
    labels = f", {len(bundle.labels)} labels" if bundle.labels else ""
    sides = ", ".join(f"{count:,} {side}" for side, count in prepared["rows"].items())
    return f"""# {name}

A {bundle.task} model of {fitted["parameters"] / 1e6:.1f} M parameters{labels}, trained by Sluice.

{results}
{_weakest(evaluated["labels"])}
| from | |
| --- | --- |
| rows | {sides} |
| data digest | `{lineage.data}` |
| split digest | `{lineage.split}` |
| pretraining digest | `{lineage.pretraining or "none"}` |
| variant of the digest | `{lineage.parent or "none"}` |
| configuration digest | `{lineage.config}` |
| code | `{lineage.git}` |
| run | `{lineage.run}` |

Intended for texts like those it was trained on; its figures say nothing about others.
""" + (f"\nLabels: {', '.join(bundle.labels)}.\n" if bundle.labels else "")


def _weakest(labels: dict[str, dict[str, float]]) -> str:
    """The labels or types that the model knows least, where there are any."""
    worst = sorted(labels.items(), key=lambda item: item[1]["f1"])[:3]
    weak = ", ".join(f"{label} (F1 {figures['f1']:.2f}, {figures['support']:.0f} rows)" for label, figures in worst)
    return f"\nWeakest: {weak}.\n" if weak else ""
