"""Predictions as part files, one a block, then the output: rows and predictions side by side."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.batch.blocks import Block
from sluice.batch.readers.reader import Reader
from sluice.batch.writer import open_writer
from sluice.errors import UserError
from sluice.inference.columns import predictions, result_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from sluice.inference.predictor import Predictor
    from sluice.tasks.task import Task

LABELS_SHOWN = 10


@dataclass
class Summary:
    """What an output holds."""

    rows: int = 0
    empty: int = 0
    """Rows without a text, which have no prediction."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By column of strings: how often each value was predicted."""

    def add(self, predicted: pa.Table, texts: list[str]) -> None:
        """Count a block."""
        import pyarrow as pa

        self.rows += predicted.num_rows
        self.empty += sum(not text.strip() for text in texts)
        for name, kind in zip(predicted.column_names, predicted.schema.types, strict=True):
            if kind == pa.string():
                counted = predicted.column(name).value_counts().to_pylist()
                found = {one["values"]: one["counts"] for one in counted if one["values"] is not None}
                self.counts.setdefault(name, Counter()).update(found)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"rows   {self.rows:,}" + (f", {self.empty:,} of them empty, without a prediction" if self.empty else "")
        for name, counts in self.counts.items():
            total = counts.total()
            if total and len(counts) < total / 2:  # not free text
                shares = ", ".join(f"{value} {n / total:.1%}" for value, n in counts.most_common(LABELS_SHOWN))
                more = f" and {len(counts) - LABELS_SHOWN} more" if len(counts) > LABELS_SHOWN else ""
                yield f"{name}   {shares}{more}"


def predict_parts(reader: Reader, predictor: Predictor, folder: Path) -> dict[str, Any]:
    """One file of predictions a block in `folder`; those that stand there whole are kept."""
    import pyarrow.parquet as pq

    columns = result_columns(predictor.task.Result, predictor.bundle.labels, reader.settings.scores)
    kept = rows = number = 0
    with _Progress(reader) as progress:
        for block in reader.blocks():
            path, number = part(folder, block.number), block.number + 1
            rows += len(block.texts)
            if _whole(path, len(block.texts)):
                kept += 1
                progress.read(len(block.texts), predicted=False)
                continue
            _refuse(reader, predictor.task, block)
            asked = [text for text in block.texts if text.strip()]
            answers = iter(predictor.predict(asked).results)
            results = [next(answers) if text.strip() else None for text in block.texts]
            beside = path.with_name(f".{path.name}")
            pq.write_table(predictions(columns, results), beside)
            beside.replace(path)
            progress.read(len(block.texts), predicted=True)
    if not rows:
        raise UserError(f"{reader.path}: no rows")
    return {"rows": rows, "parts": number, "kept": kept, "predicted_per_second": progress.rate}


def _refuse(reader: Reader, task: Task, block: Block) -> None:
    """Raise UserError for the first text that is not what the task takes."""
    for line, text in zip(block.lines, block.texts, strict=True):
        if text.strip() and (told := task.refusal(text)):
            raise UserError(f"{reader.path}:{line}: {told}. Is it the right column? predict.column=...")


def part(folder: Path, number: int) -> Path:
    """The file of a block's predictions."""
    return folder / f"part-{number:06}.parquet"


def _whole(path: Path, rows: int) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return bool(pq.read_metadata(path).num_rows == rows)
    except (OSError, pa.ArrowException):
        return False


def merge(reader: Reader, folder: Path, target: Path, kind: str, names: Mapping[str, str]) -> Summary:
    """Write the rows of the input with their predictions to `target`, their columns called by `names`."""
    import pyarrow.parquet as pq

    summary = Summary()
    writer = open_writer(target, kind, reader)
    for block in reader.blocks():
        predicted = pq.read_table(part(folder, block.number))
        predicted = predicted.rename_columns([names[name] for name in predicted.column_names])
        refuse_collision(reader, _names(block), list(names.values()))
        writer.write(block, predicted)
        summary.add(predicted, list(block.texts))
    writer.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return summary


def _names(block: Block) -> list[str]:
    if isinstance(block.rows, list):
        return list({name for row in block.rows for name in row})
    return list(block.rows.column_names)


def refuse_collision(reader: Reader, names: list[str], added: list[str]) -> None:
    """Refuse to add a column that the input has."""
    for name in added:
        if name in names:
            raise UserError(
                f"{reader.path} has a column '{name}' already. "
                "Name the predictions otherwise: predict.prefix=new_, or leave that column out of the input"
            )


class _Progress:
    """A bar with the share of the file that is read, rows a second and the time that is left."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.rows = self.predicted = 0

    def __enter__(self) -> _Progress:
        from tqdm import tqdm

        self.start = time.perf_counter()
        layout = "{percentage:3.0f}%|{bar:30}| {elapsed}<{remaining}{postfix}"
        self.bar = tqdm(total=1.0, bar_format=layout, mininterval=0.5)
        return self

    @property
    def rate(self) -> float:
        """Rows predicted a second."""
        return self.predicted / max(1e-9, time.perf_counter() - self.start)

    def read(self, rows: int, predicted: bool) -> None:
        """A block is done."""
        self.rows += rows
        self.predicted += rows if predicted else 0
        self.bar.set_postfix_str(f"{self.rows:,} rows, {self.rate:,.0f} rows/s", refresh=False)
        self.bar.update(max(0.0, self.reader.share - self.bar.n))

    def __exit__(self, *_: object) -> None:
        self.bar.close()
