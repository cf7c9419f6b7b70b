"""What smaller and faster variants of a model cost in quality: a table, and a plot of which are beaten by none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sluice.evaluation.plots import BLUE, GREY, RED, canvas
from sluice.evaluation.report import aligned, marked
from sluice.gate import NOISE
from sluice.inference.bundle import Form

BASE = "the version itself"
PLOT = "tradeoff.png"


def unbeaten(record: dict[str, Any]) -> list[str]:
    """The variants that no other beats in quality, speed and size at once, the version's own weights among them."""
    holding = [(name, one) for name, one in _all(record) if name not in record["refused"]]
    points = {name: (one["difference"]["value"], one["speed"]["value"], -one["size"]) for name, one in holding}
    return [
        name
        for name, mine in points.items()
        if not any(
            theirs != mine and all(a >= b for a, b in zip(theirs, mine, strict=True)) for theirs in points.values()
        )
    ]


def table(record: dict[str, Any]) -> str:
    """Aligned columns for a terminal."""
    return "\n".join([*aligned(_lines(record, lambda fast: f"{fast['value']:.2f}x")), *_notes(record)])


def markdown(record: dict[str, Any]) -> str:
    """The same in markdown."""
    return "\n\n".join([marked(_lines(record, _times)), *_notes(record)])


def fastest(record: dict[str, Any]) -> str:
    """The fastest that holds, one text at a time: of what would be registered, what the version has, and its weights.

    What a plan has only passed through is not among them.
    """
    speeds = {BASE: 1.0}
    for name in (*record["had"], *record["new"]):
        if name not in record["refused"]:
            speeds[name] = record["variants"][name]["speed"]["value"]
    return max(speeds, key=lambda name: speeds[name])


def nothing_new(record: dict[str, Any]) -> str | None:
    """Why none of the variants is worth to be a version, in one line, or None."""
    best = fastest(record)
    if best in record["new"]:
        return None
    if not record["variants"]:
        return "no variant fits"
    if not set(record["variants"]) - set(record["refused"]):
        return "no variant holds"
    had = f"{best} is" if best == BASE else f"{best}, which {record['version']} has, is"
    return f"{had} the fastest that holds"


def no_better(form: Form, size: int) -> str | None:
    """That smaller weights are beaten everywhere by those of a version, which take `size` bytes, or None."""
    if form.difference.value < 0 and form.speed.value <= 1 and form.size >= size:
        return "beaten by the version's weights in quality, speed and size"
    return None


def sentence(record: dict[str, Any]) -> str:
    """What the fastest variant is beside its version, in one line for the model card."""
    name = fastest(record)
    one = record["variants"][name]
    faster, smaller = one["speed"]["value"], record["size"] / one["size"]
    return (
        f"{name} of {record['version']}: {faster:.1f}x faster, {smaller:.1f}x smaller, {one['metric']} "
        f"{_apart(one['difference'])} (on {one['rows']:,} validation rows, by {one['processor']['model']})."
    )


def plot(record: dict[str, Any], folder: Path) -> Path:
    """Quality against speed, the area of each point its size; those that none beats are joined. Returns the PNG."""
    figure, axes = canvas(7.5, 4.5)
    best = unbeaten(record)
    metric = next(iter(record["variants"].values()))["metric"]
    for at, (name, one) in enumerate(sorted(_all(record), key=lambda pair: float(pair[1]["speed"]["value"]))):
        color = RED if name in record["refused"] else BLUE if name in best else GREY
        apart, fast = one["difference"], one["speed"]["value"]
        # A bootstrap's bounds need not lie on both sides of the figure itself.
        bounds = [[max(0.0, apart["value"] - apart["low"])], [max(0.0, apart["high"] - apart["value"])]]
        axes.errorbar(fast, apart["value"], yerr=bounds, color=color, linewidth=1, alpha=0.6)
        axes.scatter(fast, apart["value"], s=40 + 400 * one["size"] / record["size"], color=color, alpha=0.45)
        axes.annotate(f"{name}\n{one['size'] / 1e6:.1f} MB", (fast, apart["value"]), xytext=(8, (6, -22)[at % 2]),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    front = sorted((one["speed"]["value"], one["difference"]["value"]) for name, one in _all(record) if name in best)
    axes.plot(*zip(*front, strict=True), color=BLUE, linewidth=1, linestyle=":")
    axes.set_xlabel(f"times as fast as {record['version']} in PyTorch, one thread")
    axes.set_ylabel(f"{metric} - {record['version']}'s")
    axes.set_title("up is better, right is faster, area is size\nblue: beaten by none, grey: beaten, red: refused")
    axes.margins(x=0.15, y=0.2)
    axes.grid(alpha=0.25)
    path = folder / PLOT
    figure.savefig(path, dpi=110)
    return path


def _all(record: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    none = {"value": 0.0, "low": 0.0, "high": 0.0}
    base = {"difference": none, "speed": {"value": 1.0}, "size": record["size"]}
    return [(BASE, base), *record["variants"].items()]


def _lines(record: dict[str, Any], times: Callable[[dict[str, float]], str]) -> list[list[str]]:
    best, first = unbeaten(record), next(iter(record["variants"].values()))
    head = [f"variant ({first['rows']:,} validation rows)", "MB", "peak MB", "agreement"]
    head += [
        f"{first['metric']} - {record['version']}'s",
        "worst slice",
        "calibration error",
        "singly",
        "in batches",
        "",
    ]
    lines = [head]
    for name, one in record["variants"].items():
        worst, shift, memory = one["worst"], one["calibration"], one["memory"]
        verdict = "refused" if name in record["refused"] else "beaten by none" if name in best else "beaten"
        lines.append(
            [
                name,
                f"{one['size'] / 1e6:.1f}",
                "" if memory is None else f"{memory / 1e6:.0f}",
                f"{one['agreement']:.4f}",
                _apart(one["difference"]),
                "" if worst is None else f"{worst['difference']['value']:+.3f} {worst['name']}",
                "" if shift is None else f"{shift:+.3f}",
                times(one["speed"]),
                times(one["together"]) if one["together"] else "",
                verdict,
            ]
        )
    return lines


def _times(fast: dict[str, float]) -> str:
    return f"{fast['value']:.2f}x [{fast['low']:.2f}, {fast['high']:.2f}]"


def _apart(found: dict[str, float]) -> str:
    return f"{found['value']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def _notes(record: dict[str, Any]) -> list[str]:
    """What was refused and why, and what the times are worth."""
    where = next(one["processor"] for one in record["variants"].values())
    told = [f"{name} is refused: {why}" for name, why in record["refused"].items()]
    told.append(
        f"times: over {record['version']} in PyTorch, float32, one thread, on {where['model']} "
        f"({', '.join(where['features'])})"
    )
    noise = max(abs(one["control"] - 1) for one in record["variants"].values())
    if noise > NOISE:
        told.append(f"times are rough: two copies of the version came out {noise:.0%} apart")
    return told
