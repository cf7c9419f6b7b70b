"""What smaller and faster variants of a model cost in quality: a table, and a plot of which are beaten by none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sluice.evaluation.plots import BLUE, GREY, canvas
from sluice.evaluation.report import aligned, marked
from sluice.gate import NOISE

BASE = "the version's weights"
PLOT = "tradeoff.png"


def unbeaten(record: dict[str, Any]) -> list[str]:
    """The variants that no other beats in quality, speed and size at once, the version's own weights among them."""
    points = {name: (one["difference"]["value"], one["speed"]["value"], -one["size"]) for name, one in _all(record)}
    return [
        name
        for name, mine in points.items()
        if not any(
            theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True)) for theirs in points.values()
        )
    ]


def table(record: dict[str, Any]) -> str:
    """Aligned columns for a terminal."""
    return "\n".join([*aligned(_lines(record)), *_noise(record)])


def markdown(record: dict[str, Any]) -> str:
    """The same in markdown."""
    return "\n\n".join([marked(_lines(record)), *_noise(record)])


def sentence(record: dict[str, Any], name: str) -> str:
    """What a variant is beside its version, in one line for the model card."""
    one = record["variants"][name]
    faster, smaller = one["speed"]["value"], record["size"] / one["size"]
    return (
        f"A {name.split()[0]} of {record['version']}: {faster:.1f}x faster, {smaller:.1f}x smaller, "
        f"{one['metric']} {_apart(one['difference'])} on {one['rows']:,} validation rows ({name.split()[1]})."
    )


def plot(record: dict[str, Any], folder: Path) -> Path:
    """Quality against speed, the area of each point its size; those that none beats are joined. Returns the PNG."""
    figure, axes = canvas(7.5, 4.5)
    best = unbeaten(record)
    metric = next(iter(record["variants"].values()))["metric"]
    for name, one in _all(record):
        color = BLUE if name in best else GREY
        apart, fast = one["difference"], one["speed"]["value"]
        bounds = [[apart["value"] - apart["low"]], [apart["high"] - apart["value"]]]
        axes.errorbar(fast, apart["value"], yerr=bounds, color=color, linewidth=1, alpha=0.6)
        axes.scatter(fast, apart["value"], s=40 + 400 * one["size"] / record["size"], color=color, alpha=0.45)
        axes.annotate(f"{name}\n{one['size'] / 1e6:.1f} MB", (fast, apart["value"]), xytext=(8, 6),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    front = sorted((one["speed"]["value"], one["difference"]["value"]) for name, one in _all(record) if name in best)
    axes.plot(*zip(*front, strict=True), color=BLUE, linewidth=1, linestyle=":")
    axes.set_xlabel(f"times as fast as {record['version']} in PyTorch, one thread")
    axes.set_ylabel(f"{metric} - {record['version']}'s")
    axes.set_title("Variants: up is better, right is faster, area is size; blue: beaten by none")
    axes.margins(x=0.15, y=0.2)
    axes.grid(alpha=0.25)
    path = folder / PLOT
    figure.savefig(path, dpi=110)
    return path


def _all(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    none = {"value": 0.0, "low": 0.0, "high": 0.0}
    base = {"difference": none, "speed": {"value": 1.0}, "size": record["size"]}
    return [(BASE, base), *record["variants"].items()]


def _lines(record: dict[str, Any]) -> list[list[str]]:
    best, first = unbeaten(record), next(iter(record["variants"].values()))
    head = [f"variant ({first['rows']:,} validation rows)", "MB", "agreement"]
    head += [f"{first['metric']} - {record['version']}'s", "times as fast", "beaten by none"]
    lines = [head]
    for name, one in record["variants"].items():
        fast = one["speed"]
        lines.append(
            [
                name,
                f"{one['size'] / 1e6:.1f}",
                f"{one['agreement']:.4f}",
                _apart(one["difference"]),
                f"{fast['value']:.2f} [{fast['low']:.2f}, {fast['high']:.2f}]",
                "yes" if name in best else "no",
            ]
        )
    return lines


def _apart(found: dict[str, float]) -> str:
    return f"{found['value']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def _noise(record: dict[str, Any]) -> list[str]:
    noise = max(abs(one["control"] - 1) for one in record["variants"].values())
    return [f"times are rough: two copies of the version came out {noise:.0%} apart"] if noise > NOISE else []
