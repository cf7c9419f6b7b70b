"""From a source to rows on disk: read, check, drop with a reason, divide, digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data import checks
from sluice.data.rows import notes_of
from sluice.data.sieve import LABEL, Sieve
from sluice.data.source import GROUP, ORIGIN, SIDE, Source
from sluice.data.split import SIDES, assign
from sluice.files import write_json, write_text
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import DatasetDict

ROWS, DROPPED, REPORT = "rows", "dropped.jsonl", "report.json"
ROW = "row"
"""The column with a row's hash, 16 hex digits."""


def prepare(source: Source, task: Task, folder: Path, keep_texts: bool) -> dict[str, Any]:
    """Fill `folder` with the checked and divided rows, the dropped ones and a report; return the report.

    `rows` and `labels` are counts by side, `dropped` and `left_out` by reason; `data` digests the rows,
    `split` the side of each; input order does not matter. Raises UserError for rows nobody could train on.
    """
    table = source.read(task.columns)
    checks.check_schema(table, task.columns)
    sieve = Sieve(table, task.columns)
    warnings = sieve.sift()
    _save_dropped(folder, sieve, keep_texts)  # before anything can be refused: it helps to see why
    sides = assign(sieve.column(GROUP), [side or None for side in sieve.sides.tolist()], source.split)
    warnings += checks.check_sides(sides)
    by_side = _by_side(sieve, sides)
    labels = {side: part.column(LABEL).to_pylist() for side, part in by_side.items() if LABEL in task.columns}
    if labels:
        checks.check_labels(labels, {side: part.column(ORIGIN).to_pylist() for side, part in by_side.items()})
    _save(folder, by_side)
    record = {
        "rows": {side: len(part) for side, part in by_side.items()},
        "labels": {side: dict(sorted(Counter(values).items())) for side, values in labels.items()},
        "dropped": {reason: len(part) for reason, part in sieve.dropped.items()},
        "warnings": warnings,
        "data": _digest(zip(*map(sieve.column, task.columns), strict=True)),
        "split": _digest(zip(sieve.names(), sides, strict=True)),
        "fingerprint": source.fingerprint(),
        **notes_of(table),
    }
    write_json(folder / REPORT, record)
    return record


def load(folder: Path) -> DatasetDict:
    """The rows that `prepare` wrote, by side: the task's columns, group, origin and `row`, the row's hash."""
    from datasets import DatasetDict

    return DatasetDict.load_from_disk(str(folder / ROWS))


def report_lines(record: dict[str, Any]) -> list[str]:
    """A short table for people: rows a side, labels, what was dropped and why, warnings."""
    rows, labels = record["rows"], record["labels"]
    lines = ["rows  " + "  ".join(f"{side} {rows[side]:,}" for side in SIDES)]
    if labels:
        names = sorted(labels["train"], key=lambda name: (-labels["train"][name], name))
        width = max(len(name) for name in names[:20])
        lines += [
            f"  {name:<{width}}  " + "  ".join(f"{labels[side].get(name, 0):>7,}" for side in SIDES)
            for name in names[:20]
        ]
        lines += [f"  and {len(names) - 20} more labels"] if len(names) > 20 else []
    for title in ("dropped", "left_out"):
        counts = {reason: count for reason, count in record.get(title, {}).items() if count}
        if counts:
            listed = "  ".join(f"{reason} {count:,}" for reason, count in counts.items())
            lines.append(f"{title.replace('_', ' ')}  {listed}")
    lines.append(f"data {record['data'][:12]}  split {record['split'][:12]}")
    return lines + [f"warning: {warning}" for warning in record["warnings"]]


def _by_side(sieve: Sieve, sides: Sequence[str]) -> dict[str, pa.Table]:
    import pyarrow as pa

    table = sieve.table.drop_columns([SIDE]).replace_schema_metadata(None)
    table = table.append_column(ROW, pa.array(sieve.names()))
    return {side: table.filter(pa.array([own == side for own in sides])) for side in SIDES}


def _save(folder: Path, by_side: dict[str, pa.Table]) -> None:
    import datasets

    shutil.rmtree(folder / ROWS, ignore_errors=True)  # what a killed run left
    rows = datasets.DatasetDict({side: datasets.Dataset(part) for side, part in by_side.items()})
    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        rows.save_to_disk(str(folder / ROWS))
    finally:
        if not quiet:
            datasets.enable_progress_bars()


def _save_dropped(folder: Path, sieve: Sieve, keep_texts: bool) -> None:
    shown = [ORIGIN, *sieve.columns] if keep_texts else [ORIGIN]
    rows = [
        {"reason": reason, **row} for reason, part in sieve.dropped.items() for row in part.select(shown).to_pylist()
    ]
    write_text(folder / DROPPED, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _digest(rows: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 over the rows as a multiset: their order does not matter."""
    lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
