"""Rows to look at: the worst answers as a table and, beside some at random, as a page."""

from __future__ import annotations

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sluice.evaluation.scored import Scored
from sluice.tasks.task import Columns

RANDOM = 10
"""Rows at random on the page."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Samples</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem }}
table {{ border-collapse: collapse }}
th, td {{ border-top: 1px solid #8884; padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }}
td:last-child {{ overflow-wrap: anywhere; max-width: 60rem }}
</style></head><body>{body}</body></html>
"""


def write_samples(folder: Path, scored: Scored, test: Columns, count: int, keep_texts: bool, seed: int) -> None:
    """Write `errors.csv`, the worst answers, and `samples.html`, those and ten rows at random.

    Without inputs, and without answers that are text, where texts may not be kept.
    """
    rows = len(scored.references)
    lines = _Lines(scored, test, keep_texts)
    wrong = np.flatnonzero(lines.figures < 1)
    worst = wrong[np.lexsort((-lines.sureness[wrong], lines.figures[wrong]))][:count]
    drawn = np.sort(np.random.default_rng(seed).permutation(rows)[:RANDOM])
    with (folder / "errors.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([lines.header, *map(lines.line, worst.tolist())])
    told = f"{len(worst):,} of {len(wrong):,} answers that are not perfect, on {rows:,} test rows."
    parts = [
        f"<h1>The worst answers</h1><p>{told}</p>",
        _table(lines.header, map(lines.line, worst.tolist())),
        f"<h1>{len(drawn)} test rows at random</h1>",
        _table(lines.header, map(lines.line, drawn.tolist())),
    ]
    (folder / "samples.html").write_text(PAGE.format(body="".join(parts)), encoding="utf-8")


class _Lines:
    """Test rows as cells: what was right, what was said, and how good that is."""

    def __init__(self, scored: Scored, test: Columns, keep_texts: bool) -> None:
        self.scored, self.origins = scored, test["origin"]
        self.texts = scored.task.texts(test) if keep_texts else None
        self.figures = scored.task.grades(scored.predictions, scored.references, scored.labels)
        self.graded = scored.task.probabilities(scored.outputs) is not None
        self.sureness = scored.confidence if self.graded else np.zeros(len(self.figures))
        first = "confidence" if self.graded else "grade"
        self.told = keep_texts or not scored.task.worded
        answers, inputs = ["predicted", "right"] if self.told else [], [scored.task.input] if keep_texts else []
        both = (scored.predictions, scored.references) if self.told else ()
        self.answers = [scored.task.spelt(some, test) for some in both]
        self.header = [first, *answers, "origin", *inputs]

    def line(self, row: int) -> list[str]:
        """The cells of a row."""
        first = self.sureness[row] if self.graded else self.figures[row]
        inputs = [] if self.texts is None else [self.texts[row]]
        return [f"{first:.4f}", *(some[row] for some in self.answers), self.origins[row], *inputs]


def _table(header: Sequence[str], lines: Any) -> str:
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><tr>{heads}</tr>{body}</table>"
