"""The wrong answers that a model was surest of, as a table and as a page."""

from __future__ import annotations

import csv
import html
from pathlib import Path

import numpy as np

from sluice.evaluation.scored import Scored
from sluice.tasks.task import Columns

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Surest errors</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem }}
table {{ border-collapse: collapse }}
th, td {{ border-top: 1px solid #8884; padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }}
td:last-child {{ overflow-wrap: anywhere; max-width: 60rem }}
</style></head><body><h1>Surest errors</h1>
<p>{shown} of {wrong} wrong answers on {rows} test rows, surest first.</p>
<table><tr>{header}</tr>{lines}</table></body></html>
"""


def write_errors(folder: Path, scored: Scored, test: Columns, count: int, keep_texts: bool) -> None:
    """Write `errors.csv` and `errors.html`, without the texts where they may not be kept."""
    confidence = scored.confidence
    wrong = np.flatnonzero(~scored.right)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    header = ["confidence", "predicted", "label", "origin", *(["text"] if keep_texts else [])]
    lines = [
        [
            f"{confidence[row]:.4f}",
            scored.labels[scored.predictions[row]],
            scored.labels[scored.references[row]],
            test["origin"][row],
            *([test["text"][row]] if keep_texts else []),
        ]
        for row in surest.tolist()
    ]
    with (folder / "errors.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    page = PAGE.format(
        shown=f"{len(lines):,}",
        wrong=f"{len(wrong):,}",
        rows=f"{len(confidence):,}",
        header="".join(f"<th>{name}</th>" for name in header),
        lines="".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines),
    )
    (folder / "errors.html").write_text(page, encoding="utf-8")
