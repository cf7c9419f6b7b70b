"""From a source to rows on disk: read, check, drop with a reason, divide, digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.data import checks
from sluice.data.inspection.inspect import Inspection, inspect
from sluice.data.inspection.report import PAGE, write_report
from sluice.data.inspection.settings import ONLY_REPORT, Checks
from sluice.data.rows import notes_of, without_bars
from sluice.data.sieve import Sieve
from sluice.data.source import GROUP, ORIGIN, SIDE, Source
from sluice.data.split import SIDES, TRAIN, assign
from sluice.errors import UserError
from sluice.files import write_text
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import DatasetDict

ROWS, DROPPED, LEAKS = "rows", "dropped.jsonl", "leaks.jsonl"
ROW = "row"
"""The column with a row's hash, 16 hex digits."""


def prepare(source: Source, task: Task, folder: Path, keep_texts: bool, bounds: Checks = ONLY_REPORT) -> dict[str, Any]:
    """Fill `folder` with the checked and divided rows, the dropped ones and a report; return the record.

    `rows` and `labels` are counts by side, `dropped` and `left_out` by reason; `data` digests the rows,
    `split` the side of each; input order does not matter. Raises UserError for rows that nobody could train on
    or that are beyond the bounds: by then the dropped rows and the report are on disk.
    """
    columns = (*task.columns, *source.keep)
    table = source.read(task.columns)
    checks.check_schema(table, columns)
    sieve = Sieve(table, task)
    drop = source.near_duplicates == "drop"
    warnings = sieve.sift(bounds.long_characters, source.near_duplicate_threshold, drop_near=drop)
    sides = assign(sieve.column(GROUP), [side or None for side in sieve.sides.tolist()], source.split)
    read = len(sides)
    sides = _first_training_rows(sieve, sides, source.train_rows)
    inspection = inspect(sieve, sides, source.keep, bounds)
    notes = notes_of(table)
    if source.train_rows is not None:
        notes["left_out"] = {**notes.get("left_out", {}), "over_train_rows": read - len(sides)}
    record = {
        "rows": {side: Counter(sides)[side] for side in SIDES},
        "labels": inspection.labels,
        "dropped": {reason: len(part) for reason, part in sieve.dropped.items()},
        "checks": [finding.describe() for finding in inspection.findings],
        "data": _digest(zip(*map(sieve.column, columns), strict=True)),
        "split": _digest(zip(sieve.names(), sides, strict=True)),
        "fingerprint": source.fingerprint(),
        **notes,
        "warnings": _warnings(warnings + notes.get("warnings", []), inspection, sides),
    }
    refusal = _refusal(sieve, sides, inspection)
    _save_dropped(folder, sieve, inspection, columns, keep_texts)
    write_report(folder, source.name, record, inspection, sieve, columns if keep_texts else (), refusal)
    if refusal:  # only now: what was found helps to see why
        raise UserError(f"{refusal}\nReport: {folder / PAGE}")
    _save(folder, _by_side(sieve, sides))
    return record


def load(folder: Path) -> DatasetDict:
    """The rows that `prepare` wrote, by side: the task's and kept columns, group, origin and `row`, the row's hash."""
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


def _first_training_rows(sieve: Sieve, sides: list[str], most: int | None) -> list[str]:
    """Leave out training rows beyond `most`: those with the largest hashes, so that fewer are a part of more."""
    import numpy as np

    train = np.array([side == TRAIN for side in sides], bool)
    if most is None:
        return sides
    over = train & (np.cumsum(train) > most)  # the sieve keeps rows in the order of their hashes
    sieve.leave_out(over)
    return [side for side, out in zip(sides, over.tolist(), strict=True) if not out]


def _warnings(found: Sequence[str], inspection: Inspection, sides: Sequence[str]) -> list[str]:
    lines = [finding.line() for finding in inspection.findings if finding.state == "warned"]
    return [*found, *checks.few_rows(sides), *lines]


def _refusal(sieve: Sieve, sides: Sequence[str], inspection: Inspection) -> str:
    """Why these rows must not be trained on; empty where nothing speaks against it."""
    found = sieve.labels()
    labels: dict[str, list[list[str]]] = {side: [] for side in SIDES}
    origins: dict[str, list[str]] = {side: [] for side in SIDES}
    for side, own, origin in zip(sides, found or (), sieve.column(ORIGIN) if found else (), strict=False):
        labels[side].append(own)
        origins[side].append(origin)
    try:
        checks.check_sides(sides)
        if found is not None:
            checks.check_labels(labels, origins, sieve.columns[-1])
    except UserError as error:
        return str(error)
    stopped = [finding for finding in inspection.findings if finding.state == "stopped"]
    if not stopped:
        return ""
    more = f" ({len(stopped) - 1} more stop it: {', '.join(one.title for one in stopped[1:])})"
    return stopped[0].refusal() + (more if stopped[1:] else "")


def _by_side(sieve: Sieve, sides: Sequence[str]) -> dict[str, pa.Table]:
    import pyarrow as pa

    table = sieve.table.drop_columns([SIDE]).replace_schema_metadata(None)
    table = table.append_column(ROW, pa.array(sieve.names()))
    return {side: table.filter(pa.array([own == side for own in sides])) for side in SIDES}


def _save(folder: Path, by_side: dict[str, pa.Table]) -> None:
    import datasets

    shutil.rmtree(folder / ROWS, ignore_errors=True)  # what a killed run left
    rows = datasets.DatasetDict({side: datasets.Dataset(part) for side, part in by_side.items()})
    with without_bars():
        rows.save_to_disk(str(folder / ROWS))


def _save_dropped(folder: Path, sieve: Sieve, inspection: Inspection, columns: Sequence[str], keep_texts: bool) -> None:
    shown = [ORIGIN, *columns] if keep_texts else [ORIGIN]
    dropped = (
        {"reason": reason, **row} for reason, part in sieve.dropped.items() for row in part.select(shown).to_pylist()
    )
    write_text(folder / DROPPED, _lines(dropped))
    write_text(folder / LEAKS, _lines(leak.describe(keep_texts) for leak in inspection.leaks))


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _digest(rows: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 over the rows as a multiset: their order does not matter."""
    lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
