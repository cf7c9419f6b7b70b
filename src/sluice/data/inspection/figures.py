"""Plots of a data report, as SVG that takes its colours from the page: light, dark and print are one drawing."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sluice.data.split import SIDES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE = "#010101", "#020202", "#030303"
SIDE_INKS = {"train": "#040404", "validation": "#050505", "test": "#060606"}
QUIET = "#070707"
VARIABLES = {INK: "--text", SOFT: "--soft", LINE: "--line", QUIET: "--rest"} | {
    ink: f"--{side}" for side, ink in SIDE_INKS.items()
}
"""Colours that no plot would choose, and the page's own that take their places."""
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
WIDTH = 4.4
"""Inches: drawn for a phone's width, so that letters stay letters there."""
MOST, RAREST = 12, 8
"""Of more labels than both, the commonest and the rarest are shown."""
LANGUAGES, SCRIPTS = 7, 4
NAME = 22


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """SVG by name: labels, lengths, languages, drift; those that have something to show."""
    from matplotlib import rc_context

    plots = {"labels": _labels, "lengths": _lengths, "languages": _languages, "drift": _drift}
    drawn: dict[str, str] = {}
    for name, plot in plots.items():
        with rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # the reader's browser has the letters, not we
            figure = plot(report)
            if figure is not None:
                drawn[name] = _svg(figure)
    return drawn


def _svg(figure: Figure) -> str:
    target = io.StringIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    for ink, variable in VARIABLES.items():
        text = text.replace(ink, f"var({variable})")
    return text


def _sheet(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _dots(axes: Axes, names: Sequence[str], shares: Mapping[str, Sequence[float]]) -> None:
    """One line a name, one dot a side; a thin line joins the sides, so that a difference is a length."""
    rows = range(len(names))
    lowest = [min(values) * 100 for values in zip(*shares.values(), strict=True)]
    highest = [max(values) * 100 for values in zip(*shares.values(), strict=True)]
    axes.hlines(rows, lowest, highest, color=QUIET, linewidth=1.5)
    for side, values in shares.items():
        axes.plot([value * 100 for value in values], rows, "o", color=SIDE_INKS[side], markersize=4.5, alpha=0.9)
    axes.set_yticks(rows, [_short(name) for name in names], color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    right = max(highest, default=1) * 1.04
    axes.set_xlim(-0.02 * right, right)
    axes.set_xlabel("% of the side's rows")
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _labels(report: Mapping[str, Any]) -> Figure | None:
    labels = report["labels"]
    if not labels or not labels["train"]:
        return None
    totals = {side: max(1, report["rows"][side]) for side in SIDES}
    shares = {name: [labels[side].get(name, 0) / totals[side] for side in SIDES] for name in labels["train"]}
    names = sorted(shares, key=lambda name: (-max(shares[name]), name))  # one that only the test has much of stands out
    if len(names) > MOST + RAREST:
        names = names[:MOST] + names[-RAREST:]
    figure, axes = _sheet(0.7 + 0.19 * len(names))
    _dots(axes, names, {side: [shares[name][at] for name in names] for at, side in enumerate(SIDES)})
    return figure


def _lengths(report: Mapping[str, Any]) -> Figure:
    edges, texts = report["lengths"]["edges"], report["lengths"]["texts"]
    figure, axes = _sheet(2.3)
    for side in SIDES:
        total = max(1, sum(texts[side]))
        values = [count * 100 / total for count in texts[side]]
        axes.stairs(values, edges, color=SIDE_INKS[side], linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xlim(left=next((edge for at, edge in enumerate(edges[:-1]) if any(texts[side][at] for side in SIDES)), 1))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("characters")
    axes.set_ylabel("% of the side's texts")
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _languages(report: Mapping[str, Any]) -> Figure | None:
    groups = [(report["languages"], LANGUAGES), (report["scripts"], SCRIPTS)]
    names: list[str] = []
    shares: dict[str, list[float]] = {side: [] for side in SIDES}
    for found, most in groups:
        total = {name: max(found[side].get(name, 0) for side in SIDES) for side in SIDES for name in found[side]}
        chosen = sorted(total, key=lambda name, total=total: (-total[name], name))[:most]  # type: ignore[misc]
        names += chosen
        for side in SIDES:
            shares[side] += [found[side].get(name, 0.0) for name in chosen]
    if not names:
        return None
    figure, axes = _sheet(0.7 + 0.19 * len(names))
    _dots(axes, names, shares)
    languages = len(names) - min(SCRIPTS, len({name for side in SIDES for name in report["scripts"][side]}))
    axes.axhline(languages - 0.5, color=LINE, linewidth=1)
    return figure


def _drift(report: Mapping[str, Any]) -> Figure | None:
    """Every distance on one scale, 0 to 1; the AUC of the words as twice its excess over a half."""
    tests = report["drift"]
    if not tests:
        return None
    figure, axes = _sheet(0.7 + 0.24 * len(tests))
    rows = range(len(tests))
    for row, test in zip(rows, tests, strict=True):
        found, bound = (_distance(test["kind"], test[key]) for key in ("found", "bound"))
        axes.barh(row, found, height=0.55, color=SIDE_INKS["test"] if test["shifted"] else QUIET)
        axes.plot([bound, bound], [row - 0.38, row + 0.38], color=INK, linewidth=1.6)
    axes.set_yticks(rows, [_short(f"{test['kind']}, {test['against']}") for test in tests], color=INK)
    axes.set_ylim(len(tests) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("0: alike, 1: nothing in common")
    axes.grid(axis="x", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    return figure


def _distance(kind: str, figure: float) -> float:
    return max(0.0, 2 * figure - 1) if kind == "words" else figure


def _short(name: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in name)
    return plain if len(plain) <= NAME else f"{plain[: NAME - 1]}…"
